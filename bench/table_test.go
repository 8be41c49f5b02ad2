package bench_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/workflows/baseline"
)

// result is the measurement at one limit. Times of parts are per enforcement or per bare workflow.
type result struct {
	limit    int
	pairs, n int // rounds of attune and of the engine each, and enforcements in a round

	rate                        baseline.Ratio
	enforcements, bareWorkflows float64 // per second
	used, bare                  usage

	// From the round with debug lines.
	withDebugLines         float64 // enforcements per second
	transactions, messages float64
	handOvers              []handOver // hand-overs with all moments
	handOversInAll         int

	// Of an idle attune, per second.
	idleTransactions float64
	idle             usage
}

// cpuRatio is the processor time of attune and the services per enforcement, relative to that of the bare engine per
// workflow. The benchmark process is the worker of the bare engine.
func (r result) cpuRatio() float64 {
	return ratioOf(r.used.service(), r.bare[partTemporal]+r.bare[partLoad])
}

func (r result) temporalRatio() float64 { return ratioOf(r.used[partTemporal], r.bare[partTemporal]) }

func ratioOf(measured, against time.Duration) float64 {
	if against == 0 { // the processor time is unknown
		return 0
	}
	return float64(measured) / float64(against)
}

// whole returns a percentile of the duration of the hand-overs.
func (r result) whole(percent int) time.Duration {
	var all []time.Duration
	for _, h := range r.handOvers {
		all = append(all, h.whole())
	}
	return baseline.Quantile(all, percent)
}

// step returns percentiles of the step that ends at m, and its share of the sum of all hand-overs.
func (r result) step(m moment) (share float64, p50, p99 time.Duration) {
	var all []time.Duration
	var step, whole time.Duration
	for _, h := range r.handOvers {
		all = append(all, h.took(m))
		step += h.took(m)
		whole += h.whole()
	}
	return ratioOf(step, whole), baseline.Quantile(all, 50), baseline.Quantile(all, 99)
}

// report returns the tables of all results as Markdown, ratios first.
func report(all results) string {
	return strings.Join([]string{all.ratios(), all.absolute(), all.steps()}, "\n")
}

// results are the results of all limits, a column each.
type results []result

func (all results) row(name string, cell func(result) string) []string {
	cells := []string{name}
	for _, r := range all {
		cells = append(cells, cell(r))
	}
	return cells
}

func (all results) heads(first ...string) []string {
	for _, r := range all {
		first = append(first, fmt.Sprintf("limit %d", r.limit))
	}
	return first
}

func (all results) ratios() string {
	return markdown(all.heads("ratios"), [][]string{
		all.row("rate relative to the bare engine", func(r result) string {
			return fmt.Sprintf("**%.2f** (%.2f to %.2f, %d pairs)", r.rate.Median, r.rate.Lowest, r.rate.Highest, r.pairs)
		}),
		all.row("CPU of all parts relative to a bare workflow", func(r result) string { return fmt.Sprintf("%.1f", r.cpuRatio()) }),
		all.row("CPU of Temporal relative to a bare workflow", func(r result) string { return fmt.Sprintf("%.1f", r.temporalRatio()) }),
		all.row("transactions per enforcement", func(r result) string { return fmt.Sprintf("%.1f", r.transactions) }),
		all.row("messages per enforcement", func(r result) string { return fmt.Sprintf("%.1f", r.messages) }),
	})
}

func (all results) absolute() string {
	rows := [][]string{
		all.row("enforcements/s", func(r result) string { return fmt.Sprintf("%.1f", r.enforcements) }),
		all.row("enforcements/s, with debug lines", func(r result) string { return fmt.Sprintf("%.1f", r.withDebugLines) }),
		all.row("bare workflows/s", func(r result) string { return fmt.Sprintf("%.1f", r.bareWorkflows) }),
		all.row("enforcements in a round", func(r result) string { return strconv.Itoa(r.n) }),
		all.row("hand-over: p50 / p99", func(r result) string { return ms(r.whole(50)) + " / " + ms(r.whole(99)) + " ms" }),
		all.row("hand-overs with all moments", func(r result) string { return fmt.Sprintf("%d of %d", len(r.handOvers), r.handOversInAll) }),
		all.row("CPU per enforcement: attune and services", func(r result) string { return ms(r.used.service()) + " ms" }),
	}
	for p := range parts {
		rows = append(rows, all.row("CPU per enforcement: "+p.String(), func(r result) string { return ms(r.used[p]) + " ms" }))
	}
	rows = append(rows,
		all.row("CPU per bare workflow: Temporal", func(r result) string { return ms(r.bare[partTemporal]) + " ms" }),
		all.row("CPU per bare workflow: its worker", func(r result) string { return ms(r.bare[partLoad]) + " ms" }),
		all.row("idle: CPU of attune and services", func(r result) string { return ms(r.idle.service()) + " ms/s" }),
		all.row("idle: transactions", func(r result) string { return fmt.Sprintf("%.1f/s", r.idleTransactions) }),
	)
	return markdown(all.heads("this machine, this run"), rows)
}

func (all results) steps() string {
	var rows [][]string
	for m := processEnds + 1; m < momentsOfHandOver; m++ {
		name, clock := m.step()
		cells := all.row(name, func(r result) string {
			share, p50, p99 := r.step(m)
			return fmt.Sprintf("%.0f %%, %s / %s", 100*share, ms(p50), ms(p99))
		})
		rows = append(rows, slices.Insert(cells, 1, clock))
	}
	return markdown(all.heads("step of a hand-over: share, p50 / p99 in ms", "clock"), rows)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", 1000*d.Seconds()) }

// markdown returns a table with aligned columns.
func markdown(heads []string, rows [][]string) string {
	widths := make([]int, len(heads))
	for _, cells := range append([][]string{heads}, rows...) {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(cell func(i int) string) {
		for i, width := range widths {
			text := cell(i)
			fmt.Fprintf(&b, "| %s%s ", text, strings.Repeat(" ", width-utf8.RuneCountInString(text)))
		}
		b.WriteString("|\n")
	}
	line(func(i int) string { return heads[i] })
	line(func(i int) string { return strings.Repeat("-", widths[i]) })
	for _, cells := range rows {
		line(func(i int) string { return cells[i] })
	}
	return b.String()
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	require.Equal(t, `| step | ms |
| ---- | -- |
| —    | 10 |
| row  | 1  |
`, markdown([]string{"step", "ms"}, [][]string{{"—", "10"}, {"row", "1"}}))
}

func TestResult(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	r := result{limit: 10, handOvers: []handOver{
		{at(1), at(2), at(4), at(4), at(4), at(4), at(4), at(4), at(4), at(5)},          // 4 ms
		{at(1), at(4), at(4), at(4), at(4), at(4), at(4), at(4), at(4), at(17)},         // 16 ms
		{at(1), at(10), at(10), at(10), at(10), at(10), at(10), at(10), at(11), at(11)}, // 10 ms
	}}
	require.Equal(t, 10*time.Millisecond, r.whole(50))
	share, p50, p99 := r.step(processStarts)
	require.InDelta(t, 14.0/30, share, 1e-9)
	require.Equal(t, time.Millisecond, p50)
	require.Equal(t, time.Millisecond, p99, "of three values, the second is the last below 99 percent")

	r.used[partAttune], r.used[partTemporal], r.used[partWork], r.used[partLoad] = 8, 12, 100, 100
	require.Zero(t, r.cpuRatio(), "without processor times there is no ratio")
	r.bare[partTemporal], r.bare[partLoad] = 6, 4
	require.InDelta(t, 2, r.cpuRatio(), 1e-9)
	require.InDelta(t, 2, r.temporalRatio(), 1e-9)
	require.Contains(t, report(results{r}), "| process starts ")
}
