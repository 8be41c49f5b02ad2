package workflows_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/internal/batch"
	"github.com/attune-go/attune/workflows"
)

// benchLine is a world with a real Temporal that releases slots like the bridge: one signal at a time, with all tickets reported
// so far.
type benchLine struct {
	*stage

	reports  chan attune.Ticket
	released atomic.Int64
	progress chan struct{} // has an element after released was raised

	timesMu      sync.Mutex
	starts, ends []time.Time // of executions
}

// acquireBatch is the number of tickets per signal, as for a bridge under load.
const acquireBatch = 100

func newBenchLine(b *testing.B, limit int) *benchLine {
	b.Helper()
	c := testenv.TemporalClient(b)
	line := &benchLine{
		stage:   &stage{world: newWorld(limit), client: c, queues: workflows.NewQueueClient(c)},
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

func (l *benchLine) releaseReported(ctx context.Context, b *testing.B) {
	b.Helper()
	batches := batch.Collector[attune.Ticket]{Max: acquireBatch, Linger: bridge.Linger}
	for {
		tickets := batches.Next(ctx, l.reports)
		if tickets == nil {
			return
		}
		if err := l.queues.Release(ctx, queueKey, tickets); err != nil && ctx.Err() == nil {
			b.Errorf("release: %v", err)
			return
		}
		l.released.Add(int64(len(tickets)))
		wake(l.progress)
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

// reportHistory reports the history events of all runs of the queue's workflow.
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

// gatedLine is a queue whose executions end on request, so that the length of its line stays constant.
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

func (l *benchLine) forgetTimes() {
	l.timesMu.Lock()
	defer l.timesMu.Unlock()
	l.starts, l.ends = nil, nil
}

// handOvers are the seconds from the end of one execution to the start of the next, at limit 1.
func (l *benchLine) handOvers() []float64 {
	l.timesMu.Lock()
	defer l.timesMu.Unlock()
	return betweens(l.starts, l.ends)
}

func betweens(starts, ends []time.Time) []float64 {
	var seconds []float64
	for i := 1; i < len(starts); i++ {
		seconds = append(seconds, starts[i].Sub(ends[i-1]).Seconds())
	}
	return seconds
}
