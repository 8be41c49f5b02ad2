package proof_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// limitLane adds a change of the limit of a lane. The grants from the given time on know it.
func (r *rows) limitLane(lane int32, at time.Time, from, to string) {
	n := int64(len(r.Changes) + 1)
	r.Changes = append(r.Changes, attune.QueueChange{
		Number: n, At: at, Author: author, Kind: attune.ChangeLaneLimit, Lane: lane, From: from, To: to,
	})
	for i := range r.Grants {
		if !r.Grants[i].GrantedAt.Before(at) {
			r.Grants[i].Changes = n
		}
	}
}

// until returns the text of a manual limit with an end.
func until(limit string, at time.Time) string {
	return limit + " by hand until " + at.UTC().Format(time.RFC3339)
}

func TestCheck_LaneLimits(t *testing.T) {
	t.Parallel()
	// Grants 1, 2 and 5 of action 1 have limits of 1 for a lane: grant 1 of lane 1 ends at 25, and grant 5 of lane 1 is requested at 30.
	const above = "limit: sequence 2 grant 5: decided while 1 slots were held in lane 1, at a limit of 1"
	early := func(r *rows) { // grant 5 is decided while grant 1 holds its slot
		r.Grants[0].ReleasedAt, r.Grants[4].Freed = new(second(35)), []int64{4}
		r.Grants[5].Limit = 5
	}
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"a grant above the limit of the policy": {change: early, want: []string{above}},
		"a manual limit allows it": {change: func(r *rows) {
			early(r)
			r.limitLane(1, second(28), "by policy", "2 by hand")
		}},
		"a manual limit of another lane does not": {change: func(r *rows) {
			early(r)
			r.limitLane(2, second(28), "by policy", "2 by hand")
		}, want: []string{above}},
		"a manual limit that was set after the decision does not": {change: func(r *rows) {
			early(r)
			r.limitLane(1, second(28), "by policy", "2 by hand")
			r.Grants[4].Changes, r.Grants[5].Changes = 0, 0
		}, want: []string{above}},
		"a manual limit that was cleared does not": {change: func(r *rows) {
			early(r)
			r.limitLane(1, second(27), "by policy", "2 by hand")
			r.limitLane(1, second(28), "2 by hand", "by policy")
		}, want: []string{above}},
		"a manual limit that has ended does not": {change: func(r *rows) {
			early(r)
			r.limitLane(1, second(20), "by policy", until("2", second(30)))
		}, want: []string{above}},
		"a manual limit that ends later does": {change: func(r *rows) {
			early(r)
			r.limitLane(1, second(20), "by policy", until("2", second(31)))
		}},
		"a grant above a manual limit": {change: func(r *rows) {
			early(r)
			r.limit(1).LimitPerKey = new(5)
			r.limitLane(1, second(9), "by policy", "1 by hand")
		}, want: []string{above}},
		"a change that is not in the log can allow it": {change: func(r *rows) {
			early(r)
			r.Grants[4].Changes, r.Grants[5].Changes = 1, 1
		}},
		"a change that was lost can allow it": {change: func(r *rows) {
			early(r)
			r.limitLane(2, second(28), "by policy", "2 by hand")
			r.Changes[0].At = second(70) // of a later generation, under the same number
		}},
		"a ticket that a manual limit held up was not passed": {change: func(r *rows) {
			r.limit(1).LimitPerKey = new(2)
			r.limitLane(1, second(9), "by policy", "1 by hand")
		}},
		"a ticket that a manual limit let start was passed": {change: func(r *rows) {
			r.limitLane(1, second(9), "by policy", "2 by hand")
		}, want: []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 2 of sequence 3 in lane 2"}},

		"a change does not follow the one before": {change: func(r *rows) {
			r.limitLane(5, second(52), "by policy", "2 by hand")
			r.limitLane(5, second(53), "by policy", "3 by hand")
		}, want: []string{`changes: change 2: the lane_limit was "by policy", but the previous change had set it to "2 by hand"`}},
		"a change follows a limit that has ended": {change: func(r *rows) {
			r.limitLane(5, second(52), "by policy", until("2", second(54)))
			r.limitLane(5, second(54), "by policy", "3 by hand")
		}},
		"a change follows a limit too early": {change: func(r *rows) {
			r.limitLane(5, second(52), "by policy", until("2", second(54)))
			r.limitLane(5, second(53), "by policy", "3 by hand")
		}, want: []string{`changes: change 2: the lane_limit was "by policy", but the previous change had set it to "` + until("2", second(54)) + `"`}},
		"a change of no lane, and one to no limit": {change: func(r *rows) {
			r.limitLane(0, second(52), "by policy", "2 by hand")
			r.limitLane(5, second(53), "by policy", "2 by policy")
		}, want: []string{
			`changes: change 1: a change of the lane_limit from "by policy" to "2 by hand" is impossible`,
			`changes: change 2: a change of the lane_limit from "by policy" to "2 by policy" is impossible`,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sideBySide()
			tt.change(&r)
			var got []string
			for _, violation := range proof.Check(r.Rows).Violations {
				got = append(got, violation.String())
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCheck_LaneLimitUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(r *rows)
		want   int
	}{
		"the grants name no change": {change: func(*rows) {}},
		"the log has the changes": {change: func(r *rows) {
			r.limitLane(2, second(28), "by policy", "2 by hand")
		}},
		"the log lacks the change before two grants": {change: func(r *rows) {
			r.Grants[4].Changes, r.Grants[5].Changes = 1, 1
		}, want: 2},
		"the log lacks the second of two changes": {change: func(r *rows) {
			r.limitLane(2, second(28), "by policy", "2 by hand")
			r.Grants[5].Changes = 2
		}, want: 1},
		"the change was lost, and its number was given to a later one": {change: func(r *rows) {
			r.limitLane(2, second(28), "by policy", "2 by hand")
			r.Changes[0].At = second(70)
		}, want: 2},
		"no change can limit grants without a lane": {change: func(r *rows) {
			for i := range r.Grants {
				r.Grants[i].Lane, r.Grants[i].Changes = 0, 1
			}
			for i := range r.Enforcements {
				r.Enforcements[i].Lane = 0
			}
		}},
		"a grant that is older than the log counts once": {change: func(r *rows) {
			r.Grants[5].Limit, r.Grants[5].Revision, r.Grants[5].Changes = 0, 0, 1
		}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sideBySide()
			tt.change(&r)
			require.Equal(t, tt.want, proof.Check(r.Rows).Checked.LimitUnknown)
		})
	}
}

func TestCheck_LaneLimitsOfLaterGenerations(t *testing.T) {
	t.Parallel()
	r := sideBySide()
	for i := range r.Grants {
		r.Grants[i].Generation = 1
	}
	r.Grants[0].ReleasedAt, r.Grants[4].Freed, r.Grants[5].Limit = new(second(35)), []int64{4}, 5
	r.limitLane(1, second(20), "by policy", until("2", second(40)))
	r.Policies[0].Actions[0].LimitPerKey = new(1)
	require.Empty(t, proof.Check(r.Rows).Violations, "the rebuild may have left the limit in force")
	r.Changes[0].To = until("1", second(40))
	require.Len(t, proof.Check(r.Rows).Violations, 1, "neither limit allows the grant")
}

func TestCheck_CountsGrantsUnderALaneLimit(t *testing.T) {
	t.Parallel()
	r := sideBySide()
	r.limitLane(1, second(29), "by policy", "2 by hand")
	r.limitLane(1, second(31), "2 by hand", "by policy")
	r.limitLane(4, second(32), "by policy", "3 by hand")
	report := proof.Check(r.Rows)
	require.Empty(t, report.Violations)
	require.Equal(t, 1, report.Transitions[0].Granted)
	require.Equal(t, second(31), *report.Transitions[0].Until)
	require.Zero(t, report.Transitions[1].Granted)
	require.Nil(t, report.Transitions[1].Until, "the next change is about another lane")
}
