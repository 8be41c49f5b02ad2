package workflows_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
	"github.com/attune-go/attune/workflows"
)

// byKey is a queue with the limit 3 in total and 1 per lane, whose tickets are in three lanes in turn.
func byKey(t *testing.T, busy attune.WhenBusy) *stage {
	t.Helper()
	s := setup(t, 3)
	s.policy.Across = attune.AcrossSkip
	s.policy.Actions = []attune.ActionPolicy{{Action: 7, LimitPerKey: new(1), WhenBusy: busy}}
	s.laneOf = func(sequence int64) (int32, attune.ActionID) { return int32(1 + sequence%3), 7 }
	return s
}

func TestActionQueueWorkflow_Lanes(t *testing.T) {
	t.Parallel()

	t.Run("lanes go on beside each other, each in order and within its limit", func(t *testing.T) {
		t.Parallel()
		s := byKey(t, attune.BusyWait)
		held, release := make(chan struct{}), make(chan struct{})
		s.run = func(id attune.EnforcementID) {
			if id == 100 { // sequence 1, in lane 2
				close(held)
				<-release
			}
		}
		s.acquire(t, 30)
		<-held
		s.eventually(t, "the other lanes have ended", func() bool { return s.count(attune.EnforcementExecuted) == 20 })
		s.eventually(t, "their slots are free", func() bool { return s.view(t).Active == 1 })
		view := s.view(t)
		why, err := s.queues.Why(t.Context(), queueKey, view.Front[0].Enforcement)
		require.NoError(t, err)
		require.Equal(t, []semaphore.Obstacle{{Kind: semaphore.ObstacleLimit, Level: semaphore.LevelLane, Limit: 1, Holders: 1}}, why.Obstacles)
		close(release)
		s.eventually(t, "all have ended", func() bool { return s.count(attune.EnforcementExecuted) == 30 })

		s.mu.Lock()
		defer s.mu.Unlock()
		lanes := map[int32][]int64{}
		for _, grant := range s.started {
			lanes[grant.Lane] = append(lanes[grant.Lane], grant.Sequence)
		}
		require.Len(t, lanes, 3)
		for lane, sequences := range lanes {
			require.Len(t, sequences, 10)
			require.True(t, slices.IsSorted(sequences), "lane %d: %v", lane, sequences)
		}
	})

	t.Run("grants across lanes are delivered only after their decision is durable", func(t *testing.T) {
		t.Parallel()
		s := byKey(t, attune.BusyWait)
		s.acquire(t, 12)
		s.eventually(t, "all have ended", func() bool { return s.count(attune.EnforcementExecuted) == 12 })
		scheduled := 0
		history := s.client.GetWorkflowHistory(t.Context(), workflows.QueueWorkflowID(queueKey), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			require.NoError(t, err)
			if event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == workflows.ActivityDeliverGrants {
				scheduled++
			}
			for _, data := range event.GetMarkerRecordedEventAttributes().GetDetails() {
				for _, payload := range data.GetPayloads() {
					require.NotContains(t, string(payload.GetData()), workflows.ActivityDeliverGrants)
				}
			}
		}
		require.Positive(t, scheduled)
	})

	t.Run("a queue whose lanes begin to pass each other adopts the policy in a later task", func(t *testing.T) {
		t.Parallel()
		s := byKey(t, attune.BusyWait)
		skip := s.policy
		skip.Revision = 2
		s.policy = attune.QueuePolicy{Revision: 1, Limit: 1, MaxQueued: 10_000, Overflow: attune.OverflowReject}
		held, release := make(chan struct{}), make(chan struct{})
		s.run = func(id attune.EnforcementID) {
			if id == 100 {
				close(held)
				<-release
			}
		}
		s.acquire(t, 7) // sequences 1, 4 and 7 are in lane 2
		<-held
		require.NoError(t, s.queues.SetPolicy(t.Context(), queueKey, skip))
		s.eventually(t, "the other lanes have ended", func() bool { return s.count(attune.EnforcementExecuted) == 4 })
		require.EqualValues(t, 2, s.view(t).Policy.Revision)
		close(release)
		s.eventually(t, "all have ended", func() bool { return s.count(attune.EnforcementExecuted) == 7 })
	})

	t.Run("a newcomer replaces what waits and what runs", func(t *testing.T) {
		t.Parallel()
		s := byKey(t, attune.BusyReplace)
		s.laneOf = func(int64) (int32, attune.ActionID) { return 1, 7 }
		asked, cancel := context.WithCancel(t.Context())
		defer cancel()
		running := make(chan struct{})
		s.run = func(id attune.EnforcementID) {
			if id == 100 {
				close(running)
				<-asked.Done()
			}
		}
		s.acquire(t, 1)
		<-running
		s.acquire(t, 2)
		s.eventually(t, "the holder is asked to end", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Contains(s.replaced, 100)
		})
		s.eventually(t, "the second was replaced by the third", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.rows[101].status == attune.EnforcementCancelled && s.rows[101].reason == attune.ReasonReplaced
		})
		cancel()
		s.eventually(t, "the third runs", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
	})
}
