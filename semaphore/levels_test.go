package semaphore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// ticketIn returns a ticket of action 1 in a lane.
func ticketIn(lane int32, sequence int64) attune.Ticket {
	return attune.Ticket{Enforcement: attune.EnforcementID(100 + sequence), Sequence: sequence, EnqueuedAt: start, Lane: lane, Action: 1}
}

// of returns a ticket of an action in lane 0.
func of(action attune.ActionID, sequence int64) attune.Ticket {
	ticket := ticketIn(0, sequence)
	ticket.Action = action
	return ticket
}

// keyed is a policy with a limit per key.
func keyed(limit, perKey int, across attune.Across) attune.QueuePolicy {
	return attune.QueuePolicy{
		Revision: 1, Limit: limit, MaxQueued: 100, Across: across,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: &perKey}},
	}
}

func TestState_Lanes(t *testing.T) {
	t.Parallel()

	t.Run("a ticket of a free lane passes a blocked lane", func(t *testing.T) {
		t.Parallel()
		state := open(keyed(10, 1, attune.AcrossSkip))
		state.Acquire(start, []attune.Ticket{ticketIn(7, 1), ticketIn(7, 2), ticketIn(8, 3)})
		require.Equal(t, []int64{1, 3}, granted(state))
		require.Equal(t, []semaphore.Obstacle{{Kind: semaphore.ObstacleLimit, Level: semaphore.LevelLane, Limit: 1, Holders: 1}},
			state.Obstacles(ticketIn(7, 2)))
	})

	t.Run("with strict order, a blocked lane holds up all others", func(t *testing.T) {
		t.Parallel()
		state := open(keyed(10, 1, attune.AcrossStrict))
		state.Acquire(start, []attune.Ticket{ticketIn(7, 1), ticketIn(7, 2), ticketIn(8, 3)})
		require.Equal(t, []int64{1}, granted(state))
		require.Equal(t, []semaphore.Obstacle{{Kind: semaphore.ObstacleAhead, Level: semaphore.LevelQueue, Ahead: 2}},
			state.Obstacles(ticketIn(8, 3)))
	})

	t.Run("a slot goes to the lowest sequence of all lanes with room", func(t *testing.T) {
		t.Parallel()
		state := open(keyed(2, 1, attune.AcrossSkip))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(2, 2), ticketIn(1, 3), ticketIn(3, 4), ticketIn(2, 5)})
		require.Equal(t, []int64{1, 2}, granted(state))
		state.Release(start, []attune.Ticket{ticketIn(2, 2)})
		require.Equal(t, []int64{1, 4}, granted(state), "3 is behind 1, and 4 comes before 5")
		state.Release(start, []attune.Ticket{ticketIn(1, 1)})
		require.Equal(t, []int64{4, 3}, granted(state))
	})

	t.Run("the lane of a release is that of the holder, not of the signal", func(t *testing.T) {
		t.Parallel()
		state := open(keyed(10, 1, attune.AcrossSkip))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(2, 3), ticketIn(2, 4)})
		wrong := ticketIn(1, 1)
		wrong.Lane, wrong.Action = 2, 9
		state.Release(start, []attune.Ticket{wrong})
		require.Equal(t, []int64{3, 2}, granted(state))
	})

	t.Run("a higher limit per key grants at once, a lower one ends no holder", func(t *testing.T) {
		t.Parallel()
		state := open(keyed(10, 1, attune.AcrossSkip))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(1, 3)})
		higher := keyed(10, 3, attune.AcrossSkip)
		higher.Revision = 2
		state.SetPolicy(start, higher)
		require.Equal(t, []int64{1, 2, 3}, granted(state))
		lower := keyed(10, 1, attune.AcrossSkip)
		lower.Revision = 3
		state.SetPolicy(start, lower)
		state.Acquire(start, []attune.Ticket{ticketIn(1, 4)})
		state.Release(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2)})
		require.Equal(t, []int64{3}, granted(state), "one of three still holds")
		state.Release(start, []attune.Ticket{ticketIn(1, 3)})
		require.Equal(t, []int64{4}, granted(state))
	})

	t.Run("the limit of an action does not hold up another action of the queue", func(t *testing.T) {
		t.Parallel()
		policy := attune.QueuePolicy{Limit: 3, MaxQueued: 100, Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{{Action: 1, Limit: new(1)}}}
		state := open(policy)
		tickets := []attune.Ticket{of(1, 1), of(1, 2), of(2, 3), of(2, 4)}
		for i := range tickets {
			tickets[i].Lane = int32(tickets[i].Action)
		}
		state.Acquire(start, tickets)
		require.Equal(t, []int64{1, 3, 4}, granted(state))
	})

	t.Run("the grant names the slots that became free before it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 2})
		state.Acquire(start, tickets(1, 2))
		state.Release(start, tickets(1, 2))
		state.Acquire(start, tickets(3, 4))
		grants := state.Undelivered(10)
		require.Equal(t, [][]int64{{1, 2}, nil}, [][]int64{grants[0].Freed, grants[1].Freed})
	})
}

func TestState_WhenBusy(t *testing.T) {
	t.Parallel()
	busy := func(choice attune.WhenBusy) attune.QueuePolicy {
		policy := keyed(10, 1, attune.AcrossSkip)
		policy.Actions[0].WhenBusy = choice
		return policy
	}
	settled := func(state *semaphore.State) map[int64]attune.Reason {
		reasons := map[int64]attune.Reason{}
		for _, settlement := range state.UnrecordedSettlements(100) {
			reasons[settlement.Sequence] = settlement.Reason
		}
		return reasons
	}

	t.Run("skip rejects what cannot start at once", func(t *testing.T) {
		t.Parallel()
		state := open(busy(attune.BusySkip))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(2, 3)})
		require.Equal(t, []int64{1, 3}, granted(state))
		require.Equal(t, map[int64]attune.Reason{2: attune.ReasonBusy}, settled(state))
	})

	t.Run("replace keeps the newest, and asks the holder to end", func(t *testing.T) {
		t.Parallel()
		state := open(busy(attune.BusyReplace))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(2, 2)})
		require.Empty(t, state.ToEnd(10))
		state.Acquire(start, []attune.Ticket{ticketIn(1, 3), ticketIn(1, 4)})
		require.Equal(t, map[int64]attune.Reason{3: attune.ReasonReplaced}, settled(state))
		require.Equal(t, []int64{1, 2}, granted(state), "4 waits for the end of 1")
		grants := state.ToEnd(10)
		require.Len(t, grants, 1)
		require.EqualValues(t, 1, grants[0].Sequence)
		state.AskedToEnd(grants)
		require.Empty(t, state.ToEnd(10))
		state.Release(start, []attune.Ticket{ticketIn(1, 1)})
		require.Equal(t, []int64{2, 4}, granted(state))
	})
}

func TestState_StartRates(t *testing.T) {
	t.Parallel()
	minute := attune.Duration(time.Minute)
	at := start.Add

	t.Run("the third start in a window waits until the first is out of it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 10, Rates: []attune.StartRate{{Name: "r", Limit: 2, Window: minute}}})
		state.Acquire(start, tickets(1, 1))
		state.Acquire(at(20*time.Second), tickets(2, 3))
		require.Equal(t, []int64{1, 2}, granted(state))
		wake, ok := state.WakeAt()
		require.True(t, ok)
		require.Equal(t, at(30*time.Second), wake, "the scan for long waiters comes first")
		state.Advance(at(time.Minute - time.Millisecond))
		require.Equal(t, []int64{1, 2}, granted(state))
		state.Advance(at(time.Minute))
		require.Equal(t, []int64{1, 2, 3}, granted(state))
	})

	t.Run("a rate of one action holds up no other lane", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{
			Limit: 10, Across: attune.AcrossSkip,
			Actions: []attune.ActionPolicy{{Action: 1, Rates: []attune.StartRate{{Name: "r", Limit: 1, Window: minute}}}},
		})
		second := of(2, 3)
		second.Lane = 1
		state.Acquire(start, []attune.Ticket{of(1, 1), of(1, 2), second})
		require.Equal(t, []int64{1, 3}, granted(state))
		require.Equal(t, []semaphore.Obstacle{{
			Kind: semaphore.ObstacleRate, Level: semaphore.LevelAction, Rate: "r", Limit: 1, Window: attune.Duration(time.Minute), OpensAt: at(time.Minute),
		}},
			state.Obstacles(of(1, 2)))
	})

	t.Run("a retry is a start, and passes before waiting tickets", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 2, Rates: []attune.StartRate{{Name: "r", Limit: 1, Window: minute}}})
		state.Acquire(start, tickets(1, 2))
		state.Retry(start, []attune.Retry{{Ticket: attempt(2, tickets(1, 1)[0])[0], NotBefore: at(time.Second)}})
		state.Advance(at(time.Minute))
		require.Equal(t, []int64{1}, granted(state), "the second attempt of 1")
		state.Advance(at(2 * time.Minute))
		require.Equal(t, []int64{1, 2}, granted(state))
	})

	t.Run("a rate with a larger limit opens at once", func(t *testing.T) {
		t.Parallel()
		rate := func(revision int64, limit int) attune.QueuePolicy {
			return attune.QueuePolicy{
				Revision: revision, Limit: 10, MaxQueued: 100, Rates: []attune.StartRate{{Name: "r", Limit: limit, Window: minute}},
			}
		}
		state := open(rate(1, 1))
		state.Acquire(start, tickets(1, 4))
		state.SetPolicy(at(time.Second), rate(2, 3))
		require.Equal(t, []int64{1, 2, 3}, granted(state))
	})
}
