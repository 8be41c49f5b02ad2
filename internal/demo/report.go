package demo

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report writes one row per queue, then every violation. It returns the number of violations.
func Report(w io.Writer, measures []Measure) (int, error) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "queue\taccepted\toutcomes\tmax active / limit\torder inversions\twait p50\tp99\thand-over p50\tp99\t")
	for _, m := range measures {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%d / %d\t%d\t%s\t%s\t%s\t%s\t\n", m.Queue, m.Accepted, outcomes(m.Outcomes),
			m.MaxActive, m.Limit, m.Inversions, ms(m.Wait, m.Wait.P50), ms(m.Wait, m.Wait.P99),
			ms(m.HandOver, m.HandOver.P50), ms(m.HandOver, m.HandOver.P99))
	}
	if err := table.Flush(); err != nil {
		return 0, fmt.Errorf("write the table: %w", err)
	}
	broken := 0
	for _, m := range measures {
		for _, violation := range m.Violations {
			broken++
			_, _ = fmt.Fprintf(w, "BROKEN  %s: %s\n", m.Queue, violation)
		}
	}
	return broken, nil
}

func outcomes(counts map[string]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[status], status))
	}
	return strings.Join(parts, ", ")
}

func ms(q Quantiles, d time.Duration) string {
	if q.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
