package workflows_test

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// lanesInUse counts the executions of each lane that run at the same time.
type lanesInUse struct {
	mu     sync.Mutex
	active map[int32]int
	most   int
}

func (l *lanesInUse) enter(lane int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active[lane]++
	l.most = max(l.most, l.active[lane])
}

func (l *lanesInUse) leave(lane int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[lane]--; l.active[lane] == 0 {
		delete(l.active, lane)
	}
}

// TestActionQueueWorkflow_ManyKeys runs a queue with a limit of 50 in total and 1 for each key. All tickets are in line before the first
// slot becomes free, one in eleven has the key of an earlier one. Meanwhile the orchestrators are replaced and the workflow of the queue is
// terminated, again and again. One workflow decides, no lane exceeds its limit or changes its order, and the carried state stays
// within its bound.
//
// Short: 300 keys, 2 times each. Long: 100 000 keys, 10 times each.
func TestActionQueueWorkflow_ManyKeys(t *testing.T) {
	t.Parallel()
	keys, losses := 300, 2
	if os.Getenv("ATTUNE_TEST_SOAK") != "" {
		keys, losses = attune.MaxQueuedLimit*10/11, 10
	}
	tickets := keys * 11 / 10
	s := newStageOfKeys(t, keys)
	used := &lanesInUse{active: map[int32]int{}}
	gate := make(chan struct{})
	s.run = func(id attune.EnforcementID) {
		lane, _ := s.laneOf(int64(id) - 99)
		used.enter(lane)
		<-gate
		used.leave(lane)
	}
	for left := tickets; left > 0; left -= 1000 {
		s.acquire(t, min(left, 1000))
	}
	s.eventually(t, "all are in line, and the slots are in use", func() bool {
		s.mu.Lock()
		active := s.active
		s.mu.Unlock()
		view := s.view(t)
		return view.Waiting+view.Active == tickets && active == s.policy.Limit
	})
	run := s.runID(t, workflows.QueueWorkflowID(queueKey))
	require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
	s.eventually(t, "the line is carried over", func() bool { return s.runID(t, workflows.QueueWorkflowID(queueKey)) != run })
	largest := s.largestState(t)
	close(gate)

	stop := func() {}
	for loss := range 2 * losses {
		s.progress(t, tickets*(loss+1)/(2*losses+1))
		if loss%2 == 0 {
			again := s.startWorkers(t)
			stop()
			stop = again
		} else {
			require.NoError(t, s.client.TerminateWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), "", "lost"))
			s.eventually(t, "the queue is started again", func() bool { return s.queues.ForceContinueAsNew(t.Context(), queueKey) == nil })
		}
	}
	s.progress(t, tickets)
	s.eventually(t, "all slots are free", func() bool { return s.view(t).Active == 0 })
	s.requireLanes(t)
	require.Equal(t, 1, used.most)
	t.Logf("measured: %d keys, %d tickets, %d losses, at most %d at once and %d of a key, largest carried state %d bytes",
		keys, tickets, 2*losses, s.most, used.most, largest)
	require.Less(t, largest, 1_800_000)
}

// newStageOfKeys returns a queue whose tickets have random keys.
func newStageOfKeys(t *testing.T, keys int) *stage {
	t.Helper()
	s := setup(t, 50)
	s.policy.Across, s.policy.MaxQueued = attune.AcrossSkip, attune.MaxQueuedLimit
	s.policy.Actions = []attune.ActionPolicy{{Action: 7, LimitPerKey: new(1)}}
	lanes := rand.New(rand.NewPCG(1, 2)).Perm(keys)
	s.laneOf = func(sequence int64) (int32, attune.ActionID) { return int32(1 + lanes[int(sequence)%keys]), 7 }
	return s
}

// progress waits until n enforcements were executed. The timeout bounds the wait for each step.
func (s *stage) progress(t *testing.T, n int) {
	t.Helper()
	for done := s.count(attune.EnforcementExecuted); done < n; {
		before := done
		s.eventually(t, "more are executed", func() bool {
			done = s.count(attune.EnforcementExecuted)
			return done > before
		})
	}
}

// requireLanes requires that every ticket was granted once, and the tickets of each lane in their order.
func (s *stage) requireLanes(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Len(t, s.started, len(s.order))
	require.LessOrEqual(t, s.most, s.policy.Limit)
	require.Empty(t, s.doubled)
	last := map[int32]int64{}
	for _, grant := range s.started {
		require.Greater(t, grant.Sequence, last[grant.Lane], "out of order in lane %d", grant.Lane)
		last[grant.Lane] = grant.Sequence
	}
}

// largestState returns the size of the largest input with which a run of the queue began.
func (s *stage) largestState(t *testing.T) (largest int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for run := s.runID(t, workflows.QueueWorkflowID(queueKey)); run != ""; {
		first := s.firstEvent(ctx, t, run)
		for _, payload := range first.GetInput().GetPayloads() {
			largest = max(largest, len(payload.GetData()))
		}
		run = first.GetContinuedExecutionRunId()
	}
	return largest
}

func (s *stage) firstEvent(ctx context.Context, t *testing.T, run string) *historypb.WorkflowExecutionStartedEventAttributes {
	t.Helper()
	event, err := s.client.GetWorkflowHistory(ctx, workflows.QueueWorkflowID(queueKey), run, false, 1).Next()
	require.NoError(t, err)
	return event.GetWorkflowExecutionStartedEventAttributes()
}
