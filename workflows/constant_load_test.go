package workflows_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/workflows"
)

// TestActionQueueWorkflow_ConstantLoad continues a queue as new twenty times under a constant stream of signals. A run can end
// only between two signals.
func TestActionQueueWorkflow_ConstantLoad(t *testing.T) {
	t.Parallel()
	const limit, senders, continuations = 5, 4, 20
	s := setup(t, limit)
	l := &load{stage: s, window: make(chan struct{}, 100), stop: make(chan struct{})}
	s.run = func(attune.EnforcementID) { <-l.window }
	s.report = func(ticket attune.Ticket) { l.release(t.Context(), t, ticket) }
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() { l.send(t) })
	}
	queueID := workflows.QueueWorkflowID(queueKey)
	s.eventually(t, "some executed", func() bool { return s.count(attune.EnforcementExecuted) > 10 })
	first := s.runID(t, queueID)
	for range continuations {
		before := s.runID(t, queueID)
		require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
		s.eventually(t, "a new run", func() bool { return s.runID(t, queueID) != before })
	}
	close(l.stop)
	sending.Wait()
	accepted := int(l.accepted.Load())
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == accepted })
	s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 && s.view(t).Waiting == 0 })

	require.Len(t, s.started, accepted, "each was granted and ran once")
	s.requireOrder(t)
	c := s.view(t).Counters
	require.EqualValues(t, accepted, c.Accepted)
	require.EqualValues(t, accepted, c.Completed+c.Withdrawn, "%+v", c)
	l.requireHistories(t, first, continuations)
}

// load keeps a queue busy with a window of tickets. A sender that cannot send a new ticket repeats its last one.
type load struct {
	*stage
	window             chan struct{}
	stop               chan struct{}
	accepted           atomic.Int64
	acquires, releases atomic.Int64 // signals that the server has accepted

}

func (l *load) send(t *testing.T) {
	t.Helper()
	var last attune.Admission
	for {
		select {
		case <-l.stop:
			return
		case l.window <- struct{}{}:
			last = l.accept(1)
			l.accepted.Add(1)
		default:
		}
		if len(last.Tickets) == 0 {
			continue
		}
		if err := l.queues.Acquire(t.Context(), last); err != nil {
			if t.Context().Err() == nil {
				t.Errorf("acquire: %v", err)
			}
			return
		}
		l.acquires.Add(1)
	}
}

func (l *load) release(ctx context.Context, t *testing.T, ticket attune.Ticket) {
	t.Helper()
	if err := l.queues.Release(ctx, queueKey, []attune.Ticket{ticket}); err != nil {
		if ctx.Err() == nil {
			t.Errorf("release: %v", err)
		}
		return
	}
	l.releases.Add(1)
}

// requireHistories follows the queue from run to run: every signal that was accepted is in one of them, and all of them
// replay.
func (l *load) requireHistories(t *testing.T, first string, continuations int) {
	t.Helper()
	signals := map[string]int64{}
	runs, unhandled := 0, 0
	for run := first; run != ""; runs++ {
		history := l.history(t, workflows.QueueWorkflowID(queueKey), run)
		requireReplays(t, history)
		unhandled += len(failures(history, enumspb.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND))
		for _, event := range history.GetEvents() {
			if signal := event.GetWorkflowExecutionSignaledEventAttributes(); signal != nil {
				signals[signal.GetSignalName()]++
			}
		}
		last := history.GetEvents()[len(history.GetEvents())-1]
		run = last.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
	}
	t.Logf("%d tickets in %d runs; signals accepted: %d acquire, %d release; in the histories: %v; tasks failed for a signal that came late: %d",
		l.accepted.Load(), runs, l.acquires.Load(), l.releases.Load(), signals, unhandled)
	require.Greater(t, runs, continuations)
	require.GreaterOrEqual(t, signals[workflows.SignalAcquire], l.acquires.Load())
	require.GreaterOrEqual(t, signals[workflows.SignalRelease], l.releases.Load())
}

// TestActionQueueWorkflow_UnhandledCommand sends a signal during the workflow task that continues the queue as new. The server
// refuses to end the run and repeats the task. The queue loses neither the ticket nor its place.
func TestActionQueueWorkflow_UnhandledCommand(t *testing.T) {
	t.Parallel()
	s, run := unhandledCommand(t)
	history := s.history(t, workflows.QueueWorkflowID(queueKey), run)
	require.NotEmpty(t, failures(history, enumspb.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND))
	last := history.GetEvents()[len(history.GetEvents())-1]
	require.Equal(t, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, last.GetEventType())
	requireReplays(t, history)

	require.Len(t, s.started, 6, "each was granted once")
	c := s.view(t).Counters
	require.EqualValues(t, 6, c.Completed+c.Withdrawn, "%+v", c)
	s.requireOrder(t)
}

// unhandledCommand runs a queue through a task that fails with UNHANDLED_COMMAND, and returns the id of the run that has it.
func unhandledCommand(t *testing.T) (s *stage, run string) {
	t.Helper()
	address, namespace := testenv.Temporal(t)
	outside := workflows.NewQueueClient(testenv.Dial(t, address, namespace))
	var tried sync.Once
	c := dialThrough(t, address, namespace, func(answer *workflowservice.RespondWorkflowTaskCompletedRequest) {
		if endsRun(answer) {
			tried.Do(func() { require.NoError(t, outside.Acquire(t.Context(), s.accept(1))) })
		}
	})
	s = &stage{world: newWorld(2), client: c, queues: workflows.NewQueueClient(c)}
	ctx := t.Context()
	s.report = func(ticket attune.Ticket) { s.release(ctx, ticket) }
	s.startWorkers(t)

	s.acquire(t, 5)
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 5 })
	queueID := workflows.QueueWorkflowID(queueKey)
	run = s.runID(t, queueID)
	s.eventually(t, "a new run", func() bool {
		require.NoError(t, outside.ForceContinueAsNew(t.Context(), queueKey))
		return s.runID(t, queueID) != run
	})
	s.eventually(t, "the late one executed", func() bool { return s.count(attune.EnforcementExecuted) == 6 })
	s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
	return s, run
}

// endsRun reports whether a worker's answer continues a workflow as new.
func endsRun(answer *workflowservice.RespondWorkflowTaskCompletedRequest) bool {
	for _, command := range answer.GetCommands() {
		if command.GetCommandType() == enumspb.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION {
			return true
		}
	}
	return false
}

// dialThrough returns a client that shows every answer to a workflow task before it sends it.
func dialThrough(
	t *testing.T, address, namespace string, show func(*workflowservice.RespondWorkflowTaskCompletedRequest),
) client.Client {
	t.Helper()
	intercept := func(
		ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if answer, ok := request.(*workflowservice.RespondWorkflowTaskCompletedRequest); ok {
			show(answer)
		}
		return invoke(ctx, method, request, reply, cc, options...)
	}
	c, err := client.NewLazyClient(client.Options{
		HostPort: address, Namespace: namespace, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{
			GrpcCompression: &client.GrpcCompressionNone{},
			DialOptions:     []grpc.DialOption{grpc.WithChainUnaryInterceptor(intercept)},
		},
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func (s *stage) history(t *testing.T, workflowID, runID string) *historypb.History {
	t.Helper()
	history := new(historypb.History)
	events := s.client.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	return history
}

func failures(history *historypb.History, cause enumspb.WorkflowTaskFailedCause) (failed []*historypb.HistoryEvent) {
	for _, event := range history.GetEvents() {
		if event.GetWorkflowTaskFailedEventAttributes().GetCause() == cause {
			failed = append(failed, event)
		}
	}
	return failed
}

func requireReplays(t *testing.T, history *historypb.History) {
	t.Helper()
	require.NoError(t, replay(history))
}
