package semaphore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// waitingIn returns the sequences of the line, in order.
func waitingIn(state *semaphore.State) []int64 {
	sequences := []int64{}
	for _, ticket := range state.Front(state.Waiting()) {
		sequences = append(sequences, ticket.Sequence)
	}
	return sequences
}

func attempt(n int, of attune.Ticket) []attune.Ticket {
	of.Attempt = n
	return []attune.Ticket{of}
}

func TestState_Counters(t *testing.T) {
	t.Parallel()

	t.Run("each operation counts its outcome", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Acquire(start, tickets(1, 2)) // one holds, one waits
		state.Acquire(start, tickets(6, 6))
		state.Acquire(start, tickets(6, 6)) // behind a gap
		require.NoError(t, cancel(state, start, person, tickets(7, 7)[0]))
		state.Acquire(start, tickets(7, 7)) // ended before its turn
		require.Error(t, cancel(state, start, person, tickets(1, 1)[0]))
		state.Backfill(start, semaphore.Gap{From: 3, To: 5}, tickets(4, 4))
		state.Release(start, tickets(1, 2)) // one holds a slot, and one ran under a lost decision
		state.Release(start, tickets(1, 1))
		require.Equal(t, semaphore.Counters{
			Accepted: 5, Granted: 3, Completed: 1, Cancelled: 1, Withdrawn: 1, Repeated: 4, Unknown: 2, Skipped: 2,
		}, state.Counters())
	})

	t.Run("a draining queue keeps the place of a newcomer that arrived before, and counts it as repeated", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		state.Acquire(start, tickets(2, 2))
		require.NoError(t, setMode(state, start, person, attune.QueueDraining))
		state.Acquire(start, tickets(2, 3))
		state.Acquire(start, tickets(3, 3))
		require.Equal(t, []int64{2}, waitingIn(state), "3 was rejected")
		require.Equal(t, semaphore.Counters{Accepted: 2, Rejected: 1, Repeated: 2}, state.Counters())
	})

	t.Run("a rebuilt queue counts its holders and waiting tickets as accepted", func(t *testing.T) {
		t.Parallel()
		state := semaphore.New(attune.QueueSnapshot{
			Policy: attune.QueuePolicy{Limit: 1, MaxQueued: 100}, LastSequence: 3, LastGrant: 1,
			Holders: []attune.Grant{{Ticket: tickets(1, 1)[0], Number: 1}}, Waiting: tickets(2, 3),
		})
		require.Equal(t, semaphore.Counters{Accepted: 3, Granted: 1}, state.Counters())
	})

	t.Run("a slot that an inspection frees counts as recovered and completed", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 1))
		state.Inspected(start, tickets(1, 2), nil)
		require.Equal(t, semaphore.Counters{Accepted: 1, Granted: 1, Completed: 1, Recovered: 1}, state.Counters())
	})
}

func TestState_Line(t *testing.T) {
	t.Parallel()

	t.Run("tickets behind a gap have positions behind the tickets in front of it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, append(tickets(1, 3), tickets(5, 6)...))
		require.Equal(t, []int64{2, 3, 5, 6}, waitingIn(state))
		require.Equal(t, append(tickets(2, 3), tickets(5, 5)...), state.Front(3))
		require.Equal(t, 3, state.Position(105))
		require.Equal(t, 4, state.Position(106))
	})

	t.Run("a ticket is never older than the ticket in front of it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0, QueueTimeout: attune.Duration(time.Minute)})
		line := tickets(1, 3)
		line[1].EnqueuedAt, line[2].EnqueuedAt = start.Add(-time.Second), start.Add(time.Second)
		state.Acquire(start, line)
		state.Advance(start.Add(time.Minute - time.Millisecond))
		require.Equal(t, 3, state.Waiting())
		state.Advance(start.Add(time.Minute))
		require.Equal(t, []int64{3}, waitingIn(state), "the first two expire together")
	})

	t.Run("a ticket for the first attempt is a newcomer, with attempt 0 or 1", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0, MaxQueued: 1, Overflow: attune.OverflowReject})
		state.Acquire(start, attempt(1, tickets(1, 1)[0]))
		state.Acquire(start, attempt(1, tickets(2, 2)[0]))
		require.Equal(t, []int64{1}, waitingIn(state))
		require.NoError(t, setMode(state, start, person, attune.QueueDraining))
		state.Acquire(start, attempt(1, tickets(3, 3)[0]))
		require.EqualValues(t, 2, state.Counters().Rejected)
	})

	t.Run("a repeated revision of the policy changes nothing", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Revision: 2, Limit: 1})
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 5})
		require.Equal(t, 1, state.Policy().Limit)
		state.SetPolicy(start, attune.QueuePolicy{Revision: 3, Limit: -1})
		state.SetPolicy(start, attune.QueuePolicy{Revision: 3, Limit: 1, MaxQueued: -1})
		require.EqualValues(t, 2, state.Policy().Revision, "negative numbers")
		state.SetPolicy(start, attune.QueuePolicy{Revision: 3, Limit: 0, MaxQueued: 0})
		require.EqualValues(t, 3, state.Policy().Revision)
	})
}

func TestState_Backfill(t *testing.T) {
	t.Parallel()

	// The first grant leaves the gap 2 to 3 in front of 4.
	behindGap := func(policy attune.QueuePolicy) *semaphore.State {
		state := open(policy)
		state.Acquire(start, append(tickets(1, 1), tickets(4, 4)...))
		return state
	}
	gap := semaphore.Gap{From: 2, To: 3}

	t.Run("the first and the last ticket of a gap wait", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Limit: 1})
		state.Backfill(start, gap, tickets(2, 3))
		require.Equal(t, []int64{2, 3, 4}, waitingIn(state))
		require.Zero(t, state.Counters().Skipped)
	})

	t.Run("all tickets of a gap have ended", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Limit: 1})
		state.Backfill(start, gap, nil)
		require.Equal(t, []int64{4}, waitingIn(state))
		require.EqualValues(t, 2, state.Counters().Skipped)
		_, missing := state.Missing()
		require.False(t, missing)
	})

	t.Run("a gap consists of one ticket", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(2, 2))
		state.Backfill(start, semaphore.Gap{From: 3, To: 3}, nil)
		require.Equal(t, []int64{2, 4}, waitingIn(state))
	})

	t.Run("a late backfill, or a backfill of another gap, changes nothing", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Limit: 1})
		state.Backfill(start, semaphore.Gap{From: 3, To: 3}, nil)
		missing, _ := state.Missing()
		require.Equal(t, gap, missing, "2 may still arrive, so 3 is not passed over")
		state.Backfill(start, gap, tickets(2, 3))
		before := carriedOver(t, state)
		state.Backfill(start, gap, tickets(2, 3))
		require.Equal(t, before, carriedOver(t, state))
	})

	t.Run("a late backfill drops no ticket from a line above the bound", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Revision: 1, Limit: 1})
		state.Backfill(start, gap, tickets(2, 3))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 2, Limit: 1, MaxQueued: 1, Overflow: attune.OverflowReject})
		state.Backfill(start, gap, tickets(2, 3))
		require.Equal(t, []int64{2, 3, 4}, waitingIn(state))
	})

	t.Run("the bound applies to the newcomers that join when the gap closes, not to retries", func(t *testing.T) {
		t.Parallel()
		state := behindGap(attune.QueuePolicy{Limit: 1, MaxQueued: 1, Overflow: attune.OverflowReject})
		state.Backfill(start, gap, append(tickets(2, 2), attempt(2, tickets(3, 3)[0])...))
		require.Equal(t, []int64{3}, waitingIn(state), "2 and 4 join together with the retry, and one ticket may wait")
	})
}

func TestState_LeavesOthersAlone(t *testing.T) {
	t.Parallel()

	t.Run("a retry at the back frees no slot of another enforcement", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		state.Release(start, tickets(1, 1))
		again := attune.Ticket{Enforcement: 101, Sequence: 3, EnqueuedAt: start, Attempt: 2}
		state.Acquire(start, []attune.Ticket{again})
		require.Equal(t, []int64{2}, granted(state))
		require.Equal(t, []int64{3}, waitingIn(state))
	})

	t.Run("a late cancel fails without affecting other changes", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 3))
		require.NoError(t, cancel(state, start, person, tickets(2, 2)[0]))
		require.NoError(t, cancel(state, start, person, tickets(3, 3)[0]))
		require.NoError(t, setMode(state, start, person, attune.QueuePaused))
		state.SettlementsRecorded(start, 2, []attune.Grant{{Ticket: tickets(2, 2)[0], Number: 2}})
		recorded, _ := state.ChangeOutcome(1)
		require.False(t, recorded, "it is not recorded yet")
		state.ChangesRecorded(3)
		recorded, failure := state.ChangeOutcome(1)
		require.True(t, recorded)
		require.EqualError(t, failure, "enforcement 102 does not wait in this queue")
		for _, number := range []int64{2, 3} {
			recorded, failure = state.ChangeOutcome(number)
			require.True(t, recorded)
			require.NoError(t, failure)
		}
	})

	t.Run("a change is never recorded before an earlier change", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		state.Acquire(start, tickets(1, 1))
		require.NoError(t, cancel(state, start, person, tickets(1, 1)[0]))
		require.NoError(t, setMode(state, start, person, attune.QueuePaused))
		require.Empty(t, state.UnrecordedChanges(9, 0).Changes, "the cancel waits for its settlement, and the pause for the cancel")
		state.SettlementsRecorded(start, 1, nil)
		require.Len(t, state.UnrecordedChanges(9, 0).Changes, 2)
	})

	t.Run("a repeated retry of a ticket that waits or is behind a gap counts once", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		state.Acquire(start, append(tickets(1, 1), tickets(3, 3)...))
		for _, n := range []int{1, 2, 2} {
			state.Retry(start, retry(tickets(1, 1)[0], n, start))
			state.Retry(start, retry(tickets(3, 3)[0], n, start))
		}
		require.EqualValues(t, 2, state.Counters().Retried)
		require.EqualValues(t, 4, state.Counters().Unknown, "the first attempt is no retry, and the second came twice")
		for _, ticket := range state.Front(2) {
			require.Equal(t, 2, ticket.Attempt)
		}
	})
}

func TestState_RecordedSettlements(t *testing.T) {
	t.Parallel()

	t.Run("the count of recorded settlements adds up over several rounds", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 4))
		for sequence := range int64(2) {
			require.NoError(t, cancel(state, start, person, tickets(sequence+2, sequence+2)[0]))
		}
		state.SettlementsRecorded(start, 1, nil)
		state.Release(start, tickets(1, 1))
		require.Empty(t, state.Deliverable(1), "the second cancel was decided before the grant")
		state.SettlementsRecorded(start, 1, nil)
		require.Len(t, state.Deliverable(1), 1)
	})

	t.Run("a grant that was decided before the settlement is kept", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 2, MaxQueued: 1, Overflow: attune.OverflowDropOldest})
		state.Acquire(start, tickets(1, 4)) // 1 and 2 are granted, 3 is dropped, 4 waits
		state.Release(start, tickets(1, 1)) // 4 is granted
		state.SettlementsRecorded(start, 1, []attune.Grant{{Ticket: attempt(1, tickets(3, 3)[0])[0], Number: 3}})
		require.Equal(t, []int64{2, 3}, granted(state), "the grant of 4 is taken back")
		require.Equal(t, []int64{4}, waitingIn(state))
		require.EqualValues(t, 3, state.Undelivered(2)[1].Number)
	})

	t.Run("a reinstated ticket that is listed twice holds one slot", func(t *testing.T) {
		t.Parallel()
		state, held := forgetful(t)
		state.SettlementsRecorded(start.Add(10*time.Second), 1, []attune.Grant{held, held})
		require.Equal(t, 1, state.Active())
		require.EqualValues(t, 1, state.Counters().Granted)
	})

	t.Run("a number that was used meanwhile is not assigned again", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 4))
		require.NoError(t, cancel(state, start, person, tickets(2, 2)[0]))
		state.Release(start, tickets(3, 3)) // it ran under a lost decision, which used number 2
		state.SettlementsRecorded(start, 1, []attune.Grant{{Ticket: tickets(2, 2)[0], Number: 2}})
		state.Release(start, tickets(1, 2))
		require.Equal(t, []int64{4}, granted(state))
		require.EqualValues(t, 4, state.Undelivered(1)[0].Number)
	})

	t.Run("each settlement keeps its status and reason when the state is carried over", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0, MaxQueued: 2, Overflow: attune.OverflowReject, QueueTimeout: attune.Duration(time.Minute)})
		state.Acquire(start, tickets(1, 4)) // 3 and 4 are rejected: the line is full
		require.NoError(t, setMode(state, start, person, attune.QueueDraining))
		state.Acquire(start, tickets(5, 5))
		require.NoError(t, cancel(state, start, person, tickets(1, 1)[0]))
		state.Advance(start.Add(time.Minute))
		var reasons []attune.Reason
		for _, settlement := range state.UnrecordedSettlements(9) {
			reasons = append(reasons, settlement.Reason)
		}
		require.Equal(t, []attune.Reason{
			attune.ReasonQueueFull, attune.ReasonQueueFull, attune.ReasonQueueDraining, attune.ReasonCancelled, attune.ReasonQueueTimeout,
		}, reasons)
		require.Equal(t, state.UnrecordedSettlements(9), carriedOver(t, state).UnrecordedSettlements(9))
	})
}

func TestState_FirstLook(t *testing.T) {
	t.Parallel()
	state := semaphore.New(attune.QueueSnapshot{Policy: attune.QueuePolicy{MaxQueued: 100}, LastSequence: 2, Waiting: tickets(1, 2)})
	rebuilt := start.Add(time.Hour)
	state.Rebuilt(rebuilt)
	require.Empty(t, state.SleepersToStart(9), "a queue that was just rebuilt gives its tickets the time to be granted")
	state.Advance(rebuilt.Add(semaphore.SleepAfter))
	require.Equal(t, tickets(1, 2), state.SleepersToStart(9))
}
