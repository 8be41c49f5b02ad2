package workflows_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune/workflows"
	"github.com/attune-go/attune/workflows/baseline"
)

// BenchmarkQueue_AgainstMutex compares a queue of limit 1 with the usual mutex workflow: every item is a workflow that
// requests the lock by a signal, waits for a signal, works, and signals the end.
func BenchmarkQueue_AgainstMutex(b *testing.B) {
	const items = 40
	line := newBenchLine(b, 1)
	lock := newMutex(b, line.client)
	lock.complete(b, items)
	line.complete(b, items)
	var lockRates, lineRates, lockHandOvers, lineHandOvers []float64
	for b.Loop() {
		for range repetitions {
			lockRates = append(lockRates, items/lock.complete(b, items).Seconds())
			lockHandOvers = append(lockHandOvers, baseline.Median(lock.handOvers()))
			quiet(b, line.client)
			line.forgetTimes()
			lineRates = append(lineRates, items/line.complete(b, items).Seconds())
			lineHandOvers = append(lineHandOvers, baseline.Median(line.handOvers()))
			quiet(b, line.client)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratio(b, lineRates, lockRates), "x-mutex-throughput")
	b.ReportMetric(ratio(b, lineHandOvers, lockHandOvers), "x-mutex-hand-over")
	b.ReportMetric(1000*baseline.Median(lineHandOvers), "ms-hand-over")
	b.ReportMetric(1000*baseline.Median(lockHandOvers), "ms-mutex-hand-over")
	line.reportHistory(b)
}

const (
	lockTaskQueue        = "bench-lock"
	itemTaskQueue        = "bench-items"
	lockWorkflowName     = "LockWorkflow"
	itemWorkflowName     = "ItemWorkflow"
	lockWorkflowID       = "lock"
	requestLockActivity  = "RequestLock"
	workActivity         = "Work"
	lockSignal           = "lock"
	acquiredSignal       = "acquired"
	unlockSignal         = "unlock"
	locksPerRun          = 300
	startersOfLockedWork = 16
)

// lockWorkflow serves requests in the order of their signals, one at a time.
func lockWorkflow(ctx workflow.Context, waiting []string) error {
	requests, unlocks := workflow.GetSignalChannel(ctx, lockSignal), workflow.GetSignalChannel(ctx, unlockSignal)
	for range locksPerRun {
		for request := ""; requests.ReceiveAsync(&request); {
			waiting = append(waiting, request)
		}
		if len(waiting) == 0 {
			var request string
			requests.Receive(ctx, &request)
			waiting = append(waiting, request)
		}
		holder := waiting[0]
		waiting = waiting[1:]
		if err := workflow.SignalExternalWorkflow(ctx, holder, "", acquiredSignal, nil).Get(ctx, nil); err != nil {
			continue
		}
		unlocks.Receive(ctx, nil)
	}
	for request := ""; requests.ReceiveAsync(&request); {
		waiting = append(waiting, request)
	}
	return workflow.NewContinueAsNewError(ctx, lockWorkflowName, waiting)
}

// itemWorkflow works while it has the lock. Working is a local activity, as requesting an execution is for attune.
func itemWorkflow(ctx workflow.Context) error {
	local := baseline.Briefly(ctx)
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	if err := workflow.ExecuteLocalActivity(local, requestLockActivity, id).Get(ctx, nil); err != nil {
		return fmt.Errorf("request the lock: %w", err)
	}
	workflow.GetSignalChannel(ctx, acquiredSignal).Receive(ctx, nil)
	if err := workflow.ExecuteLocalActivity(local, workActivity).Get(ctx, nil); err != nil {
		return fmt.Errorf("work: %w", err)
	}
	return workflow.SignalExternalWorkflow(ctx, lockWorkflowID, "", unlockSignal, nil).Get(ctx, nil)
}

// mutex runs items under the lock.
type mutex struct {
	client  client.Client
	started atomic.Int64
	done    *baseline.Count

	mu           sync.Mutex
	starts, ends []time.Time // of the work
}

// newMutex gives the lock and the items temporal workers of their own, with the options of attune's.
func newMutex(b *testing.B, c client.Client) *mutex {
	b.Helper()
	m := &mutex{client: c, done: baseline.NewCount()}
	locks := worker.New(c, lockTaskQueue, workflows.QueueWorkerOptions())
	registerBare(locks, lockWorkflowName, lockWorkflow)
	items := worker.New(c, itemTaskQueue, workflows.EnforcementWorkerOptions())
	registerBare(items, itemWorkflowName, itemWorkflow)
	registerBareActivity(items, requestLockActivity, m.request)
	registerBareActivity(items, workActivity, m.work)
	for _, w := range []worker.Worker{locks, items} {
		require.NoError(b, w.Start())
		b.Cleanup(w.Stop)
	}
	return m
}

func (m *mutex) request(ctx context.Context, item string) error {
	options := client.StartWorkflowOptions{ID: lockWorkflowID, TaskQueue: lockTaskQueue}
	_, err := m.client.SignalWithStartWorkflow(ctx, lockWorkflowID, lockSignal, item, options, lockWorkflowName, []string(nil))
	return err
}

func (m *mutex) work(context.Context) error {
	m.mu.Lock()
	m.starts = append(m.starts, time.Now())
	m.ends = append(m.ends, time.Now())
	m.mu.Unlock()
	m.done.Add(1)
	return nil
}

// complete returns the time from the first start of n items until all n have been worked on.
func (m *mutex) complete(b *testing.B, n int) time.Duration {
	b.Helper()
	m.mu.Lock()
	m.starts, m.ends = nil, nil
	m.mu.Unlock()
	elapsed, err := m.done.Time(b.Context(), n, startersOfLockedWork, func(ctx context.Context) error {
		_, err := m.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: "item/" + strconv.FormatInt(m.started.Add(1), 10), TaskQueue: itemTaskQueue, EnableEagerStart: true,
		}, itemWorkflowName)
		return err
	})
	require.NoError(b, err)
	return elapsed
}

func registerBare(w worker.Worker, name string, run any) {
	w.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: name})
}

func registerBareActivity(w worker.Worker, name string, run any) {
	w.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: name})
}

func (m *mutex) handOvers() []float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return betweens(m.starts, m.ends)
}
