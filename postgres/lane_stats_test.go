package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func (b *bundle) laneStats(t *testing.T, page attune.LanePage) []attune.LaneStats {
	t.Helper()
	lanes, err := b.queues.Lanes(t.Context(), queueKey, page)
	require.NoError(t, err)
	return lanes
}

func TestQueues_LaneStats(t *testing.T) {
	t.Parallel()

	t.Run("the lanes of a queue are counted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Empty(t, b.laneStats(t, attune.LanePage{}), "an unused queue has none")
		a, c, none := attune.LaneOf("a"), attune.LaneOf("c"), attune.NoLane
		tickets := b.admit(t, b.inLanes(t, deploy, a, c, none, a, "", none, a)...)
		b.admitElsewhere(t)
		want := []attune.LaneStats{
			{Number: 1, Name: a, Waiting: 3, Head: 1, OldestAt: &tickets[0].EnqueuedAt},
			{Number: 2, Name: c, Waiting: 1, Head: 2, OldestAt: &tickets[1].EnqueuedAt},
			{Number: 3, Name: none, Waiting: 2, Head: 3, OldestAt: &tickets[2].EnqueuedAt},
		}
		require.Empty(t, cmp.Diff(want, b.laneStats(t, attune.LanePage{})))

		// The first of lane 1 ends, the next one holds its slot, and lane 2 has nothing left that waits.
		b.finish(t, reportOf(b.request(t, tickets[0])))
		b.request(t, tickets[3])
		b.request(t, tickets[1])
		b.request(t, tickets[4])
		want = []attune.LaneStats{
			{Number: 3, Name: none, Waiting: 2, Head: 3, OldestAt: &tickets[2].EnqueuedAt},
			{Number: 1, Name: a, Waiting: 1, Active: 1, Granted: 2, Head: 7, OldestAt: &tickets[6].EnqueuedAt},
			{Number: 2, Name: c, Active: 1, Granted: 1},
		}
		require.Empty(t, cmp.Diff(want, b.laneStats(t, attune.LanePage{})), "the lane that waits longest comes first")
		require.Empty(t, cmp.Diff(want[:1], b.laneStats(t, attune.LanePage{Limit: 1})))
	})

	t.Run("pages have every lane once, in order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var names []attune.LaneName
		for i := range 7 {
			names = append(names, attune.LaneOf(fmt.Sprint(i)))
		}
		tickets := b.admit(t, b.inLanes(t, deploy, names...)...)
		for _, idle := range []int{0, 3, 6} {
			b.finish(t, reportOf(b.request(t, tickets[idle])))
		}
		for limit := range 4 {
			var numbers []int32
			page := attune.LanePage{Limit: limit + 1}
			for found := b.laneStats(t, page); len(found) > 0; found = b.laneStats(t, page) {
				for _, lane := range found {
					numbers = append(numbers, lane.Number)
				}
				page = found[len(found)-1].Next(limit + 1)
			}
			require.Equal(t, []int32{2, 3, 5, 6, 1, 4, 7}, numbers)
		}
	})
}

// admitElsewhere admits an enforcement to a lane of another queue.
func (b *bundle) admitElsewhere(t *testing.T) {
	t.Helper()
	_, err := b.enforcements.Admit(t.Context(), b.inLanes(t, notify, attune.LaneOf("elsewhere")))
	require.NoError(t, err)
}
