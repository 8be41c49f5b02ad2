package workflows_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/semaphore"
	"github.com/attune-go/attune/workflows"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// stage is a world with a real Temporal.
type stage struct {
	*world
	client client.Client
	queues *workflows.QueueClient
	marked bool // workflows have search attributes
}

func setup(t *testing.T, limit int) *stage {
	t.Helper()
	return setupWorld(t, newWorld(limit))
}

func setupWorld(t *testing.T, w *world) *stage {
	t.Helper()
	return setupStage(t, &stage{world: w, client: testenv.TemporalClient(t)})
}

func setupStage(t *testing.T, s *stage) *stage {
	t.Helper()
	s.queues = workflows.NewQueueClient(s.client)
	if s.marked {
		s.queues = s.queues.WithSearchAttributes()
	}
	ctx := t.Context()
	s.report = func(ticket attune.Ticket) { s.release(ctx, ticket) }
	s.again = func(r *row) { insist(ctx, func() error { return s.askAgain(ctx, r) }) }
	s.startWorkers(t)
	return s
}

// release releases a ticket, as the bridge does when an execution ends.
func (s *stage) release(ctx context.Context, ticket attune.Ticket) {
	insist(ctx, func() error { return s.queues.Release(ctx, queueKey, []attune.Ticket{ticket}) })
}

// insist repeats a signal until the server accepts it, as the broker would redeliver the message.
func insist(ctx context.Context, signal func() error) {
	for signal() != nil && ctx.Err() == nil {
	}
}

// askAgain requests the next attempt from the queue, as the bridge and the intake do.
func (s *stage) askAgain(ctx context.Context, r *row) error {
	s.mu.Lock()
	ticket, attempt := r.ticket, r.attempt
	s.mu.Unlock()
	switch s.placement {
	case attune.RetryBack:
		return s.queues.Acquire(ctx, attune.Admission{Queue: queueKey, Policy: s.policy, Tickets: []attune.Ticket{ticket}})
	case attune.RetryPark:
		return s.queues.Release(ctx, queueKey, []attune.Ticket{ticket})
	default:
		ticket.Attempt = attempt + 1
		return s.queues.Retry(ctx, queueKey, []attune.Retry{{Ticket: ticket, NotBefore: time.Now().Add(200 * time.Millisecond)}})
	}
}

// startWorkers starts the temporal workers of an orchestrator and returns a function that stops them.
func (s *stage) startWorkers(t testing.TB) (stop func()) {
	t.Helper()
	queueWorker := worker.New(s.client, workflows.QueueTaskQueue, workflows.QueueWorkerOptions())
	enforcementWorker := worker.New(s.client, workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions())
	queueActivities := activities.NewQueueActivities(s.world, s.world, s.world, s.client, activities.QueuesConfig{
		InspectAfter: s.inspectAfter, SleepAfter: s.sleepAfter, SearchAttributes: s.marked,
	})
	enforcementActivities := activities.NewEnforcementActivities(s.world, s.world, s.world, s.queues)
	workflows.Register(queueWorker)
	workflows.Register(enforcementWorker)
	queueActivities.Register(queueWorker)
	enforcementActivities.Register(enforcementWorker)
	require.NoError(t, queueWorker.Start())
	require.NoError(t, enforcementWorker.Start())
	stop = sync.OnceFunc(func() { queueWorker.Stop(); enforcementWorker.Stop() })
	t.Cleanup(stop)
	return stop
}

func (s *stage) acquire(t *testing.T, n int) attune.Admission {
	t.Helper()
	admission := s.accept(n)
	s.eventually(t, "the signal is taken", func() bool { return s.queues.Acquire(t.Context(), admission) == nil })
	return admission
}

// eventually waits for a predicate. If it stays false, the test fails with the state of the queue.
func (s *stage) eventually(t *testing.T, what string, predicate func() bool) {
	t.Helper()
	// Long enough for a busy machine, and shorter than the interval of inspections, which would repair a lost signal.
	deadline := time.Now().Add(semaphore.InspectAfter - time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !predicate() {
		if time.Now().After(deadline) {
			view, err := s.queues.View(context.Background(), queueKey)
			require.FailNow(t, "never came true: "+what, "queue: %+v (%v)", view, err)
		}
		<-ticker.C
	}
}

// view queries the queue until it answers. A queue that is being rebuilt cannot answer yet.
func (s *stage) view(t *testing.T) (view workflows.QueueView) {
	t.Helper()
	s.eventually(t, "the queue answers", func() (answered bool) {
		var err error
		view, err = s.queues.View(t.Context(), queueKey)
		return err == nil
	})
	return view
}

func (s *stage) runID(t *testing.T, workflowID string) string {
	t.Helper()
	description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err, "describe %q", workflowID)
	return description.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// rests waits until a workflow has no pending task or activity, so that it has processed everything that was sent before.
func (s *stage) rests(t *testing.T, workflowID string) {
	t.Helper()
	s.eventually(t, workflowID+" rests", func() bool {
		description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
		require.NoError(t, err, "describe %q", workflowID)
		return description.GetPendingWorkflowTask() == nil && len(description.GetPendingActivities()) == 0
	})
}
