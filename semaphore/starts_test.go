package semaphore_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// slow allows two starts of the queue in a minute, and one of action 2.
func slow() attune.QueuePolicy {
	minute := attune.Duration(time.Minute)
	return attune.QueuePolicy{
		Revision: 1, Limit: 10, MaxQueued: 100, Rates: []attune.StartRate{{Name: "all", Limit: 2, Window: minute}},
		Actions: []attune.ActionPolicy{{Action: 2, Rates: []attune.StartRate{{Name: "own", Limit: 1, Window: minute}}}},
	}
}

func TestNew_Starts(t *testing.T) {
	t.Parallel()
	at := func(seconds int) int64 { return start.Add(time.Duration(seconds) * time.Second).UnixMilli() }
	rebuilt := func(starts ...attune.ActionStarts) *semaphore.State {
		return semaphore.New(attune.QueueSnapshot{
			Policy: slow(), LastSequence: 2, Waiting: []attune.Ticket{of(1, 1), of(2, 2)}, Starts: starts,
		})
	}
	grantedAt := func(state *semaphore.State, seconds int) []int64 {
		state.Advance(start.Add(time.Duration(seconds) * time.Second))
		return granted(state)
	}

	t.Run("the starts of the rows count", func(t *testing.T) {
		t.Parallel()
		state := rebuilt(attune.ActionStarts{Action: 1, At: []int64{at(-70), at(-30)}}, attune.ActionStarts{Action: 2, At: []int64{at(-59)}})
		require.Empty(t, grantedAt(state, 0), "two starts of the queue are in the window")
		require.Equal(t, []int64{1}, grantedAt(state, 1), "the start of action 2 has left the window")
		require.Equal(t, []int64{1}, grantedAt(state, 29))
		require.Equal(t, []int64{1, 2}, grantedAt(state, 30))
	})

	t.Run("a start of the action holds up the action only", func(t *testing.T) {
		t.Parallel()
		state := rebuilt(attune.ActionStarts{Action: 2, At: []int64{at(-10)}})
		state.Rebuilt(start)
		require.Equal(t, []int64{1}, granted(state))
		require.Equal(t, []int64{1}, grantedAt(state, 49))
		require.Equal(t, []int64{1, 2}, grantedAt(state, 50))
	})

	t.Run("without starts nothing waits", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []int64{1, 2}, grantedAt(rebuilt(), 0))
	})
}

func TestState_RecordsStarts(t *testing.T) {
	t.Parallel()
	now := start.Add(1_500 * time.Microsecond)
	state := open(slow())
	state.Acquire(now, []attune.Ticket{of(1, 1)})
	grant := state.Deliverable(1)[0]
	require.Equal(t, start.Add(time.Millisecond), grant.StartedAt, "in milliseconds, like the rates count it")
	state.Delivered([]attune.Grant{grant})

	retry := grant.Ticket
	retry.Attempt = 2
	state.Retry(now, []attune.Retry{{Ticket: retry, NotBefore: now.Add(time.Second)}})
	later := now.Add(2 * time.Second)
	state.Advance(later)
	again := state.Deliverable(1)[0]
	require.Equal(t, start.Add(2*time.Second+time.Millisecond), again.StartedAt, "a retry in its slot is a start, too")
	require.Equal(t, grant.GrantedAt, again.GrantedAt)

	encoded, err := json.Marshal(state)
	require.NoError(t, err)
	var read semaphore.State
	require.NoError(t, json.Unmarshal(encoded, &read))
	require.Equal(t, state.Holders(), read.Holders())

	unrated := open(attune.QueuePolicy{Revision: 1, Limit: 1, MaxQueued: 9})
	unrated.Acquire(now, []attune.Ticket{of(1, 1)})
	require.Zero(t, unrated.Deliverable(1)[0].StartedAt, "a queue without rates records no starts")
}

// carry encodes and decodes a state.
func carry(t *testing.T, state *semaphore.State) (*semaphore.State, []byte) {
	t.Helper()
	data, err := json.Marshal(state)
	require.NoError(t, err)
	carried := new(semaphore.State)
	require.NoError(t, json.Unmarshal(data, carried))
	return carried, data
}

func TestState_CarriedStarts(t *testing.T) {
	t.Parallel()
	packed := func(t *testing.T, data []byte) (starts struct {
		Count  int
		Packed string
	}) {
		t.Helper()
		var form map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &form))
		require.NoError(t, json.Unmarshal(form["starts"], &starts))
		return starts
	}

	t.Run("the starts of each rate survive", func(t *testing.T) {
		t.Parallel()
		state := open(slow())
		state.Acquire(start, []attune.Ticket{of(2, 1), of(2, 2), of(1, 3)})
		require.Equal(t, []int64{1}, granted(state))
		carried, data := carry(t, state)
		require.Equal(t, 2, packed(t, data).Count, "of the queue, and of action 2")
		carried.Advance(start.Add(time.Minute - time.Millisecond))
		require.Equal(t, []int64{1}, granted(carried))
		carried.Advance(start.Add(time.Minute))
		require.Equal(t, []int64{1, 2, 3}, granted(carried))
	})

	t.Run("starts that have left the window are forgotten with the next start", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 1, Limit: 10, MaxQueued: 100, Rates: []attune.StartRate{
			{Name: "all", Limit: 3, Window: attune.Duration(time.Minute)},
		}})
		state.Acquire(start, []attune.Ticket{of(1, 1), of(1, 2)})
		_, two := carry(t, state)
		state.Acquire(start.Add(time.Minute), []attune.Ticket{of(1, 3)})
		_, one := carry(t, state)
		require.Less(t, len(packed(t, one).Packed), len(packed(t, two).Packed))
	})

	for name, starts := range map[string]string{
		"of more rates than the policy has": `{"count":3,"packed":"AAAA"}`,
		"more than bytes":                   `{"count":2,"packed":"AAI"}`,
		"of a negative number":              `{"count":2,"packed":"AQA"}`,
		"with bytes that are left over":     `{"count":2,"packed":"AAAA"}`,
		"that are no base64":                `{"count":2,"packed":"*"}`,
	} {
		t.Run("starts "+name+" are refused", func(t *testing.T) {
			t.Parallel()
			policy, err := json.Marshal(slow())
			require.NoError(t, err)
			data := []byte(`{"v":1,"policy":` + string(policy) + `,"starts":` + starts + `}`)
			require.ErrorContains(t, json.Unmarshal(data, new(semaphore.State)), "starts: the packed list of tickets is damaged")
		})
	}
}
