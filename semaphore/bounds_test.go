package semaphore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestState_Bounds(t *testing.T) {
	t.Parallel()

	t.Run("the state lists a bounded number of tickets that were acquired again", func(t *testing.T) {
		t.Parallel()
		const most = 100
		state := open(attune.QueuePolicy{Limit: most + 1, MaxQueued: most + 1})
		all := tickets(1, most+1)
		state.Acquire(start, all)
		state.Release(start, all)
		state.Acquire(start, all)
		require.Len(t, state.Reacquired(), most)
	})

	t.Run("the state remembers a bounded number of places that ended before their tickets arrived", func(t *testing.T) {
		t.Parallel()
		const most = 10_000
		state := open(attune.QueuePolicy{Limit: 0})
		for n := range int64(most) {
			state.Release(start, tickets(2+n, 2+n))
		}
		require.EqualValues(t, most, state.Counters().Accepted)
		state.Release(start, tickets(most+2, most+2))
		require.EqualValues(t, most, state.Counters().Accepted, "one place too many")
		state.Acquire(start, tickets(1, most+2))
		require.Equal(t, []int64{1, most + 2}, waitingIn(state), "the row of the forgotten ticket says that it has ended")
	})
}
