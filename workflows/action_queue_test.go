package workflows_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

func TestActionQueueWorkflow(t *testing.T) {
	t.Parallel()

	t.Run("the queue grants in order and within the limit, although signals are repeated", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 3)
		report := s.report
		s.report = func(ticket attune.Ticket) { report(ticket); report(ticket) }
		var batches []attune.Admission
		for range 10 {
			batches = append(batches, s.acquire(t, 6))
		}
		for _, batch := range batches {
			require.NoError(t, s.queues.Acquire(t.Context(), batch))
		}
		s.eventually(t, "all 60 executed", func() bool { return s.count(attune.EnforcementExecuted) == 60 })
		s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
		s.requireOrder(t)
		require.EqualValues(t, 60, s.view(t).Counters.Granted)
		require.EqualValues(t, 60, s.view(t).Counters.Completed)
	})

	t.Run("an early signal waits for the tickets in front", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 10)
		s.acquire(t, 1)
		lost, late := s.accept(2), s.accept(2)
		require.NoError(t, s.queues.Acquire(t.Context(), late))
		s.eventually(t, "the lost two were found in the rows", func() bool { return s.count(attune.EnforcementExecuted) == 5 })
		s.requireOrder(t)
		repeated := s.view(t).Counters.Repeated
		require.NoError(t, s.queues.Acquire(t.Context(), lost))
		s.eventually(t, "the late signal is ignored", func() bool { return s.view(t).Counters.Repeated >= repeated+2 })
		require.EqualValues(t, 5, s.view(t).Counters.Granted)
	})

	t.Run("a large gap is read in parts", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", ""))
		require.NoError(t, err)
		s.accept(6000)
		s.acquire(t, 1)
		s.eventually(t, "all tickets wait", func() bool { return s.view(t).Waiting == 6001 })
		s.mu.Lock()
		defer s.mu.Unlock()
		require.EqualValues(t, 5000, s.widest)
	})

	t.Run("tickets that are acquired long after their end are verified, however far apart", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 5)
		all := s.acquire(t, 40).Tickets
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 40 })
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		late := attune.Admission{Queue: queueKey, Policy: s.policy, Tickets: []attune.Ticket{all[0], all[39]}}
		require.NoError(t, s.queues.Acquire(t.Context(), late))
		s.eventually(t, "both were verified", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.verified >= 2 })
		require.EqualValues(t, 1, s.generationNow(), "the rows agree with the queue")
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Zero(t, s.widest, "no range was read")
	})

	t.Run("the queue continues as new under load and loses nothing", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 2)
		first := ""
		for range 3 {
			s.acquire(t, 15)
			run := s.runID(t, workflows.QueueWorkflowID(queueKey))
			if first == "" {
				first = run
			}
			s.eventually(t, "a new run", func() bool {
				require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
				return s.runID(t, workflows.QueueWorkflowID(queueKey)) != run
			})
		}
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 45 })
		s.requireOrder(t)
		s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
		require.EqualValues(t, 45, s.view(t).Counters.Granted, "counters are carried")
		require.NotEqual(t, first, s.runID(t, workflows.QueueWorkflowID(queueKey)))
	})

	t.Run("a terminated queue is rebuilt from the rows", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 3)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		require.NoError(t, s.client.TerminateWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), "", "test"))
		s.acquire(t, 2)
		s.eventually(t, "the holder is known again", func() bool { return s.view(t).Active == 1 && s.view(t).Waiting == 4 })
		close(release)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 5 })
		s.requireOrder(t)
	})

	t.Run("cancelling the workflow does not end the queue", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		s.acquire(t, 1)
		require.NoError(t, s.client.CancelWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), ""))
		s.acquire(t, 1)
		s.eventually(t, "both executed", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
	})

	t.Run("a queue timeout and an overflow are recorded", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		release := make(chan struct{})
		free := sync.OnceFunc(func() { close(release) })
		t.Cleanup(free)
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 1)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		s.policy.Revision, s.policy.MaxQueued = 2, 2
		s.acquire(t, 4)
		s.eventually(t, "two refused", func() bool { return s.count(attune.EnforcementRejected) == 2 })
		s.policy.Revision, s.policy.QueueTimeout = 3, attune.Duration(300*time.Millisecond)
		require.NoError(t, s.queues.SetPolicy(t.Context(), queueKey, s.policy))
		s.eventually(t, "two expired", func() bool { return s.count(attune.EnforcementExpired) == 2 })
		require.Equal(t, attune.ReasonQueueFull, s.rows[104].reason)
		require.Equal(t, attune.ReasonQueueTimeout, s.rows[101].reason)
		free()
		s.eventually(t, "the first executed", func() bool { return s.count(attune.EnforcementExecuted) == 1 })
	})

	t.Run("the Current Details show limit, holders and waiting tickets", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 30)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		metadata := new(sdkpb.WorkflowMetadata)
		s.eventually(t, "details", func() bool {
			value, err := s.client.QueryWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), "", "__temporal_workflow_metadata")
			return err == nil && value.Get(metadata) == nil && strings.Contains(metadata.GetCurrentDetails(), "holder")
		})
		for _, part := range []string{"limit **1**", "active **1**", "waiting **29**", "| enforcement/100\u2003| 1\u2003| 1\u2003|", "| 20\u2003| enforcement/120\u2003| 21\u2003|", "and 9 more"} {
			require.Contains(t, metadata.GetCurrentDetails(), part)
		}
		require.NotContains(t, metadata.GetCurrentDetails(), "enforcement/121")
		close(release)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 30 })
	})
}

func TestEnforcementWorkflow_StartedByHand(t *testing.T) {
	t.Parallel()

	start := func(t *testing.T, s *stage, id attune.EnforcementID) client.WorkflowRun {
		t.Helper()
		run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: workflows.EnforcementWorkflowID(id), TaskQueue: workflows.EnforcementTaskQueue,
		}, workflows.EnforcementWorkflowName, workflows.EnforcementInput{Enforcement: id})
		require.NoError(t, err)
		return run
	}

	t.Run("a workflow started by a person acquires its ticket", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		id := s.accept(1).Tickets[0].Enforcement
		var result workflows.EnforcementResult
		require.NoError(t, start(t, s, id).Get(t.Context(), &result))
		require.Equal(t, workflows.EnforcementResult{
			Enforcement: id, Queue: queueKey, Sequence: 1, Grant: 1, Execution: attune.ExecutionID(id), Outcome: workflows.OutcomeRequested,
		}, result)
	})

	t.Run("the workflow of an unknown enforcement fails", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		err := start(t, s, 9).Get(t.Context(), nil)
		require.ErrorContains(t, err, "enforcement 9 does not exist")
	})

	t.Run("a workflow that is cancelled while it waits leaves the line", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 3)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		repeated := s.view(t).Counters.Repeated
		waiting := start(t, s, 101)
		s.eventually(t, "it has acquired", func() bool { return s.view(t).Counters.Repeated > repeated })
		s.rests(t, waiting.GetID())
		require.NoError(t, s.client.CancelWorkflow(t.Context(), waiting.GetID(), ""))
		require.Error(t, waiting.Get(t.Context(), nil))
		s.eventually(t, "the row says so", func() bool { return s.count(attune.EnforcementCancelled) == 1 })
		close(release)
		s.eventually(t, "the others ran", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		s.requireOrder(t)
		description, err := s.client.DescribeWorkflowExecution(t.Context(), waiting.GetID(), "")
		require.NoError(t, err)
		require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, description.GetWorkflowExecutionInfo().GetStatus())
	})

	t.Run("a workflow that is cancelled while it acquires leaves the line", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		release, acquires, acquired := make(chan struct{}), make(chan struct{}, 10), make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.admitting = func() { acquires <- struct{}{}; <-acquired }
		s.acquire(t, 3)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		acquiring := start(t, s, 101)
		<-acquires
		require.NoError(t, s.client.CancelWorkflow(t.Context(), acquiring.GetID(), ""))
		s.eventually(t, "it has heard of it", func() bool {
			events := s.history(t, acquiring.GetID(), "").GetEvents()
			heard := slices.IndexFunc(events, func(e *historypb.HistoryEvent) bool {
				return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
			})
			return heard >= 0 && slices.ContainsFunc(events[heard:], func(e *historypb.HistoryEvent) bool {
				return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
			})
		})
		close(acquired)
		require.Error(t, acquiring.Get(t.Context(), nil))
		s.eventually(t, "the row says so", func() bool { return s.count(attune.EnforcementCancelled) == 1 })
		close(release)
		s.eventually(t, "the others ran", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		s.requireOrder(t)
	})

	t.Run("the workflow of an ended enforcement releases its ticket", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		s.acquire(t, 1)
		s.eventually(t, "the first ran", func() bool { return s.count(attune.EnforcementExecuted) == 1 })
		admission := s.accept(2)
		s.rows[101].status = attune.EnforcementCancelled
		require.NoError(t, s.queues.Acquire(t.Context(), admission))
		s.eventually(t, "the third ran", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		var result workflows.EnforcementResult
		require.NoError(t, s.client.GetWorkflow(t.Context(), workflows.EnforcementWorkflowID(101), "").Get(t.Context(), &result))
		require.Equal(t, workflows.OutcomeEnded, result.Outcome)
	})
}

// TestActionQueueWorkflow_RowsRunBackwards restores the rows to an earlier time while the queue runs: sequences that have ended
// in the queue then belong to other enforcements.
func TestActionQueueWorkflow_RowsRunBackwards(t *testing.T) {
	t.Parallel()
	s := setup(t, 2)
	s.acquire(t, 6)
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 6 })
	s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
	before := s.generationNow()

	s.restore(2)
	s.acquire(t, 3)
	s.eventually(t, "what was accepted since is executed", func() bool { return s.count(attune.EnforcementExecuted) == 5 })
	require.Greater(t, s.generationNow(), before, "the queue was rebuilt")
	s.requireOrder(t)
}

func (w *world) generationNow() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.generation
}

// restore restores the rows to the time when n enforcements had been accepted.
func (w *world) restore(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.order[n:] {
		delete(w.rows, id)
	}
	w.order = w.order[:n]
	w.started = w.started[:n]
}

func TestQueue_OfAnotherID(t *testing.T) {
	t.Parallel()
	s := setup(t, 1)
	s.acquire(t, 1)
	run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "copy", TaskQueue: workflows.QueueTaskQueue},
		workflows.ActionQueueWorkflowName, workflows.QueueInput{Queue: queueKey})
	require.NoError(t, err)
	require.ErrorContains(t, run.Get(t.Context(), nil), `workflow "copy" cannot be queue`)
	s.acquire(t, 1)
	s.eventually(t, "the grants of the queue still count", func() bool { return s.view(t).Counters.Completed == 2 })
}
