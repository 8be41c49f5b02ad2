package workflows_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows/baseline"
)

// The benchmarks of this file and of bench_mutex_test.go compare attune with a baseline: each measures both in turn on
// the same server, and reports the median of the pairs' ratios. Rates depend on the machine, ratios hardly do.
// docs/performance.md explains them.

// repetitions is the number of pairs of a ratio.
const repetitions = 5

// BenchmarkQueue_AgainstEngine compares whole enforcements (acquired, granted, requested, released) with Temporal's minimum per
// enforcement: start a workflow and run one local activity in it.
func BenchmarkQueue_AgainstEngine(b *testing.B) {
	const enforcements = 600
	for _, limit := range []int{10, 100} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			line := newBenchLine(b, limit)
			bare := newEngine(b, line.client)
			starters, err := bare.MostProductive(b.Context())
			require.NoError(b, err)
			b.Logf("the engine does most with %d starters", starters)
			line.complete(b, enforcements)
			var engineRates, queueRates []float64
			for b.Loop() {
				for range repetitions {
					elapsed, err := bare.Run(b.Context(), enforcements, starters)
					require.NoError(b, err)
					engineRates = append(engineRates, enforcements/elapsed.Seconds())
					quiet(b, line.client)
					queueRates = append(queueRates, enforcements/line.complete(b, enforcements).Seconds())
					quiet(b, line.client)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ratio(b, queueRates, engineRates), "x-engine")
			b.ReportMetric(baseline.Median(queueRates), "enforcements/s")
			b.ReportMetric(baseline.Median(engineRates), "engine-workflows/s")
			line.reportHistory(b)
		})
	}
}

// BenchmarkQueue_AgainstLineLength compares the time of one enforcement while 10 000 and while 100 others wait.
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
	b.ReportMetric(1000*baseline.Median(longTimes), "ms-each/10000-waiting")
	b.ReportMetric(1000*baseline.Median(shortTimes), "ms-each/100-waiting")
}

// BenchmarkQueue_CarriedState measures the carried state of a queue with a long line in Temporal's history.
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

func newEngine(b *testing.B, c client.Client) *baseline.Engine {
	b.Helper()
	e := baseline.NewEngine(c)
	require.NoError(b, e.Start())
	b.Cleanup(e.Stop)
	return e
}

// quiet waits until no workflow runs but queues and the lock. Executions that are held by a gate have no workflow.
func quiet(b *testing.B, c client.Client) {
	b.Helper()
	require.NoError(b, baseline.Quiet(b.Context(), c, lockWorkflowName))
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
func ratio(b *testing.B, measured, against []float64) float64 {
	b.Helper()
	r := baseline.RatioOf(measured, against)
	b.Logf("%d ratios from %.2f to %.2f", len(measured), r.Lowest, r.Highest)
	return r.Median
}
