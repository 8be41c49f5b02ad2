package proof_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// accept adds a waiting ticket at the back of the line.
func (r *rows) accept(at int, lane int32) {
	n := int64(len(r.Enforcements) + 1)
	r.Enforcements = append(r.Enforcements, attune.Enforcement{
		ID: attune.EnforcementID(100 + n), Queue: key, Sequence: n, Status: attune.EnforcementQueued, QueuedAt: new(second(at)), Lane: lane,
		ActionID: 1,
	})
	r.count()
}

// unlogged is sideBySide without grant 3, which is not acted upon: ticket 4 waits.
func unlogged() rows {
	r := sideBySide()
	r.Grants[4].Freed = []int64{1}
	r.wait(4)
	r.Grants[4].Limit = 9
	r.enforcement(7).FinishedAt = new(second(9))
	return r
}

func TestCheck_MissingInLanes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"a waiting ticket explains a missing number": {func(*rows) {}, nil},
		"an expired ticket explains a missing number": {
			func(r *rows) {
				r.enforcement(4).Status, r.enforcement(4).FinishedAt = attune.EnforcementExpired, new(second(32))
				r.count()
			},
			nil,
		},
		"a ticket that expired before explains no missing number": {
			func(r *rows) {
				r.enforcement(4).Status, r.enforcement(4).FinishedAt = attune.EnforcementExpired, new(second(31))
				r.count()
			},
			[]string{"order: sequence 6 grant 4: 1 numbers up to it are not in the log, but only 0 tickets can explain them"},
		},
		"a ticket of the same instant explains a missing number": {
			func(r *rows) {
				r.number(5, 7)
				r.accept(31, 9)
			},
			nil,
		},
		"a later ticket explains no missing number": {
			func(r *rows) {
				r.number(5, 7)
				r.accept(32, 9)
			},
			[]string{"order: sequence 5 grant 7: 2 numbers up to it are not in the log, but only 1 tickets can explain them"},
		},
		"a missing number holds a slot": {
			func(r *rows) { r.Grants[3].Limit = 3 },
			[]string{"limit: sequence 2 grant 5: decided while 2 slots were held and 1 more were given to grants not acted upon, at a limit of 3"},
		},
		"a missing number can have held the slots that are counted as freed": {
			func(r *rows) { r.Grants[3].Freed = []int64{1, 98} },
			nil,
		},
		"more slots are counted as freed than missing numbers can have held": {
			func(r *rows) { r.Grants[3].Freed = []int64{1, 98, 99} },
			[]string{"limit: sequence 2 grant 5: the queue counted 3 slots as freed before it, 1 more than can have become free"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := unlogged()
			tt.change(&r)
			requireViolations(t, tt.want, check(r))
		})
	}
}

// lanesRebuilt is a queue whose lanes pass each other. Its first generation decided grants 1 to 3, for sequences 1, 2 and 4, and was
// lost before grant 2 was acted upon. The next generation granted sequence 2 again, and then 3. Sequences 1 and 3 are in lane 1, 2 and
// 4 in lane 2.
func lanesRebuilt() rows {
	r := empty()
	r.Policies[0] = attune.QueuePolicy{
		Revision: 1, Limit: 9, Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: new(2)}},
	}
	for sequence := range 4 {
		r.accept(sequence, int32(1+sequence%2))
	}
	for i, of := range []struct{ generation, number, sequence int64 }{{1, 1, 1}, {1, 3, 4}, {2, 4, 2}, {2, 5, 3}} {
		grant := r.grant(of.sequence, of.number)
		grant.Generation, grant.Limit, grant.RequestedAt = of.generation, 9, second(10+i)
		grant.Lane, grant.Action = r.enforcement(of.sequence).Lane, 1
	}
	return r
}

// lostEndInLanes removes the missing number.
func lostEndInLanes(r *rows) {
	for i := 1; i < len(r.Grants); i++ {
		r.Grants[i].Number--
		r.enforcement(r.Grants[i].Sequence).GrantNumber--
	}
}

func TestCheck_LanesRebuilt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change                       func(r *rows)
		want                         []string
		fenced, regranted, reprieved int
	}{
		"a ticket is granted again":   {change: func(*rows) {}, fenced: 1, regranted: 1},
		"the end of a ticket is lost": {change: lostEndInLanes, regranted: 1, reprieved: 1},
		"no policy is known":          {change: func(r *rows) { r.Policies = nil }, fenced: 1, regranted: 1},
		"the first generation is not lost": {
			change: func(r *rows) { r.Policies, r.Grants[2].Generation, r.Grants[3].Generation = nil, 1, 1 },
			want: []string{
				"order: sequence 2 grant 4: decided after grant 3 of sequence 4",
				"order: sequence 4 grant 3: 1 numbers up to it are not in the log, but only 0 tickets can explain them",
			},
		},
		"the end of a ticket cannot have been lost": {
			change: func(r *rows) {
				lostEndInLanes(r)
				r.Policies = nil
				r.accept(12, 3)
				r.enforcement(5).Status, r.enforcement(5).FinishedAt = attune.EnforcementExpired, new(second(13))
				later := r.Grants[2]
				r.Grants[2], r.Grants[3] = r.Grants[3], later
				r.Grants[2].Generation, r.Grants[2].Number, r.Grants[2].RequestedAt = 1, 3, second(14)
				r.Grants[3].Number = 4
				r.enforcement(3).GrantNumber, r.enforcement(2).GrantNumber = 3, 4
				r.count()
			},
			want:      []string{"order: sequence 4 grant 2: overtook 1 tickets between sequences 0 and 4, whose grants and ends cannot have been lost"},
			regranted: 1, reprieved: 1,
		},
		"an older generation decides again": {
			change:    func(r *rows) { r.Grants[3].Generation = 1 },
			want:      []string{"order: sequence 3 grant 5: decided by generation 1 after generation 2 had taken over"},
			regranted: 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lanesRebuilt()
			tt.change(&r)
			report := check(r)
			requireViolations(t, tt.want, report)
			require.Equal(t, []int{tt.fenced, tt.regranted, tt.reprieved},
				[]int{report.Checked.Fenced, report.Checked.Regranted, report.Checked.Reprieved})
		})
	}
}

// What a generation counted says nothing about the next one.
func TestCheck_CountedByGeneration(t *testing.T) {
	t.Parallel()
	r := sideBySide()
	for i := range r.Grants[4:] {
		r.Grants[4+i].Generation = 1
	}
	for freed := range 3 {
		r.Grants[4].Freed = []int64{1, 4}[:freed]
		require.Empty(t, check(r).Violations)
	}
	r.Grants[5].Freed = []int64{98, 99}
	requireViolations(t, []string{
		"limit: sequence 5 grant 6: the queue counted 2 slots as freed before it, 1 more than can have become free",
	}, check(r))
}

// A policy under which nothing passes the first ticket loses decisions, so the numbers of freed slots prove nothing.
func TestCheck_CountedAcrossPolicies(t *testing.T) {
	t.Parallel()
	for name, policies := range map[string][]attune.QueuePolicy{
		"strict": {{Revision: 2, Limit: 4}}, "unknown": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sideBySide()
			r.Policies = append(r.Policies, policies...)
			r.enforcement(2).Lane, r.enforcement(2).Sequence, r.enforcement(6).Sequence = 9, 6, 2
			for _, grant := range []int{3, 4} {
				r.Grants[grant].Sequence, r.Grants[grant].Lane = r.byID(r.Grants[grant].Enforcement).Sequence, r.byID(r.Grants[grant].Enforcement).Lane
			}
			r.Grants[3].Revision = 2
			r.Grants[3].Freed, r.Grants[4].Freed = make([]int64, 9), make([]int64, 9)
			report := check(r)
			require.NotContains(t, slices.Collect(rules(report)), proof.RuleLimit)
		})
	}
}

func rules(report proof.Report) func(func(proof.Rule) bool) {
	return func(yield func(proof.Rule) bool) {
		for _, violation := range report.Violations {
			if !yield(violation.Rule) {
				return
			}
		}
	}
}
