package proof_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// number gives the grant of a sequence another number, in the row and in the log.
func (r *rows) number(sequence, number int64) {
	e := r.enforcement(sequence)
	r.grantOf(e).Number, e.GrantNumber = number, number
}

// grant lets the ticket of a sequence hold a slot, under a grant number.
func (r *rows) grant(sequence, number int64) *attune.LoggedGrant {
	e := r.enforcement(sequence)
	e.Status, e.GrantNumber, e.FinishedAt = attune.EnforcementGranted, number, nil
	r.Grants = append(r.Grants, logged(*e, number))
	r.count()
	return &r.Grants[len(r.Grants)-1]
}

// wait lets the ticket of a sequence wait: its grant was decided and not acted upon.
func (r *rows) wait(sequence int64) {
	e := r.enforcement(sequence)
	i := int(e.GrantNumber) - 1
	r.Grants = append(r.Grants[:i:i], r.Grants[i+1:]...)
	e.Status, e.GrantNumber, e.FinishedAt = attune.EnforcementQueued, 0, nil
	r.count()
}

// overtaken grants ticket 2 before ticket 1, and leaves the first number out.
func overtaken(r *rows) {
	r.number(5, 5)
	r.number(4, 4)
	r.number(1, 3)
}

// One irregularity in the rows must not hide another.
func TestCheck_Several(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"a held slot counts for later grants": {
			func(r *rows) { r.grant(6, 5).Limit = 1 },
			[]string{"limit: sequence 6 grant 5: decided while 1 slots were held, at a limit of 1"},
		},
		"each missing number holds a slot": {
			func(r *rows) {
				r.wait(5)
				r.wait(2)
				r.grant(6, 5)
			},
			[]string{"limit: sequence 6 grant 5: decided while 0 slots were held and 2 more were given to grants not acted upon, at a limit of 2"},
		},
		"two tickets are overtaken": {
			func(r *rows) {
				r.number(1, 3)
				r.number(4, 1)
				for i := range r.Grants {
					r.Grants[i].Limit = 9
				}
			},
			[]string{
				"order: sequence 1 grant 3: decided after grant 1 of sequence 4",
				"order: sequence 2 grant 2: decided after grant 1 of sequence 4",
			},
		},
		"an overtaken ticket explains no missing number": {
			overtaken,
			[]string{
				"order: sequence 1 grant 3: decided after grant 2 of sequence 2",
				"order: sequence 2 grant 2: 1 numbers before it are not in the log, but only 0 tickets between sequences 0 and 2 can explain them",
			},
		},
		"a waiting ticket that is overtaken explains no missing number": {
			func(r *rows) {
				overtaken(r)
				r.enforcement(1).Status = attune.EnforcementQueued
				r.count()
			},
			[]string{
				"order: sequence 1 grant 3: decided after grant 2 of sequence 2", "order: sequence 2 grant 2: 1 numbers before it",
				"log: sequence 1 grant 3: enforcement 101 is queued: the log has grant 3 for it",
			},
		},
		"an expired ticket that is overtaken explains no missing number": {
			func(r *rows) {
				overtaken(r)
				r.enforcement(1).Status, r.enforcement(1).FinishedAt = attune.EnforcementExpired, new(second(100))
				r.count()
			},
			[]string{
				"order: sequence 1 grant 3: decided after grant 2 of sequence 2", "order: sequence 2 grant 2: 1 numbers before it",
				"log: sequence 1 grant 3: enforcement 101 is expired: the log has grant 3 for it",
			},
		},
		"a ticket in front of both explains no missing number": {
			func(r *rows) {
				r.wait(1)
				r.number(5, 5)
				r.number(4, 4)
				for i := range r.Grants {
					r.Grants[i].Limit = 9
				}
			},
			[]string{"order: sequence 4 grant 4: 1 numbers before it are not in the log, but only 0 tickets between sequences 2 and 4 can explain them"},
		},
		"a place that is granted twice in a row does not break the order": {
			func(r *rows) {
				again := r.Grants[3]
				again.Number, again.RequestedAt = 5, second(60)
				r.Grants = append(r.Grants, again)
			},
			[]string{"once: sequence 5 grant 5: enforcement 105 was already granted in this place, by grant 4"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			tt.change(&r)
			requireViolations(t, tt.want, check(r))
		})
	}
}

// A missing number of an earlier generation does not hide a missing number of a later one.
func TestCheck_MissingInBothGenerations(t *testing.T) {
	t.Parallel()
	r := rebuilt()
	r.Enforcements = append(r.Enforcements, attune.Enforcement{
		ID: 106, Queue: key, Sequence: 6, Status: attune.EnforcementQueued, QueuedAt: new(second(9)),
	})
	r.Grants = r.Grants[:4]
	r.enforcement(5).Status, r.enforcement(5).GrantNumber = attune.EnforcementQueued, 0
	grant := r.grant(6, 8)
	grant.Generation, grant.Limit = 2, 1
	requireViolations(t, []string{
		"limit: sequence 6 grant 8: decided while 0 slots were held and 1 more were given to grants not acted upon, at a limit of 1",
	}, check(r))
}

// Missing numbers of earlier generations count as fenced off; those of the newest are grants in delivery.
func TestCheck_FencedCounted(t *testing.T) {
	t.Parallel()
	r := rebuilt()
	for sequence, of := range map[int64]struct{ generation, number int64 }{1: {2, 5}, 2: {1, 2}, 3: {2, 6}, 4: {1, 4}, 5: {2, 7}} {
		r.number(sequence, of.number)
		grant := r.grantOf(r.enforcement(sequence))
		grant.Generation, grant.Limit = of.generation, 9
	}
	report := check(r)
	require.Empty(t, report.Violations)
	require.Equal(t, 2, report.Checked.Fenced)

	r = sound()
	r.wait(4)
	report = check(r)
	require.Empty(t, report.Violations)
	require.Zero(t, report.Checked.Fenced)
}

func TestCheck_RegrantedCounted(t *testing.T) {
	t.Parallel()
	r := sound()
	again := r.Grants[3]
	again.Generation, again.Number, again.RequestedAt = 1, 5, second(60)
	r.Grants = append(r.Grants, again)
	report := check(r)
	requireViolations(t, []string{"once: sequence 5 grant 5: enforcement 105 was already granted in this place, by grant 4"}, report)
	require.Zero(t, report.Checked.Regranted, "no ticket behind it was granted")
}

func TestCheck_PassedCounted(t *testing.T) {
	t.Parallel()
	r := sound()
	require.Zero(t, check(r).Checked.Passed, "6 waits behind every grant")
	r.enforcement(3).Status = attune.EnforcementQueued
	r.count()
	require.Equal(t, 1, check(r).Checked.Passed)
}

func TestCheck_ReprievedCounted(t *testing.T) {
	t.Parallel()
	r := rebuilt()
	for sequence, of := range map[int64]struct{ generation, number int64 }{1: {2, 3}, 2: {1, 1}, 3: {2, 4}, 4: {1, 2}, 5: {2, 5}} {
		r.number(sequence, of.number)
		grant := r.grantOf(r.enforcement(sequence))
		grant.Generation, grant.Limit = of.generation, 9
	}
	report := check(r)
	require.Empty(t, report.Violations)
	require.Equal(t, 2, report.Checked.Reprieved, "1 before the grant of 2, and 3 before that of 4")
	require.Equal(t, 2, report.Checked.Regranted)
}
