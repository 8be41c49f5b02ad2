package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/workflows/baseline"
)

const (
	// pairs is how many rounds of attune and of the engine run, for each iteration of -benchtime.
	pairs = 5
	// size is the number of hand-overs in a round at the limits of 10 and 100, unless sizeVariable is set. At the limit of 1
	// the number is a third, because the enforcements run one by one.
	size         = 300
	sizeVariable = "BENCH_N"
	// shortPairs and shortSize apply with -short: enough to show that the benchmark works.
	shortPairs, shortSize = 1, 30
	// warmUp is how many enforcements a new attune process runs before the measurement.
	warmUp = 20
)

// BenchmarkWhole measures attune from the API to the release, and the bare engine on the same Temporal server, at limits
// of 1, 10 and 100. The rounds of the two alternate. After that, attune runs one more round with debug lines, to count
// the work of the services and to measure the steps of each hand-over.
func BenchmarkWhole(b *testing.B) {
	load := loadAverage()
	w := newWorld(b)
	var all results
	for _, limit := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			r := w.measure(b, limit)
			r.metrics(b)
			all = append(all, r)
		})
	}
	if len(all) == 0 {
		return
	}
	fmt.Printf("\nattune and the bare engine on %d processors, with %d starters of bare workflows. Load average before the start: %s.\n\n%s\n",
		runtime.NumCPU(), w.starters, load, report(all))
}

// loadAverage returns the load of the machine in the last 1, 5 and 15 minutes.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

// measure runs all rounds at one limit.
func (w *world) measure(b *testing.B, limit int) result {
	b.Helper()
	r := result{limit: limit, n: roundSize(b, limit)}
	w.start(b)
	w.compare(b, &r)
	w.stop()
	w.start(b, "--log-level", "debug")
	w.measureSteps(b, &r)
	w.stop()
	return r
}

// compare runs rounds of the engine and of attune in turn.
func (w *world) compare(b *testing.B, r *result) {
	b.Helper()
	w.enforce(b, r.limit, warmUp)
	w.bare(b, warmUp)
	var bareRates, rates []float64
	var bare, used usage
	for b.Loop() {
		for range pairsOfRounds() {
			engine := w.bare(b, r.n)
			bareRates, bare = append(bareRates, engine.rate()), bare.add(engine.used)
			whole, _ := w.enforce(b, r.limit, r.n)
			rates, used = append(rates, whole.rate()), used.add(whole.used)
			w.verify(b, r.limit)
		}
	}
	r.pairs, r.rate = len(rates), baseline.RatioOf(rates, bareRates)
	r.enforcements, r.bareWorkflows = baseline.Median(rates), baseline.Median(bareRates)
	r.used, r.bare = used.per(r.pairs*r.n), bare.per(r.pairs*r.n)
}

// measureSteps runs a round with debug lines and reads the counters of the services before and after it. First it
// measures an idle attune for the same time, and subtracts that.
func (w *world) measureSteps(b *testing.B, r *result) {
	b.Helper()
	w.autovacuum(b, "off")
	defer w.autovacuum(b, "on")
	w.enforce(b, r.limit, warmUp)
	first, used := w.counters(b), w.usage()
	before := w.counters(b)
	idle := before.minus(first)
	r.idleTransactions, r.idle = float64(idle.transactions)/settleTime.Seconds(), w.usage().minus(used).per(int(settleTime.Seconds()))
	whole, begun := w.enforce(b, r.limit, r.n)
	counted := w.counters(b).minus(before).minus(idle)
	r.withDebugLines = whole.rate()
	r.transactions, r.messages = float64(counted.transactions)/float64(r.n), float64(counted.messages)/float64(r.n)
	r.handOvers, r.handOversInAll = w.facts(b, r.limit, begun).handOvers()
	require.NotEmpty(b, r.handOvers, "none of %d hand-overs has all its moments: check the journal's log lines", r.handOversInAll)
}

// facts reads the data of the enforcements granted after since, and verifies the queue.
func (w *world) facts(b *testing.B, limit int, since time.Time) facts {
	b.Helper()
	f := facts{limit: limit, log: w.log, executions: map[attune.EnforcementID]attune.Execution{}}
	var ids []attune.EnforcementID
	for _, grant := range w.verify(b, limit).Grants {
		if grant.RequestedAt.After(since) {
			f.grants, ids = append(f.grants, grant), append(ids, grant.Enforcement)
		}
	}
	executions, err := client.List[attune.Execution](b.Context(), w.api, "/executions", map[string][]string{"queue": {string(queue(limit))}})
	require.NoError(b, err)
	for _, execution := range executions {
		f.executions[execution.Enforcement] = execution
	}
	f.releases, err = w.releases(b.Context(), queue(limit), since)
	require.NoError(b, err)
	f.begins, err = w.begins(b.Context(), ids)
	require.NoError(b, err)
	return f
}

// metrics reports the lines for benchmark tools.
func (r result) metrics(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.rate.Median, "x-engine")
	b.ReportMetric(r.cpuRatio(), "x-engine-cpu")
	b.ReportMetric(r.enforcements, "enforcements/s")
	b.ReportMetric(r.bareWorkflows, "engine-workflows/s")
	b.ReportMetric(r.transactions, "transactions/enforcement")
	b.ReportMetric(r.messages, "messages/enforcement")
	b.ReportMetric(1000*r.whole(50).Seconds(), "ms-hand-over-p50")
	b.ReportMetric(1000*r.whole(99).Seconds(), "ms-hand-over-p99")
	for p := range parts {
		unit := "ms-cpu-" + strings.ReplaceAll(strings.ToLower(p.String()), " ", "-")
		b.ReportMetric(1000*r.used[p].Seconds(), unit)
	}
}

func pairsOfRounds() int {
	if testing.Short() {
		return shortPairs
	}
	return pairs
}

// roundSize is the number of enforcements in a round. The first ones use up the limit, and each of the others takes over
// a slot.
func roundSize(b *testing.B, limit int) int {
	b.Helper()
	n := size
	if testing.Short() {
		n = shortSize
	}
	if text := os.Getenv(sizeVariable); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(b, err, "%s must be a number", sizeVariable)
		require.GreaterOrEqual(b, n, 3, sizeVariable)
	}
	if limit == 1 {
		n /= 3
	}
	return n + limit
}
