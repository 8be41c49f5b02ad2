package demo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/demo"
)

// row is granted, requested and started at the second from, and ends at the second to.
func row(sequence, grant int64, from, to int) demo.Row {
	at := func(s int) *time.Time { t := time.Unix(int64(s), 0); return &t }
	return demo.Row{
		Enforcement: attune.Enforcement{
			ID: attune.EnforcementID(sequence), Sequence: sequence, GrantNumber: grant, Status: attune.EnforcementExecuted,
			QueuedAt: at(0), GrantedAt: at(from),
		},
		Execution: &attune.Execution{
			Enforcement: attune.EnforcementID(sequence), Status: attune.ExecutionSucceeded,
			RequestedAt: *at(from), StartedAt: at(from), FinishedAt: at(to),
		},
	}
}

func TestMeasureQueue(t *testing.T) {
	t.Parallel()

	t.Run("a queue that kept its promises", func(t *testing.T) {
		t.Parallel()
		m := demo.MeasureQueue("q", 1, []demo.Row{row(2, 2, 3, 5), row(1, 1, 1, 3), row(3, 3, 6, 7)})
		require.Empty(t, m.Violations)
		require.Equal(t, 1, m.MaxActive, "an end and a request at the same instant do not overlap")
		require.Zero(t, m.Inversions)
		require.Equal(t, map[string]int{"succeeded": 3}, m.Outcomes)
		require.Equal(t, 3*time.Second, m.Wait.P50)
		require.Equal(t, demo.Quantiles{N: 2, P50: 0, P99: 0}, m.HandOver)
	})

	t.Run("each broken promise is noticed", func(t *testing.T) {
		t.Parallel()
		unfinished := row(2, 2, 3, 4)
		unfinished.Execution.Status = attune.ExecutionRunning
		without := row(1, 1, 1, 2)
		without.Execution = nil
		for want, rows := range map[string][]demo.Row{
			"2 executions at once, the limit is 1":            {row(1, 1, 1, 4), row(2, 2, 3, 5)},
			"1 grants out of order":                           {row(1, 2, 3, 4), row(2, 1, 1, 2)},
			"sequence 2 is missing":                           {row(1, 1, 1, 2), row(3, 2, 3, 4)},
			"enforcement 2 has not ended: running":            {row(1, 1, 1, 2), unfinished},
			"enforcement 1 was executed without an execution": {without},
		} {
			require.Equal(t, []string{want}, demo.MeasureQueue("q", 1, rows).Violations)
		}
	})
}
