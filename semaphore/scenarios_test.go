package semaphore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

var start = time.UnixMilli(1_700_000_000_000).UTC()

func tickets(from, to int64) []attune.Ticket {
	var all []attune.Ticket
	for sequence := from; sequence <= to; sequence++ {
		all = append(all, attune.Ticket{Enforcement: attune.EnforcementID(100 + sequence), Sequence: sequence, EnqueuedAt: start})
	}
	return all
}

func open(policy attune.QueuePolicy) *semaphore.State {
	if policy.MaxQueued == 0 {
		policy.MaxQueued = 100
	}
	return semaphore.New(attune.QueueSnapshot{Policy: policy})
}

func requireNothingToDo(t *testing.T, state *semaphore.State) {
	t.Helper()
	require.Empty(t, state.Undelivered(1))
	require.Empty(t, state.UnrecordedSettlements(1))
	require.Empty(t, state.UnrecordedChanges(1, 0).Changes)
}

func granted(state *semaphore.State) []int64 {
	sequences := []int64{}
	for _, grant := range state.Undelivered(1000) {
		sequences = append(sequences, grant.Sequence)
	}
	return sequences
}

func TestState_Grants(t *testing.T) {
	t.Parallel()

	t.Run("tickets are granted up to the limit, then one per release", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 2})
		state.Acquire(start, tickets(1, 5))
		require.Equal(t, []int64{1, 2}, granted(state))
		state.Delivered(state.Undelivered(10))
		state.Release(start, tickets(2, 2))
		require.Equal(t, []int64{3}, granted(state))
		require.Equal(t, 2, state.Active())
		require.Equal(t, 2, state.Waiting())
		require.Equal(t, 1, state.Position(104))
		require.Equal(t, 2, state.Position(105))
		require.Zero(t, state.Position(103))
	})

	t.Run("no newcomer overtakes a waiting ticket", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 1, Limit: 1})
		state.Acquire(start, tickets(1, 3))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 2, MaxQueued: 100})
		state.Acquire(start, tickets(4, 4))
		require.Equal(t, []int64{1, 2}, granted(state))
	})

	t.Run("a higher limit grants at once, a lower one drains, zero stops", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 1, Limit: 1})
		state.Acquire(start, tickets(1, 9))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 5, MaxQueued: 100})
		require.Equal(t, []int64{1, 2, 3, 4, 5}, granted(state))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 3, Limit: 1, MaxQueued: 100})
		state.Release(start, tickets(1, 4))
		require.Equal(t, 1, state.Active(), "four of five released, none granted in their place")
		state.SetPolicy(start, attune.QueuePolicy{Revision: 4, Limit: 0, MaxQueued: 100})
		state.Release(start, tickets(5, 5))
		require.Zero(t, state.Active())
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 5, MaxQueued: 100})
		require.Zero(t, state.Active(), "an older revision changes nothing")
	})

	t.Run("a hundred releases free one slot", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 5))
		for range 100 {
			state.Release(start, tickets(1, 1))
		}
		require.Equal(t, 1, state.Active())
		require.EqualValues(t, 99, state.Counters().Unknown)
		require.Equal(t, int64(2), state.Holders()[0].Sequence)
	})

	t.Run("a repeated acquire delivers the grant again", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Delivered(state.Undelivered(10))
		requireNothingToDo(t, state)
		state.Acquire(start, tickets(1, 2))
		require.Equal(t, []int64{1}, granted(state))
		require.EqualValues(t, 1, state.Counters().Granted)
	})
}

func TestState_Gaps(t *testing.T) {
	t.Parallel()
	state := open(attune.QueuePolicy{Limit: 10})
	state.Acquire(start, tickets(1, 1))
	state.Acquire(start, tickets(5, 6))
	require.Equal(t, []int64{1}, granted(state), "nothing behind the gap is granted")
	gap, ok := state.Missing()
	require.True(t, ok)
	require.Equal(t, semaphore.Gap{From: 2, To: 4}, gap)

	require.NoError(t, cancel(state, start, person, tickets(6, 6)[0]))
	state.Release(start, tickets(4, 4))
	gap, _ = state.Missing()
	require.Equal(t, semaphore.Gap{From: 2, To: 4}, gap, "4 ended unseen: only its arrival or the rows close its sequence")

	state.Backfill(start, gap, tickets(3, 4))
	require.Equal(t, []int64{1, 3, 5}, granted(state), "2 had ended, 4 ended before it arrived, 6 ended behind the gap")
	_, ok = state.Missing()
	require.False(t, ok)
	state.Acquire(start, tickets(2, 6))
	require.Equal(t, []int64{1, 3, 5}, granted(state), "late signals bring no ticket back")
}

func TestState_Ends(t *testing.T) {
	t.Parallel()

	t.Run("a ticket expires at the queue timeout", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1, QueueTimeout: attune.Duration(time.Minute)})
		state.SetSleepAfter(time.Hour)
		state.Acquire(start, tickets(1, 2))
		wake, ok := state.WakeAt()
		require.True(t, ok)
		require.Equal(t, start.Add(time.Minute), wake)
		state.Release(wake, tickets(1, 1))
		require.Zero(t, state.Active(), "the slot and the deadline come at the same instant: it expires")
		require.Equal(t, []attune.Settlement{{Ticket: tickets(2, 2)[0], Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout}},
			state.UnrecordedSettlements(10))
		state.SettlementsRecorded(start, 1, nil)
		requireNothingToDo(t, state)
	})

	t.Run("a full line rejects the newcomer or drops the oldest ticket", func(t *testing.T) {
		t.Parallel()
		for overflow, loser := range map[attune.Overflow]int64{attune.OverflowReject: 4, attune.OverflowDropOldest: 2} {
			state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 2, Overflow: overflow})
			state.Acquire(start, tickets(1, 4))
			require.Equal(t, 2, state.Waiting())
			require.Equal(t, loser, state.UnrecordedSettlements(10)[0].Sequence, overflow)
		}
	})

	t.Run("a lower bound drops no waiting ticket", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 1, Limit: 1})
		state.Acquire(start, tickets(1, 6))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 1, MaxQueued: 2, Overflow: attune.OverflowReject})
		require.Equal(t, 5, state.Waiting())
		state.Acquire(start, tickets(7, 7))
		require.Equal(t, 5, state.Waiting())
		require.EqualValues(t, 1, state.Counters().Rejected)
	})

	t.Run("the cancel of a holder does not free its slot", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		require.Error(t, cancel(state, start, person, tickets(1, 1)[0]))
		require.NoError(t, cancel(state, start, person, tickets(2, 2)[0]))
		require.Equal(t, 1, state.Active())
		require.Zero(t, state.Waiting())
		require.EqualValues(t, 1, state.Counters().Cancelled)
	})
}

func TestNew_FromRows(t *testing.T) {
	t.Parallel()
	holder := attune.Grant{Ticket: tickets(3, 3)[0], Number: 2, GrantedAt: start}
	state := semaphore.New(attune.QueueSnapshot{
		Policy:       attune.QueuePolicy{Limit: 2, MaxQueued: 100},
		LastSequence: 6, LastGrant: 2,
		Holders: []attune.Grant{holder},
		Waiting: append(tickets(4, 4), tickets(6, 6)...),
	})
	require.Equal(t, []int64{3}, granted(state), "nothing is decided yet")
	state.Rebuilt(start)
	require.Equal(t, []int64{3, 4}, granted(state), "the holder first, its grant delivered again")
	require.Equal(t, int64(3), state.Undelivered(2)[1].Number)
	state.Acquire(start, tickets(1, 6))
	require.Equal(t, 1, state.Waiting(), "what had ended before stays ended")

	full := semaphore.New(attune.QueueSnapshot{
		Policy:       attune.QueuePolicy{Limit: 1, MaxQueued: 2, Overflow: attune.OverflowReject},
		LastSequence: 5, Waiting: tickets(1, 5),
	})
	full.Rebuilt(start)
	require.Equal(t, []int64{1}, granted(full))
	require.Equal(t, 2, full.Waiting())
	require.Equal(t, int64(5), full.UnrecordedSettlements(1)[0].Sequence, "the bound applies to a line that was rebuilt")
}

func TestState_ByHand(t *testing.T) {
	t.Parallel()

	t.Run("a paused queue grants nothing and accepts tickets", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		require.NoError(t, setMode(state, start, person, attune.QueuePaused))
		state.Acquire(start, tickets(1, 2))
		require.Empty(t, granted(state))
		require.NoError(t, setMode(state, start, person, attune.QueueOpen))
		require.Equal(t, []int64{1}, granted(state))
	})

	t.Run("a draining queue grants waiting tickets and rejects newcomers", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		require.NoError(t, setMode(state, start, person, attune.QueueDraining))
		state.Acquire(start, tickets(2, 3))
		state.Release(start, tickets(1, 1))
		require.Equal(t, []int64{2}, granted(state))
		require.Equal(t, attune.Settlement{
			Ticket: tickets(3, 3)[0], Status: attune.EnforcementRejected, Reason: attune.ReasonQueueDraining,
			Bound: &attune.Bound{Name: attune.BoundDraining, Count: 1},
		}, state.UnrecordedSettlements(1)[0])
		require.Zero(t, state.Waiting())
	})

	t.Run("a manual limit is in force until it expires, and grants record it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 7, Limit: 1})
		state.SetSleepAfter(2 * time.Hour)
		state.Acquire(start, tickets(1, 9))
		require.NoError(t, setLimit(state, start, person, &attune.LimitOverride{Limit: 3, Until: start.Add(time.Hour)}))
		require.Equal(t, []int64{1, 2, 3}, granted(state))
		require.Equal(t, 3, state.Undelivered(3)[2].Limit)
		require.EqualValues(t, 7, state.Undelivered(3)[2].Revision)
		wake, ok := state.WakeAt()
		require.True(t, ok)
		state.Release(wake, tickets(1, 3))
		require.Equal(t, []int64{4}, granted(state), "the policy's limit again")
		_, set := state.Override()
		require.False(t, set)
	})

	t.Run("every change records its author, its start and its result", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		require.NoError(t, setMode(state, start, person, attune.QueuePaused))
		require.NoError(t, setLimit(state, start, person, &attune.LimitOverride{Limit: 4}))
		state.Acquire(start, tickets(1, 1))
		require.NoError(t, cancel(state, start, authorNamed("ops", "not needed"), tickets(1, 1)[0]))
		control := state.UnrecordedChanges(10, 1)
		require.Equal(t, attune.QueuePaused, control.Mode)
		require.Equal(t, []attune.QueueChange{
			{Number: 1, Request: "request 1", At: start, Author: authorNamed("person", ""), Kind: attune.ChangeMode, From: "open", To: "paused"},
			{Number: 2, Request: "request 2", At: start, Author: authorNamed("person", ""), Kind: attune.ChangeLimit, From: "1 by policy", To: "4 by hand"},
			{Number: 3, Request: "request 3", At: start, Author: authorNamed("ops", "not needed"), Kind: attune.ChangeCancel, From: "queued", To: "cancelled", Enforcement: 101},
		}, control.Changes)
		state.ChangesRecorded(3)
		require.Empty(t, state.UnrecordedChanges(10, 1).Changes)
	})
}

func TestState_Inspection(t *testing.T) {
	t.Parallel()
	state := open(attune.QueuePolicy{Limit: 3})
	state.Acquire(start, tickets(1, 5))
	state.Delivered(state.Undelivered(3))
	require.Empty(t, state.Suspects(start))
	wake, ok := state.InspectAt()
	require.True(t, ok)
	require.Equal(t, start.Add(semaphore.InspectAfter), wake)
	require.Len(t, state.Suspects(wake), 3)
	require.Empty(t, state.Suspects(wake), "asked once per interval")

	state.Inspected(wake, tickets(1, 1), tickets(2, 2))
	require.Equal(t, []int64{2, 4}, granted(state), "1 had ended and made room, 2 never got its grant, 3 runs")
	require.EqualValues(t, 1, state.Counters().Recovered)
}
