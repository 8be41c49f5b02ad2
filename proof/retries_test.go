package proof_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// retried is sound, with retries of enforcement 101. Its first attempt kept its slot, so grant 1 was also for the second. The
// third attempt, from the back, holds a slot with sequence 7 and grant 5.
func retried() rows {
	r := sound()
	*r.grantOf(r.enforcement(5)) = attune.LoggedGrant{
		Grant: r.Grants[3].Grant, RequestedAt: second(40), ReleasedAt: new(second(41)), Outcome: attune.ExecutionSucceeded,
	}
	r.enforcement(5).Status = attune.EnforcementExecuted
	r.enforcement(6).Status, r.enforcement(6).FinishedAt = attune.EnforcementExpired, new(second(50))
	e := r.enforcement(1)
	r.Grants[0].Attempt, r.Grants[0].EnqueuedAt = 2, *e.QueuedAt
	e.Sequence, e.QueuedAt, e.Status, e.GrantNumber, e.FinishedAt = 7, new(second(25)), attune.EnforcementGranted, 5, nil
	again := logged(*e, 5)
	again.Attempt, again.EnqueuedAt = 3, *e.QueuedAt
	r.Grants = append(r.Grants, again)
	r.outcome(e.ID, attune.ExecutionRunning)
	r.count()
	return r
}

func TestCheck_Retries(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"it runs again":            {func(*rows) {}, nil},
		"a retry waits for a slot": {requeued, nil},
		"a retry keeps its slot for the next attempt": {
			func(r *rows) { r.outcome(101, attune.ExecutionRetrying) },
			nil,
		},
		"an enforcement is parked": {parked, nil},
		"a parked enforcement is given up": {
			func(r *rows) {
				parked(r)
				r.enforcement(7).Status = attune.EnforcementExecuted
				r.outcome(101, attune.ExecutionFailed)
			},
			nil,
		},
		"a retry expires at the back": {
			func(r *rows) {
				requeued(r)
				r.enforcement(7).Status = attune.EnforcementExpired
				r.outcome(101, attune.ExecutionFailed)
				r.count()
			},
			nil,
		},

		"a former place is lost": {
			func(r *rows) { r.Grants = r.Grants[1:] },
			[]string{
				"tickets: sequence 1: 1 tickets are lost: no enforcement has or had a sequence from 1 to 1",
				"order: sequence 2 grant 2: 1 numbers before it are not in the log, but only 0 tickets between sequences 0 and 2 can explain them",
				"counts: total_enqueued is 7, but there are 6 rows", "counts: total_completed is 4, but there are 3 rows",
			},
		},
		"an attempt is granted twice": {
			func(r *rows) { r.Grants[4].Attempt = 2 },
			[]string{"once: sequence 7 grant 5: attempt 2 of enforcement 101 was granted after attempt 2, of grant 1"},
		},
		"an enforcement holds two slots at a time": {
			func(r *rows) { r.Grants[0].ReleasedAt, r.Grants[2].Limit, r.Grants[3].Limit = new(second(51)), 3, 3 },
			[]string{"once: sequence 7 grant 5: enforcement 101 held the slot of grant 1 until 12:00:51.000000, and took this one at 12:00:50.000000"},
		},
		"the slot of a former place is kept": {
			func(r *rows) {
				r.Grants[0].ReleasedAt, r.Grants[2].Limit, r.Grants[3].Limit, r.Grants[4].Limit = nil, 3, 3, 3
			},
			[]string{"log: sequence 1 grant 1: enforcement 101 has gone to the back but has not given its slot back"},
		},
		"a retry gets a place in front": {
			func(r *rows) {
				r.Grants[4].Number, r.enforcement(7).GrantNumber = 1, 1
				r.Grants[0].RequestedAt, r.Grants[0].ReleasedAt = second(100), new(second(101))
				r.Grants = []attune.LoggedGrant{r.Grants[0], r.Grants[4]}
				r.Grants[0].Generation, r.Grants[0].Number, r.Grants[0].Attempt, r.Grants[0].Limit = 1, 2, 4, 3
				for i := range r.Enforcements[1:] {
					r.Enforcements[1+i].Status, r.Enforcements[1+i].GrantNumber = attune.EnforcementExpired, 0
				}
				r.count()
			},
			[]string{"once: sequence 1 grant 2: enforcement 101 had already gone to the back, to the place of grant 1"},
		},
		"a place is accepted out of order": {
			func(r *rows) { r.Grants[0].EnqueuedAt = second(2) },
			[]string{"tickets: sequence 2: accepted at 12:00:01.000000, and a lower sequence at 12:00:02.000000"},
		},
		"a retry waits, and its execution has ended": {
			func(r *rows) {
				requeued(r)
				r.outcome(101, attune.ExecutionFailed)
			},
			[]string{`log: sequence 7: enforcement 101 is queued: its execution is "failed"`},
		},
		"a parked enforcement runs": {
			func(r *rows) {
				parked(r)
				r.outcome(101, attune.ExecutionRunning)
			},
			[]string{`log: sequence 7 grant 5: enforcement 101 is parked: its execution is "running"`},
		},
		"a parked enforcement holds its slot": {
			func(r *rows) {
				parked(r)
				r.Grants[4].ReleasedAt = nil
			},
			[]string{"log: sequence 7 grant 5: enforcement 101 is parked: it has not given its slot back"},
		},
		"a slot that is given back counts once per place": {
			func(r *rows) { r.Stats.TotalCompleted-- },
			[]string{"counts: 7 accepted is not 0 waiting + 1 active + 3 given back + 2 dropped", "counts: total_completed is 3, but there are 4 rows"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := retried()
			tt.change(&r)
			requireViolations(t, tt.want, check(r))
		})
	}
}

// requeued makes the enforcement wait for its third attempt.
func requeued(r *rows) {
	e := r.enforcement(7)
	e.Status, e.GrantNumber = attune.EnforcementQueued, 0
	r.Grants = r.Grants[:4]
	r.outcome(e.ID, attune.ExecutionRetrying)
	r.count()
}

// parked parks the enforcement after its third attempt.
func parked(r *rows) {
	e := r.enforcement(7)
	e.Status = attune.EnforcementParked
	r.Grants[4].ReleasedAt = new(second(60))
	r.outcome(e.ID, attune.ExecutionRetrying)
	r.count()
}

func TestCheck_RetriesCounted(t *testing.T) {
	t.Parallel()
	r := retried()
	require.Equal(t, proof.Counts{
		Tickets: 7, Active: 1, Executed: 3, Retried: 1, Dropped: 2, Grants: 5, Released: 4, MostActive: 2, Generations: 1,
	}, check(r).Checked)
	parked(&r)
	require.Equal(t, proof.Counts{
		Tickets: 7, Executed: 3, Parked: 1, Retried: 1, Dropped: 2, Grants: 5, Released: 5, MostActive: 2, Generations: 1,
	}, check(r).Checked)
}

// requireViolations requires each violation to start with the element of want.
func requireViolations(t *testing.T, want []string, report proof.Report) {
	t.Helper()
	require.Len(t, report.Violations, len(want), "%v", report.Violations)
	for i, violation := range report.Violations {
		require.Contains(t, proof.Rules(), violation.Rule)
		require.Equal(t, want[i], violation.String()[:min(len(want[i]), len(violation.String()))])
	}
}
