package semaphore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

func limitLane(state *semaphore.State, now time.Time, lane int32, limit *attune.LimitOverride) error {
	_, err := ask(state, now, person, attune.ChangeRequest{Kind: attune.ChangeLaneLimit, Lane: lane, Limit: limit})
	return err
}

// setLaneLimit sets or clears the manual limit of a lane.
func (m *machine) setLaneLimit(t *rapid.T) {
	lane := rapid.Int32Range(1, 3).Draw(t, "lane")
	current, set := m.oracle.manual[lane]
	if set && !current.Until.IsZero() && !m.now.Before(current.Until) {
		set = false
	}
	if rapid.IntRange(0, 3).Draw(t, "clear") == 0 {
		require.Equal(t, set, limitLane(m.state, m.now, lane, nil) == nil)
		delete(m.oracle.manual, lane)
		m.oracle.settle(m.now)
		return
	}
	limit := attune.LimitOverride{Limit: rapid.IntRange(0, 3).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "runs out") {
		limit.Until = m.now.Truncate(time.Second).Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "s")) * time.Second)
	}
	passed := !limit.Until.IsZero() && !limit.Until.After(m.now)
	err := limitLane(m.state, m.now, lane, &limit)
	require.Equal(t, passed || set && current == limit, err != nil, "%+v after %+v: %v", limit, current, err)
	if err == nil {
		m.oracle.manual[lane] = limit
	}
	m.oracle.settle(m.now)
}

// inLanes returns tickets with the sequences from 1, one for each lane.
func inLanes(lanes ...int32) []attune.Ticket {
	all := tickets(1, int64(len(lanes)))
	for i := range all {
		all[i].Lane = lanes[i]
	}
	return all
}

func TestState_LaneLimit(t *testing.T) {
	t.Parallel()
	perKey := attune.QueuePolicy{Limit: 10, Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{{LimitPerKey: new(1)}}}
	holders := func(state *semaphore.State) (sequences []int64) {
		for _, holder := range state.Holders() {
			sequences = append(sequences, holder.Sequence)
		}
		return sequences
	}

	t.Run("it grants at once, and replaces the limit per key of the policy", func(t *testing.T) {
		t.Parallel()
		state := open(perKey)
		state.Acquire(start, inLanes(1, 1, 1, 2, 2))
		require.Equal(t, []int64{1, 4}, holders(state))
		require.NoError(t, limitLane(state, start, 1, &attune.LimitOverride{Limit: 2}))
		require.Equal(t, []int64{1, 4, 2}, holders(state))
		grants := state.Holders()
		require.EqualValues(t, 0, grants[1].Changes)
		require.EqualValues(t, 1, grants[2].Changes, "the grant counts the change that allowed it")
		require.Equal(t, []semaphore.Obstacle{{Kind: semaphore.ObstacleLimit, Level: semaphore.LevelLane, Limit: 2, Holders: 2}},
			state.Obstacles(inLanes(1, 1, 1)[2]))
		state.SetPolicy(start, attune.QueuePolicy{Revision: 9, Limit: 10, MaxQueued: 10, Across: attune.AcrossSkip, Actions: perKey.Actions})
		require.Equal(t, []attune.LaneLimit{{Lane: 1, LimitOverride: attune.LimitOverride{Limit: 2}}}, state.LaneLimits(), "a policy leaves it alone")
	})

	t.Run("it ends at its time, which wakes the queue, and is carried over", func(t *testing.T) {
		t.Parallel()
		state := open(perKey)
		state.Acquire(start, inLanes(1, 2))
		until := start.Truncate(time.Second).Add(2 * time.Second)
		require.NoError(t, limitLane(state, start, 3, &attune.LimitOverride{Limit: 0, Until: until}))
		state = carriedOver(t, state)
		waiting := inLanes(1, 2, 3)[2]
		state.Acquire(start, []attune.Ticket{waiting})
		require.Equal(t, []int64{1, 2}, holders(state), "the limit was set before the lane had a ticket")
		at, ok := state.WakeAt()
		require.True(t, ok)
		require.Equal(t, until, at)
		state.Advance(at.Add(-time.Millisecond))
		require.Equal(t, []int64{1, 2}, holders(state))
		state.Advance(at)
		require.Equal(t, []int64{1, 2, 3}, holders(state))
		require.Empty(t, state.LaneLimits())
	})

	t.Run("a lower limit ends no holder", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 10, Across: attune.AcrossSkip})
		state.Acquire(start, inLanes(1, 1))
		require.NoError(t, limitLane(state, start, 1, &attune.LimitOverride{Limit: 1}))
		again := inLanes(1, 1, 1)
		state.Acquire(start, again[2:])
		state.Release(start, again[:1])
		require.Equal(t, []int64{2}, holders(state))
		state.Release(start, again[1:2])
		require.Equal(t, []int64{3}, holders(state))
	})

	t.Run("its records name the lane, and the latest limit of each lane", func(t *testing.T) {
		t.Parallel()
		state := open(perKey)
		require.NoError(t, limitLane(state, start, 2, &attune.LimitOverride{Limit: 5}))
		require.NoError(t, limitLane(state, start, 1, &attune.LimitOverride{Limit: 3}))
		require.NoError(t, limitLane(state, start, 2, nil))
		control := carriedOver(t, state).UnrecordedChanges(9, 0)
		var says []string
		for _, c := range control.Changes {
			says = append(says, fmt.Sprintf("%s %d: %s to %s", c.Kind, c.Lane, c.From, c.To))
		}
		require.Equal(t, []string{
			"lane_limit 2: by policy to 5 by hand", "lane_limit 1: by policy to 3 by hand", "lane_limit 2: 5 by hand to by policy",
		}, says)
		require.Empty(t, cmp.Diff([]attune.LaneControl{
			{Lane: 1, Change: 2, Override: &attune.LimitOverride{Limit: 3}}, {Lane: 2, Change: 3},
		}, control.Lanes))
		require.Empty(t, cmp.Diff([]attune.LaneControl{{Lane: 2, Change: 1, Override: &attune.LimitOverride{Limit: 5}}},
			state.UnrecordedChanges(1, 0).Lanes))
	})

	t.Run("a request without effect is a conflict, and one about no lane is invalid", func(t *testing.T) {
		t.Parallel()
		state := open(perKey)
		require.NoError(t, limitLane(state, start, 1, &attune.LimitOverride{Limit: 3}))
		require.EqualError(t, limitLane(state, start, 1, &attune.LimitOverride{Limit: 3}), "the limit of lane 1 is already 3 by hand")
		require.EqualError(t, limitLane(state, start, 2, nil), "lane 2 has no manual limit")
		for _, err := range []error{
			limitLane(state, start, 0, nil), limitLane(state, start, 1, &attune.LimitOverride{Limit: attune.MaxLimit + 1}),
			limitLane(state, start, 1, &attune.LimitOverride{Limit: 1, Until: start}),
		} {
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		}
	})

	t.Run("a queue has a bound for them, and a change of a known one is within the bound", func(t *testing.T) {
		t.Parallel()
		state := open(perKey)
		for lane := range int32(attune.MaxLaneLimits) {
			require.NoError(t, limitLane(state, start, lane+1, &attune.LimitOverride{Limit: 3}))
		}
		err := limitLane(state, start, attune.MaxLaneLimits+1, &attune.LimitOverride{Limit: 3})
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
		require.ErrorContains(t, err, "clear one")
		require.NoError(t, limitLane(state, start, 7, &attune.LimitOverride{Limit: 4}))
		require.NoError(t, limitLane(state, start, 8, nil))
		require.NoError(t, limitLane(state, start, attune.MaxLaneLimits+1, &attune.LimitOverride{Limit: 3}))
	})

	t.Run("a rebuilt queue has those of its rows", func(t *testing.T) {
		t.Parallel()
		state := semaphore.New(attune.QueueSnapshot{
			Policy: attune.QueuePolicy{Revision: 1, Limit: 10, MaxQueued: 10, Across: attune.AcrossSkip}, LastSequence: 3,
			LaneLimits: []attune.LaneLimit{{Lane: 1, LimitOverride: attune.LimitOverride{Limit: 1}}}, Waiting: inLanes(1, 1, 2),
		})
		state.Rebuilt(start)
		require.Equal(t, []int64{1, 3}, holders(state))
	})
}
