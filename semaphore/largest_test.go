package semaphore_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// largestPolicy is a policy at every bound: its JSON form is as large as a queue may have, and its rates allow as many starts.
func largestPolicy(t *testing.T) attune.QueuePolicy {
	t.Helper()
	longest := attune.Duration(attune.MaxStartWindow)
	policy := attune.QueuePolicy{Revision: 1, Limit: attune.MaxLimit, MaxQueued: attune.MaxQueuedLimit, Across: attune.AcrossSkip}
	for i := range attune.MaxQueueActions {
		action := attune.ActionPolicy{Action: attune.ActionID(1 + i), MaxAttempts: 1, RetryPlacement: attune.RetryHold}
		if i < attune.MaxQueueStarts/attune.MaxStartRateLimit {
			action.Rates = []attune.StartRate{{Name: fmt.Sprint("rate", i), Limit: attune.MaxStartRateLimit, Window: longest}}
		}
		policy.Actions = append(policy.Actions, action)
	}
	data, err := json.Marshal(policy)
	require.NoError(t, err)
	require.Less(t, len(data), attune.MaxQueuePolicySize)
	policy.Actions[0].Ref = attune.Ref(strings.Repeat("x", attune.MaxQueuePolicySize-len(data)-len(`"ref":"",`)))
	data, err = json.Marshal(policy)
	require.NoError(t, err)
	require.Len(t, data, attune.MaxQueuePolicySize)
	return policy
}

// TestState_LargestState: the carried state stays below Temporal's limit of 2 MB for a payload under every policy.
func TestState_LargestState(t *testing.T) {
	t.Parallel()
	policy := largestPolicy(t)
	snapshot := attune.QueueSnapshot{Policy: policy, LastSequence: attune.MaxLimit + attune.MaxQueuedLimit, LastGrant: attune.MaxLimit}
	ticket := func(i int) attune.Ticket {
		return attune.Ticket{
			Enforcement: attune.EnforcementID(9_000_000_000 + 1000*i), Sequence: int64(i + 1), EnqueuedAt: start.Add(time.Duration(i) * time.Minute),
			Lane: int32(i * 7919 % attune.MaxQueuedLimit), Action: attune.ActionID(1 + i%50), Attempt: 1 + i%3,
		}
	}
	for i := range attune.MaxLimit {
		snapshot.Holders = append(snapshot.Holders, attune.Grant{Ticket: ticket(i), Number: int64(i + 1), GrantedAt: start.Add(time.Duration(i) * time.Hour), Limit: 5000, Revision: 9})
	}
	for i := range attune.MaxQueuedLimit {
		snapshot.Waiting = append(snapshot.Waiting, ticket(attune.MaxLimit+i))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, action := range policy.Actions {
		var starts []int64
		for _, rate := range action.Rates {
			at, pause := start, attune.MaxStartWindow/time.Duration(rate.Limit) // the window is full
			for range rate.Limit {
				at = at.Add(pause/2 + time.Duration(random.Int64N(int64(pause))))
				starts = append(starts, at.UnixMilli())
			}
		}
		snapshot.Starts = append(snapshot.Starts, attune.ActionStarts{Action: action.Action, At: starts})
	}
	state := semaphore.New(snapshot)
	for i := range int64(10_000) {
		sequence := snapshot.LastSequence + 2 + i
		state.Release(start, []attune.Ticket{{Enforcement: attune.EnforcementID(9_900_000_000 + sequence), Sequence: sequence}})
	}
	data, err := json.Marshal(state)
	require.NoError(t, err)
	t.Logf("%d bytes: %d holders, %d waiters, %d actions, %d starts", len(data), state.Active(), state.Waiting(), len(policy.Actions), attune.MaxQueueStarts)
	require.Less(t, len(data), 1_800_000)
}
