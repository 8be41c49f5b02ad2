package semaphore_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// forgetful returns a queue of limit 1 that lost the decision to grant its first ticket. It then expired that ticket and
// granted the second. heldFirst is the grant in the row of the first ticket.
func forgetful(t *testing.T) (state *semaphore.State, heldFirst attune.Grant) {
	t.Helper()
	state = open(attune.QueuePolicy{Limit: 1, QueueTimeout: attune.Duration(10 * time.Second)})
	all := tickets(1, 3)
	all[1].EnqueuedAt, all[2].EnqueuedAt = start.Add(time.Second), start.Add(time.Second)
	heldFirst = attune.Grant{Ticket: all[0], Number: 1, GrantedAt: start, Limit: 1}
	heldFirst.Attempt = 1
	state.Acquire(start.Add(10*time.Second), all)
	require.Equal(t, []int64{2}, granted(state))
	require.Len(t, state.UnrecordedSettlements(10), 1)
	return state, heldFirst
}

func TestState_LostDecisions(t *testing.T) {
	t.Parallel()
	soon := start.Add(10*time.Second + time.Millisecond)

	t.Run("a grant waits for the settlements before it", func(t *testing.T) {
		t.Parallel()
		state, _ := forgetful(t)
		require.Empty(t, state.Deliverable(10))
		state.SettlementsRecorded(soon, 1, nil)
		require.Len(t, state.Deliverable(10), 1)
		require.EqualValues(t, 1, state.Counters().Expired)
	})

	t.Run("a ticket whose row has a grant becomes a holder again, and the tentative grant behind it is revoked", func(t *testing.T) {
		t.Parallel()
		state, held := forgetful(t)
		state.SettlementsRecorded(soon, 1, []attune.Grant{held})
		holders := state.Holders()
		require.Len(t, holders, 1)
		require.EqualValues(t, 1, holders[0].Sequence)
		require.Equal(t, []int64{1}, granted(state), "once more: it is harmless")
		require.Equal(t, 1, state.Position(102))
		require.Zero(t, state.Counters().Expired)
		require.EqualValues(t, 1, state.Counters().Granted)

		state.Release(soon, []attune.Ticket{held.Ticket})
		require.Equal(t, []int64{2}, granted(state))
		require.EqualValues(t, 2, state.Undelivered(1)[0].Number)
		require.Len(t, state.Deliverable(1), 1)
	})

	t.Run("a reinstated holder is inspected at once, because it can have ended", func(t *testing.T) {
		t.Parallel()
		state, held := forgetful(t)
		state.Release(soon, []attune.Ticket{held.Ticket})
		require.EqualValues(t, 1, state.Counters().Unknown)
		state.SettlementsRecorded(soon, 1, []attune.Grant{held})
		suspects := state.Suspects(soon)
		require.Len(t, suspects, 1)
		state.Inspected(soon, []attune.Ticket{held.Ticket}, nil)
		require.Equal(t, []int64{2}, granted(state))
	})

	t.Run("later settlements do not delay a grant", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 1, Overflow: attune.OverflowReject})
		state.Acquire(start, tickets(1, 3))
		require.Len(t, state.Deliverable(10), 1, "decided before anybody was rejected")
		state.Delivered(state.Deliverable(10))
		require.Len(t, state.UnrecordedSettlements(10), 1)
		state.Release(start, tickets(1, 1))
		require.Empty(t, state.Deliverable(10))
		state.Acquire(start, tickets(4, 9))
		require.Len(t, state.UnrecordedSettlements(10), 6)
		state.SettlementsRecorded(start, 1, nil)
		require.Len(t, state.Deliverable(10), 1, "it waits for the first rejection, not for those after it")
	})

	t.Run("a waiting ticket that is released uses a grant number", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 3))
		state.Release(start, tickets(1, 2))
		require.EqualValues(t, 3, state.Undelivered(1)[0].Number)
		require.EqualValues(t, 3, state.Undelivered(1)[0].Sequence)
	})

	t.Run("the wait for settlements survives when the state is carried over", func(t *testing.T) {
		t.Parallel()
		state, held := forgetful(t)
		state = carryOver(t, state)
		require.Empty(t, state.Deliverable(10))
		state.SettlementsRecorded(soon, 1, []attune.Grant{held})
		state = carryOver(t, state)
		require.Equal(t, []int64{1}, granted(state))
		require.Len(t, state.Deliverable(10), 1)
	})
}

func carryOver(t *testing.T, state *semaphore.State) *semaphore.State {
	t.Helper()
	data, err := json.Marshal(state)
	require.NoError(t, err)
	carried := new(semaphore.State)
	require.NoError(t, json.Unmarshal(data, carried))
	return carried
}
