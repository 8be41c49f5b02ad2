package semaphore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

func retry(ticket attune.Ticket, attempt int, at time.Time) []attune.Retry {
	ticket.Attempt = attempt
	return []attune.Retry{{Ticket: ticket, NotBefore: at}}
}

func TestState_RetryInPlace(t *testing.T) {
	t.Parallel()
	soon := start.Add(10 * time.Second)

	t.Run("a retry in place keeps its slot and starts after its delay", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Delivered(state.Undelivered(1))
		state.Retry(start, retry(tickets(1, 1)[0], 2, soon))
		requireNothingToDo(t, state)
		require.Equal(t, 1, state.Active())
		wake, ok := state.WakeAt()
		require.True(t, ok)
		require.Equal(t, soon, wake)

		state.Advance(soon)
		grants := state.Undelivered(10)
		require.Len(t, grants, 1)
		require.Equal(t, 2, grants[0].Attempt)
		require.EqualValues(t, 1, grants[0].Number, "the grant is the same")
		wake, _ = state.WakeAt()
		require.Equal(t, soon.Add(semaphore.SleepAfter), wake, "only the next check for long waiting tickets is due")
	})

	t.Run("a late report about the previous attempt does not affect the next one", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 1))
		first := state.Undelivered(1)
		state.Retry(start, retry(tickets(1, 1)[0], 2, start))
		state.Delivered(first)
		require.Len(t, state.Undelivered(1), 1)
	})

	t.Run("no retry starts while the queue is paused", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 1))
		state.Delivered(state.Undelivered(1))
		state.Retry(start, retry(tickets(1, 1)[0], 2, soon))
		require.NoError(t, setMode(state, start, authorNamed("ann", ""), attune.QueuePaused))
		_, ok := state.WakeAt()
		require.False(t, ok)
		state.Advance(soon)
		require.Empty(t, state.Undelivered(1))
		require.NoError(t, setMode(state, soon, authorNamed("ann", ""), attune.QueueOpen))
		require.Len(t, state.Undelivered(1), 1)
	})

	t.Run("a retry that is repeated, old or without a holder is only counted", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Retry(start, retry(tickets(1, 1)[0], 1, soon))
		state.Retry(start, retry(tickets(1, 1)[0], 2, soon))
		state.Retry(start, retry(tickets(1, 1)[0], 2, soon))
		state.Retry(start, retry(tickets(3, 3)[0], 2, soon))
		require.EqualValues(t, 3, state.Counters().Unknown)
		require.EqualValues(t, 1, state.Counters().Retried)
	})

	t.Run("a retry of a waiting ticket sets its attempt, because the decision to grant it was lost", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Retry(start, retry(tickets(2, 2)[0], 2, soon))
		state.Release(start, tickets(1, 1))
		require.Equal(t, 2, state.Undelivered(1)[0].Attempt)
	})
}

func TestState_RetryAtTheBack(t *testing.T) {
	t.Parallel()
	again := attune.Ticket{Enforcement: 101, Sequence: 4, EnqueuedAt: start, Attempt: 2}

	t.Run("a retry at the back frees its slot when it arrives, and runs in its turn", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 3))
		state.Acquire(start, []attune.Ticket{again})
		require.Equal(t, []int64{2}, granted(state))
		state.Release(start, tickets(1, 1))
		require.Equal(t, 1, state.Active(), "a late release of its old place frees nothing")
		state.Release(start, tickets(2, 3))
		require.Equal(t, []int64{4}, granted(state))
		require.Equal(t, 2, state.Undelivered(1)[0].Attempt)
		state.Release(start, tickets(1, 1))
		require.Equal(t, 1, state.Active(), "nor does a release of the old place free the new one")
		state.Release(start, []attune.Ticket{again})
		require.Zero(t, state.Active())
	})

	t.Run("neither draining nor the bound refuses a retry", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 2, Overflow: attune.OverflowReject})
		state.Acquire(start, tickets(1, 3))
		require.NoError(t, setMode(state, start, authorNamed("ann", ""), attune.QueueDraining))
		state.Acquire(start, []attune.Ticket{again, {Enforcement: 105, Sequence: 5, EnqueuedAt: start}})
		require.Len(t, state.UnrecordedSettlements(10), 1)
		require.EqualValues(t, 5, state.UnrecordedSettlements(1)[0].Sequence)

		require.NoError(t, setMode(state, start, authorNamed("ann", ""), attune.QueueOpen))
		state.Acquire(start, []attune.Ticket{
			{Enforcement: 106, Sequence: 6, EnqueuedAt: start}, {Enforcement: 102, Sequence: 7, EnqueuedAt: start, Attempt: 2},
		})
		require.Len(t, state.UnrecordedSettlements(10), 2)
		require.EqualValues(t, 6, state.UnrecordedSettlements(2)[1].Sequence, "the newcomer loses, not the retry behind it")
	})
}

func TestState_Generation(t *testing.T) {
	t.Parallel()
	state := semaphore.New(attune.QueueSnapshot{
		Policy: attune.QueuePolicy{Limit: 2, MaxQueued: 10}, Generation: 3, LastSequence: 2, LastGrant: 7,
		Holders: []attune.Grant{{Ticket: attune.Ticket{Enforcement: 101, Sequence: 1, Attempt: 2}, Generation: 2, Number: 7, NotBefore: start}},
		Waiting: tickets(2, 2),
	})
	state.Rebuilt(start)
	grants := state.Undelivered(10)
	require.Len(t, grants, 2)
	require.EqualValues(t, 3, grants[0].Generation, "who holds a slot now holds it by this generation's leave")
	require.EqualValues(t, 3, grants[1].Generation)
	require.EqualValues(t, 8, grants[1].Number)
}

func TestState_Sleepers(t *testing.T) {
	t.Parallel()
	later := func(looks int) time.Time { return start.Add(time.Duration(looks) * semaphore.SleepAfter) }

	t.Run("a ticket that has waited for long is returned once", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 3))
		at, ok := state.WakeAt()
		require.True(t, ok)
		require.Equal(t, later(1), at)
		late := attune.Ticket{Enforcement: 104, Sequence: 4, EnqueuedAt: start.Add(time.Second)}
		state.Acquire(start.Add(time.Second), []attune.Ticket{late})
		require.Empty(t, state.SleepersToStart(10))

		state.Advance(later(1))
		require.Equal(t, tickets(2, 3), state.SleepersToStart(10))
		require.Equal(t, tickets(2, 2), state.SleepersToStart(1))
		state.SleepersStarted(state.SleepersToStart(10))
		require.Empty(t, state.SleepersToStart(10))
		require.EqualValues(t, 3, state.AsleepUpTo())
		state.Advance(later(2))
		require.Equal(t, []attune.Ticket{late}, state.SleepersToStart(10))
	})

	t.Run("a fast queue returns no tickets", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 1000})
		state.Acquire(start, tickets(1, 300))
		for sequence := range int64(100) {
			state.Release(start, tickets(sequence+1, sequence+1))
		}
		state.Advance(later(1))
		require.Empty(t, state.SleepersToStart(10))
		state.Release(later(1), tickets(101, 101))
		state.Advance(later(2))
		require.Equal(t, tickets(103, 300), state.SleepersToStart(1000))
	})

	t.Run("an empty line needs no check", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Release(start, tickets(1, 1))
		_, ok := state.WakeAt()
		require.False(t, ok)
	})
}
