package workflows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/internal/testenv"
	"github.com/attune-go/attune/workflows"
)

// The benchmarks of this file and of bench_mutex_test.go compare: each measures a baseline and what stands against it in
// turn, on the same server, and reports the median of the pairs' ratios. Rates depend on the machine, ratios hardly do.
// docs/performance.md says what they mean.

// repetitions is how many pairs a ratio is the median of.
const repetitions = 7

// BenchmarkQueue_AgainstEngine compares whole enforcements (acquired, granted, requested, released) with the least that
// Temporal can do for one: start a workflow and run one local activity in it.
func BenchmarkQueue_AgainstEngine(b *testing.B) {
	const enforcements = 150
	for _, limit := range []int{10, 100} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			line := newBenchLine(b, limit)
			bare := newEngine(b, line.client)
			starters := bare.mostProductive(b)
			line.complete(b, enforcements)
			var engineRates, queueRates []float64
			for b.Loop() {
				for range repetitions {
					engineRates = append(engineRates, enforcements/bare.run(b, enforcements, starters).Seconds())
					quiet(b, line.client)
					queueRates = append(queueRates, enforcements/line.complete(b, enforcements).Seconds())
					quiet(b, line.client)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ratio(b, queueRates, engineRates), "x-engine")
			b.ReportMetric(median(queueRates), "enforcements/s")
			b.ReportMetric(median(engineRates), "engine-workflows/s")
			line.reportHistory(b)
		})
	}
}

// BenchmarkQueue_AgainstLineLength compares what one enforcement costs while 10 000 and while 100 others wait.
func BenchmarkQueue_AgainstLineLength(b *testing.B) {
	const limit, enforcements = 10, 150
	short, long := newGatedLine(b, limit, 100), newGatedLine(b, limit, 10_000)
	var shortTimes, longTimes []float64
	for b.Loop() {
		for range repetitions {
			shortTimes = append(shortTimes, short.pass(b, enforcements).Seconds()/enforcements)
			longTimes = append(longTimes, long.pass(b, enforcements).Seconds()/enforcements)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratio(b, longTimes, shortTimes), "x-100-waiting")
	b.ReportMetric(1000*median(longTimes), "ms-each/10000-waiting")
	b.ReportMetric(1000*median(shortTimes), "ms-each/100-waiting")
}

// BenchmarkQueue_CarriedState measures what a queue with a long line hands to its next run, in Temporal's own history.
func BenchmarkQueue_CarriedState(b *testing.B) {
	const waiters = 10_000
	line := newBenchLine(b, 0)
	admission := spreadTickets(waiters)
	require.NoError(b, line.queues.Acquire(b.Context(), admission))
	var carried int
	for b.Loop() {
		previous := line.latestRun(b)
		require.Eventually(b, func() bool { // a run that is too young ignores it
			err := line.queues.ForceContinueAsNew(b.Context(), queueKey)
			return err == nil && line.latestRun(b) != previous
		}, time.Minute, 200*time.Millisecond)
		started := line.history(b, line.latestRun(b))[0].GetWorkflowExecutionStartedEventAttributes()
		carried = len(started.GetInput().GetPayloads()[0].GetData())
	}
	view, err := line.queues.View(b.Context(), queueKey)
	require.NoError(b, err)
	require.Equal(b, waiters, view.Waiting)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(carried)/waiters, "B/waiter")
	b.ReportMetric(float64(carried)/float64(plainSize(b, admission.Tickets)), "x-plain-json")
}

// spreadTickets makes tickets as a busy installation has them: enforcement ids of one queue have those of other queues
// between them, and arrivals are some seconds apart.
func spreadTickets(n int) attune.Admission {
	admission := attune.Admission{Queue: queueKey, Policy: attune.QueuePolicy{
		Revision: 1, MaxQueued: attune.MaxQueuedLimit, Overflow: attune.OverflowReject,
	}}
	at := time.UnixMilli(1_700_000_000_000).UTC()
	for i := range n {
		admission.Tickets = append(admission.Tickets, attune.Ticket{
			Enforcement: attune.EnforcementID(9_000_000 + 37*i), Sequence: int64(i + 1), EnqueuedAt: at.Add(time.Duration(i) * 2513 * time.Millisecond),
		})
	}
	return admission
}

func plainSize(b *testing.B, tickets []attune.Ticket) int {
	b.Helper()
	data, err := json.Marshal(tickets)
	require.NoError(b, err)
	return len(data)
}

// benchLine is a world with a real Temporal under it whose slots are released as the bridge does it: whatever has been
// reported, in one signal, one signal at a time.
type benchLine struct {
	*world
	client client.Client
	queues *workflows.Queues

	reports  chan attune.Ticket
	released atomic.Int64
	progress chan struct{} // has a value after released was raised

	timesMu      sync.Mutex
	starts, ends []time.Time // of executions
}

// acquireBatch is how many tickets one signal brings, as when the bridge finds many of them in the broker.
const acquireBatch = 100

func newBenchLine(b *testing.B, limit int) *benchLine {
	b.Helper()
	c := testenv.TemporalClient(b)
	line := &benchLine{
		world: newWorld(limit), client: c, queues: workflows.NewQueues(c),
		reports: make(chan attune.Ticket, 1000), progress: make(chan struct{}, 1),
	}
	line.policy.MaxQueued = attune.MaxQueuedLimit
	ctx := b.Context()
	line.run = func(attune.EnforcementID) { line.note(&line.starts) }
	line.report = func(ticket attune.Ticket) {
		line.note(&line.ends)
		select {
		case line.reports <- ticket:
		case <-ctx.Done():
		}
	}
	var releasing sync.WaitGroup
	releasing.Go(func() { line.releaseReported(ctx, b) })
	b.Cleanup(releasing.Wait)
	line.startWorkers(b)
	return line
}

func (l *benchLine) note(times *[]time.Time) {
	l.timesMu.Lock()
	defer l.timesMu.Unlock()
	*times = append(*times, time.Now())
}

func (l *benchLine) startWorkers(b *testing.B) {
	b.Helper()
	queues := worker.New(l.client, workflows.QueueTaskQueue, workflows.QueueWorkerOptions())
	workflows.Register(queues)
	activities.NewQueues(l.world, l.world, l.client).Register(queues)
	enforcements := worker.New(l.client, workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions())
	workflows.Register(enforcements)
	activities.NewEnforcements(l.world, l.world, l.world, l.queues).Register(enforcements)
	for _, w := range []worker.Worker{queues, enforcements} {
		require.NoError(b, w.Start())
		b.Cleanup(w.Stop)
	}
}

func (l *benchLine) releaseReported(ctx context.Context, b *testing.B) {
	b.Helper()
	for {
		select {
		case first := <-l.reports:
			tickets := []attune.Ticket{first}
			for len(l.reports) > 0 {
				tickets = append(tickets, <-l.reports)
			}
			if err := l.queues.Release(ctx, queueKey, tickets); err != nil && ctx.Err() == nil {
				b.Errorf("release: %v", err)
				return
			}
			l.released.Add(int64(len(tickets)))
			wake(l.progress)
		case <-ctx.Done():
			return
		}
	}
}

func (l *benchLine) acquire(b *testing.B, n int) {
	b.Helper()
	admission := l.accept(n)
	for batch := range slices.Chunk(admission.Tickets, acquireBatch) {
		require.NoError(b, l.queues.Acquire(b.Context(), attune.Admission{Queue: queueKey, Policy: admission.Policy, Tickets: batch}))
	}
}

// complete returns the time from the first of n acquires until the queue has accepted all n releases.
func (l *benchLine) complete(b *testing.B, n int) time.Duration {
	b.Helper()
	target := l.released.Load() + int64(n)
	start := time.Now()
	l.acquire(b, n)
	await(b, l.progress, func() bool { return l.released.Load() >= target })
	return time.Since(start)
}

func (l *benchLine) latestRun(b *testing.B) string {
	b.Helper()
	description, err := l.client.DescribeWorkflowExecution(b.Context(), workflows.QueueWorkflowID(queueKey), "")
	require.NoError(b, err)
	return description.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

func (l *benchLine) history(b *testing.B, run string) []*historypb.HistoryEvent {
	b.Helper()
	var events []*historypb.HistoryEvent
	iterator := l.client.GetWorkflowHistory(b.Context(), workflows.QueueWorkflowID(queueKey), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		event, err := iterator.Next()
		require.NoError(b, err)
		events = append(events, event)
	}
	return events
}

// reportHistory reports what the queue's workflow has cost the engine so far, over all of its runs.
func (l *benchLine) reportHistory(b *testing.B) {
	b.Helper()
	counts := map[string]int{}
	all, runs := 0, 0
	for run := l.latestRun(b); run != ""; runs++ {
		events := l.history(b, run)
		for _, event := range events {
			counts[event.GetEventType().String()]++
		}
		all += len(events)
		run = events[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
	}
	released := float64(l.released.Load())
	b.ReportMetric(float64(counts[enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED.String()])/released, "queue-tasks/enforcement")
	b.ReportMetric(float64(all)/released, "queue-events/enforcement")
	b.Logf("the queue's workflow, for %.0f enforcements in %d runs: %v", released, runs, counts)
}

// gatedLine is a queue whose executions end only when they are told to, so that its line has a length that stays.
type gatedLine struct {
	*benchLine
	gate chan struct{}
}

func newGatedLine(b *testing.B, limit, waiting int) *gatedLine {
	b.Helper()
	line := &gatedLine{benchLine: newBenchLine(b, limit), gate: make(chan struct{}, 1000)}
	ctx := b.Context()
	line.run = func(attune.EnforcementID) {
		select {
		case <-line.gate:
		case <-ctx.Done():
		}
	}
	require.NoError(b, line.queues.Acquire(ctx, line.accept(limit+waiting)))
	require.Eventually(b, func() bool {
		view, err := line.queues.View(ctx, queueKey)
		return err == nil && view.Active == limit && view.Waiting == waiting
	}, time.Minute, 10*time.Millisecond)
	return line
}

// pass lets n executions end, for n that have joined the line, and returns the time until the queue has accepted all their
// releases.
func (l *gatedLine) pass(b *testing.B, n int) time.Duration {
	b.Helper()
	l.acquire(b, n)
	quiet(b, l.client)
	target := l.released.Load() + int64(n)
	start := time.Now()
	for range n {
		l.gate <- struct{}{}
	}
	await(b, l.progress, func() bool { return l.released.Load() >= target })
	elapsed := time.Since(start)
	quiet(b, l.client)
	return elapsed
}

// engine runs the least workflow there is: started eagerly, one local activity, done.
type engine struct {
	client   client.Client
	started  atomic.Int64
	done     atomic.Int64
	progress chan struct{}
}

const (
	engineTaskQueue    = "bench-engine"
	engineWorkflowName = "BareWorkflow"
	engineActivityName = "BareActivity"
)

func newEngine(b *testing.B, c client.Client) *engine {
	b.Helper()
	e := &engine{client: c, progress: make(chan struct{}, 1)}
	w := worker.New(c, engineTaskQueue, workflows.EnforcementWorkerOptions())
	registerBare(w, engineWorkflowName, bareWorkflow)
	registerBareActivity(w, engineActivityName, func(context.Context) error {
		e.done.Add(1)
		wake(e.progress)
		return nil
	})
	require.NoError(b, w.Start())
	b.Cleanup(w.Stop)
	return e
}

// run returns the time from the first of n starts until the last of the n local activities has run.
func (e *engine) run(b *testing.B, n, starters int) time.Duration {
	b.Helper()
	target := e.done.Load() + int64(n)
	left := atomic.Int64{}
	left.Store(int64(n))
	start := time.Now()
	var starting sync.WaitGroup
	for range starters {
		starting.Go(func() {
			for left.Add(-1) >= 0 {
				_, err := e.client.ExecuteWorkflow(b.Context(), client.StartWorkflowOptions{
					ID: "bare/" + strconv.FormatInt(e.started.Add(1), 10), TaskQueue: engineTaskQueue, EnableEagerStart: true,
				}, engineWorkflowName)
				if err != nil {
					b.Errorf("start: %v", err)
					return
				}
			}
		})
	}
	await(b, e.progress, func() bool { return e.done.Load() >= target })
	elapsed := time.Since(start)
	starting.Wait()
	return elapsed
}

// mostProductive finds how many starters at the same time get the most out of the engine.
func (e *engine) mostProductive(b *testing.B) int {
	b.Helper()
	const each = 60
	e.run(b, each, 16) // warm up
	best, fastest := 0, time.Duration(0)
	for _, starters := range []int{4, 8, 16, 32, 64} {
		elapsed := min(e.run(b, each, starters), e.run(b, each, starters))
		if best == 0 || elapsed < fastest {
			best, fastest = starters, elapsed
		}
	}
	b.Logf("the engine does most with %d starters", best)
	return best
}

// quiet waits until no workflow runs but queues, so that what one measurement has left behind does not slow the next.
// Executions that are held by a gate have no workflow.
func quiet(b *testing.B, c client.Client) {
	b.Helper()
	require.Eventually(b, func() bool {
		running, err := c.CountWorkflow(b.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: fmt.Sprintf("ExecutionStatus = 'Running' AND WorkflowType != '%s' AND WorkflowType != '%s'", workflows.ActionQueueWorkflowName, lockWorkflowName),
		})
		return err == nil && running.GetCount() == 0
	}, time.Minute, 50*time.Millisecond)
}

func wake(progress chan struct{}) {
	select {
	case progress <- struct{}{}:
	default:
	}
}

func await(b *testing.B, progress <-chan struct{}, done func() bool) {
	b.Helper()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-progress:
		case <-deadline:
			b.Fatal("no end after a minute")
		}
	}
}

// ratio returns the median of the ratios of what was measured in turn, and logs how far they are apart.
func ratio(b *testing.B, measured, baseline []float64) float64 {
	b.Helper()
	ratios := make([]float64, len(measured))
	for i := range measured {
		ratios[i] = measured[i] / baseline[i]
	}
	b.Logf("%d ratios from %.2f to %.2f", len(ratios), slices.Min(ratios), slices.Max(ratios))
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
