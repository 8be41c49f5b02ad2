package semaphore_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// rebuiltFrom returns the state of a rebuilt queue, as its workflow gets it: the activity that reads the rows encodes it.
func rebuiltFrom(t require.TestingT, snapshot attune.QueueSnapshot) *semaphore.State {
	state := carriedOver(t, semaphore.New(snapshot))
	state.Rebuilt(start)
	return state
}

func settledReasons(state *semaphore.State) map[int64]attune.Reason {
	reasons := map[int64]attune.Reason{}
	for _, settlement := range state.UnrecordedSettlements(1000) {
		reasons[settlement.Sequence] = settlement.Reason
	}
	return reasons
}

func TestState_Rebuilt(t *testing.T) {
	t.Parallel()

	t.Run("accepted tickets keep their places above lower bounds, and newcomers are bounded", func(t *testing.T) {
		t.Parallel()
		full := attune.QueueSnapshot{
			Policy: attune.QueuePolicy{Limit: 1, MaxQueued: 2, Overflow: attune.OverflowReject}, LastSequence: 5, Waiting: tickets(1, 5),
		}
		state := rebuiltFrom(t, full)
		require.Equal(t, map[int64]attune.Reason{4: attune.ReasonQueueFull, 5: attune.ReasonQueueFull}, settledReasons(state))

		full.Accepted = 4
		state = rebuiltFrom(t, full)
		require.Equal(t, []int64{1}, granted(state))
		require.Equal(t, map[int64]attune.Reason{5: attune.ReasonQueueFull}, settledReasons(state))
		require.Equal(t, 3, state.Waiting())

		full.Accepted = 5
		require.Empty(t, settledReasons(rebuiltFrom(t, full)))
	})

	t.Run("a lane keeps its accepted tickets, and what must not wait keeps its place", func(t *testing.T) {
		t.Parallel()
		policy := keyed(10, 1, attune.AcrossSkip)
		policy.Actions[0].MaxQueuedPerKey, policy.Actions[0].WhenBusy = new(1), attune.BusySkip
		snapshot := attune.QueueSnapshot{
			Policy: policy, LastSequence: 4, Accepted: 3,
			Waiting: []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(1, 3), ticketIn(1, 4)},
		}
		require.Equal(t, map[int64]attune.Reason{4: attune.ReasonBusy}, settledReasons(rebuiltFrom(t, snapshot)))
		snapshot.Policy.Actions[0].WhenBusy = attune.BusyWait
		require.Equal(t, map[int64]attune.Reason{4: attune.ReasonKeyQueueFull}, settledReasons(rebuiltFrom(t, snapshot)))
	})

	t.Run("an accepted ticket replaces none, a newcomer does", func(t *testing.T) {
		t.Parallel()
		policy := keyed(10, 1, attune.AcrossSkip)
		policy.Actions[0].WhenBusy = attune.BusyReplace
		snapshot := attune.QueueSnapshot{
			Policy: policy, LastSequence: 3, Accepted: 3, Waiting: []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(1, 3)},
		}
		require.Empty(t, settledReasons(rebuiltFrom(t, snapshot)))
		snapshot.Accepted = 2
		require.Equal(t, map[int64]attune.Reason{1: attune.ReasonReplaced, 2: attune.ReasonReplaced}, settledReasons(rebuiltFrom(t, snapshot)))
	})
}

// A rebuilt queue decides like a queue that has accepted some tickets, also above its bounds, and gets the others as arrivals.
func TestState_RebuiltLikeArrivals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := keyed(rapid.IntRange(0, 3).Draw(t, "limit"), rapid.IntRange(0, 2).Draw(t, "per key"),
			rapid.SampledFrom([]attune.Across{attune.AcrossSkip, attune.AcrossStrict}).Draw(t, "across"))
		policy.MaxQueued = rapid.IntRange(1, 5).Draw(t, "max queued")
		policy.Overflow = rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest}).Draw(t, "overflow")
		policy.Actions[0].MaxQueuedPerKey = new(rapid.IntRange(1, 3).Draw(t, "max queued per key"))
		policy.Actions[0].WhenBusy = rapid.SampledFrom([]attune.WhenBusy{attune.BusyWait, attune.BusySkip}).Draw(t, "when busy")
		n := rapid.IntRange(0, 12).Draw(t, "tickets")
		snapshot := attune.QueueSnapshot{
			Policy: policy, LastSequence: int64(n), Accepted: int64(rapid.IntRange(0, n).Draw(t, "accepted")),
		}
		for i := range n {
			snapshot.Waiting = append(snapshot.Waiting, ticketIn(int32(rapid.IntRange(1, 3).Draw(t, "lane")), int64(i+1)))
		}
		state := rebuiltFrom(t, snapshot)

		before := snapshot
		before.LastSequence, before.Waiting = snapshot.Accepted, snapshot.Waiting[:snapshot.Accepted]
		want := rebuiltFrom(t, before)
		want.Acquire(start, snapshot.Waiting[snapshot.Accepted:])
		require.Equal(t, granted(want), granted(state))
		require.Equal(t, settledReasons(want), settledReasons(state))
		require.Equal(t, want.Front(n), state.Front(n))
	})
}
