package demo_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/demo"
	"github.com/attune-go/attune/proof"
)

func at(second int) time.Time { return time.Unix(int64(second), 0) }

// finished returns a queue at limit 1 that has executed three tickets, one after the other, and its executions.
func finished() (proof.Rows, []attune.Execution) {
	rows := proof.Rows{Queue: "q", Stats: attune.QueueStats{Queue: "q", MaxConcurrent: 1, TotalEnqueued: 3, TotalCompleted: 3}}
	var executions []attune.Execution
	for n, times := range [][2]int{{1, 3}, {3, 5}, {6, 7}} {
		number, from, to := int64(n+1), at(times[0]), at(times[1])
		e := attune.Enforcement{
			ID: attune.EnforcementID(10 + number), Queue: "q", Sequence: number, GrantNumber: number,
			Status: attune.EnforcementExecuted, QueuedAt: new(at(0)), GrantedAt: &from,
		}
		rows.Enforcements = append(rows.Enforcements, e)
		rows.Grants = append(rows.Grants, attune.LoggedGrant{
			Grant: attune.Grant{
				Ticket: attune.Ticket{Enforcement: e.ID, Sequence: number, Attempt: 1},
				Number: number, GrantedAt: from, Limit: 1, Revision: 1,
			},
			RequestedAt: from, ReleasedAt: &to, Outcome: attune.ExecutionSucceeded,
		})
		executions = append(executions, attune.Execution{
			Enforcement: e.ID, Status: attune.ExecutionSucceeded, RequestedAt: from, StartedAt: &from, FinishedAt: &to,
		})
	}
	return rows, executions
}

func TestMeasureQueue(t *testing.T) {
	t.Parallel()
	m := demo.MeasureQueue(finished())
	require.Empty(t, m.Violations)
	require.Equal(t, 3, m.Accepted)
	require.Equal(t, 1, m.Limit)
	require.Equal(t, 1, m.MaxActive)
	require.Zero(t, m.Inversions)
	require.Equal(t, map[string]int{"succeeded": 3}, m.Outcomes)
	require.Equal(t, 3*time.Second, m.Wait.P50)
	require.Equal(t, demo.Quantiles{N: 2, P50: 0, P99: 0}, m.HandOver)
}

// The demo reports every violation that package proof finds.
func TestMeasureQueue_Broken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change                func(*proof.Rows)
		want                  string
		inversions, maxActive int
	}{
		"the limit is exceeded": {
			func(rows *proof.Rows) { rows.Grants[0].ReleasedAt = new(at(4)) },
			"limit: sequence 2 grant 2: decided while 1 slots were held, at a limit of 1", 0, 2,
		},
		"grants are out of order": {
			func(rows *proof.Rows) {
				rows.Enforcements[1].GrantNumber, rows.Enforcements[2].GrantNumber = 3, 2
				rows.Grants[1], rows.Grants[2] = rows.Grants[2], rows.Grants[1]
				for i := range rows.Grants {
					g := &rows.Grants[i]
					g.Number, g.RequestedAt, g.ReleasedAt = int64(i+1), at(10*i), new(at(10*i+5))
				}
			},
			"order: sequence 2 grant 3: decided after grant 2 of sequence 3", 1, 1,
		},
		"an execution has not ended": {
			func(rows *proof.Rows) {
				rows.Enforcements[2].Status, rows.Grants[2].ReleasedAt = attune.EnforcementGranted, nil
				rows.Grants[2].Outcome = attune.ExecutionRunning
				rows.Stats.TotalCompleted, rows.Stats.ActiveCount = 2, 1
			},
			"not every enforcement has ended: 0 wait, 1 run, 0 are parked", 0, 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, executions := finished()
			tt.change(&rows)
			m := demo.MeasureQueue(rows, executions)
			require.Equal(t, []string{tt.want}, m.Violations)
			require.Equal(t, tt.inversions, m.Inversions)
			require.Equal(t, tt.maxActive, m.MaxActive)

			var out bytes.Buffer
			broken, err := demo.Report(&out, []demo.Measure{m})
			require.NoError(t, err)
			require.Equal(t, 1, broken)
			require.Contains(t, out.String(), "BROKEN  q: "+tt.want+"\n")
		})
	}
}
