package proof_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// sideBySide is a queue at limit 4 whose lanes pass each other. Action 1 has a limit of 1 for a lane, and action 2 a limit of 1. The
// queue granted sequences 1, 3, 4 and 6; 2 waited for its lane, and 5 for its action. Then it saw two slots become free, and
// granted 2 and 5. Sequence 7 expired.
func sideBySide() rows {
	r := empty()
	r.Policies[0] = attune.QueuePolicy{Revision: 1, Limit: 4, Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{
		{Action: 1, LimitPerKey: new(1)}, {Action: 2, Limit: new(1)},
	}}
	for i, in := range []struct {
		lane   int32
		action attune.ActionID
	}{{1, 1}, {1, 1}, {2, 1}, {3, 2}, {4, 2}, {5, 1}, {5, 1}} {
		r.Enforcements = append(r.Enforcements, attune.Enforcement{
			ID: attune.EnforcementID(101 + i), Queue: key, Sequence: int64(i + 1), Status: attune.EnforcementExecuted,
			QueuedAt: new(second(i)), FinishedAt: new(second(60)), Lane: in.lane, ActionID: in.action,
		})
	}
	for i, at := range []struct {
		sequence int64
		from, to int
	}{{1, 10, 25}, {3, 11, 40}, {4, 12, 26}, {6, 13, 41}, {2, 30, 50}, {5, 31, 51}} {
		e := r.enforcement(at.sequence)
		e.GrantNumber = int64(i + 1)
		grant := logged(*e, e.GrantNumber)
		grant.Lane, grant.Action, grant.Limit = e.Lane, e.ActionID, 4
		grant.GrantedAt, grant.RequestedAt, grant.ReleasedAt = second(at.from), second(at.from), new(second(at.to))
		r.Grants = append(r.Grants, grant)
	}
	r.Grants[4].Freed = []int64{1, 4}
	r.enforcement(7).Status = attune.EnforcementExpired
	r.count()
	return r
}

// limit returns the limits of an action in the first policy.
func (r *rows) limit(action attune.ActionID) *attune.ActionPolicy {
	return &r.Policies[0].Actions[action-1]
}

// freeEarly lets ticket 1 give its slot back before grant 4. The queue knows of it at the decision of a grant with the given number.
func freeEarly(r *rows, known int64) {
	r.Grants[0].ReleasedAt = new(second(12))
	r.Grants[4].Freed = []int64{4}
	r.Grants[known-1].Freed = append(r.Grants[known-1].Freed, 1)
}

// insert puts an expired ticket of an action and lane 1 in front of a sequence.
func insert(r *rows, sequence int64, action attune.ActionID) {
	for i := range r.Enforcements {
		if e := &r.Enforcements[i]; e.Sequence >= sequence {
			e.Sequence++
		}
	}
	for i := range r.Grants {
		grant := &r.Grants[i]
		if grant.Sequence >= sequence {
			grant.Sequence++
		}
		for j := range grant.Freed {
			if grant.Freed[j] >= sequence {
				grant.Freed[j]++
			}
		}
	}
	r.Enforcements = append(r.Enforcements, attune.Enforcement{
		ID: 201, Queue: key, Sequence: sequence, Status: attune.EnforcementExpired, QueuedAt: new(second(0)), FinishedAt: new(second(60)),
		Lane: 1, ActionID: action,
	})
	r.count()
}

func TestCheck_Lanes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(r *rows)
		want    []string
		unclear int
	}{
		"lanes pass each other": {change: func(*rows) {}},
		"no policy is known": {change: func(r *rows) {
			r.Policies = nil
			r.Grants[0].ReleasedAt, r.Grants[4].Freed, r.Grants[5].Limit = new(second(35)), []int64{4}, 9
		}},

		"a lane is out of order": {
			change: func(r *rows) {
				r.swap(1, 2)
			},
			want: []string{"order: sequence 1 grant 5: decided after grant 1 of sequence 2"},
		},
		"a lane is out of order, and no policy is known": {
			change: func(r *rows) {
				r.Policies = nil
				r.swap(1, 2)
			},
			want: []string{"order: sequence 1 grant 5: decided after grant 1 of sequence 2"},
		},
		"a ticket passes another while nothing may": {
			change: func(r *rows) {
				r.Policies = append(r.Policies, attune.QueuePolicy{Revision: 2, Limit: 4, Across: attune.AcrossStrict})
				r.Grants[3].Revision = 2
			},
			want: []string{
				"order: sequence 2 grant 5: decided after grant 4 of sequence 6, although nothing could pass the first ticket then",
				"order: sequence 5 grant 6: decided after grant 4 of sequence 6, although nothing could pass the first ticket then",
			},
		},

		"an unlimited lane is passed": {
			change: func(r *rows) { r.limit(1).LimitPerKey = nil },
			want:   []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 2 of sequence 3 in lane 2"},
		},
		"a lane with room is passed": {
			change: func(r *rows) { r.limit(1).LimitPerKey = new(2) },
			want:   []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 2 of sequence 3 in lane 2"},
		},
		"a lane at limit 0 is passed": {
			change: func(r *rows) {
				stop := r.Policies[0]
				stop.Revision, stop.Actions = 2, []attune.ActionPolicy{{Action: 1, LimitPerKey: new(0)}, {Action: 2, Limit: new(1)}}
				r.Policies = append(r.Policies, stop)
				r.Grants[2].Revision = 2
				freeEarly(r, 3)
				r.Grants[0].ReleasedAt = new(second(11))
				r.Grants[3].Sequence, r.enforcement(6).Sequence = 6, 6
			},
			want: []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"an unlimited action is passed": {
			change: func(r *rows) { r.limit(2).Limit = nil },
			want:   []string{"passed: sequence 5 grant 6: eligible in lane 4, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"an action with room is passed": {
			change: func(r *rows) { r.limit(2).Limit = new(2) },
			want:   []string{"passed: sequence 5 grant 6: eligible in lane 4, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"a lane is passed after the queue knew that it has room": {
			change: func(r *rows) { freeEarly(r, 4) },
			want:   []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"an action is passed after the queue knew that it has room": {
			change: func(r *rows) {
				r.Grants[2].ReleasedAt = new(second(12))
				r.Grants[3].Freed, r.Grants[4].Freed = []int64{4}, []int64{1}
			},
			want: []string{"passed: sequence 5 grant 6: eligible in lane 4, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"a lane is passed at the instant at which it gets room": {
			change: func(r *rows) {
				freeEarly(r, 4)
				r.Grants[0].ReleasedAt = new(second(13))
			},
			want: []string{"passed: sequence 2 grant 5: eligible in lane 1, but passed by grant 4 of sequence 6 in lane 5"},
		},
		"a lane is passed before it has room": {
			change: func(r *rows) {
				r.Grants[0].ReleasedAt = new(second(14))
			},
		},
		"a lane is passed before the queue knows that it has room": {
			change: func(r *rows) { freeEarly(r, 5) },
		},
		"an action is passed before the queue knows that it has room": {
			change: func(r *rows) { r.Grants[2].ReleasedAt = new(second(12)) },
		},
		"a lane is passed that a rate may have held": {
			change: func(r *rows) {
				r.limit(1).LimitPerKey, r.limit(1).Rates = nil, []attune.StartRate{{Name: "slow", Limit: 1, Window: 1}}
				r.startAll()
			},
			unclear: 1,
		},
		"a lane is passed whose first ticket may have had another action": {
			change: func(r *rows) {
				r.limit(1).LimitPerKey = nil
				insert(r, 2, 2)
			},
			unclear: 1,
		},
		"a ticket of another action ended in front of the lane's last grant": {
			change: func(r *rows) {
				r.limit(1).LimitPerKey = nil
				insert(r, 1, 2)
			},
			want: []string{"passed: sequence 3 grant 5: eligible in lane 1, but passed by grant 2 of sequence 4 in lane 2"},
		},
		"a lane is passed whose first ticket had the same action": {
			change: func(r *rows) {
				r.limit(1).LimitPerKey = nil
				insert(r, 2, 1)
			},
			want: []string{"passed: sequence 3 grant 5: eligible in lane 1, but passed by grant 2 of sequence 4 in lane 2"},
		},
		"a policy of some grants is unknown": {
			change: func(r *rows) {
				r.limit(1).LimitPerKey = nil
				r.Grants[1].Revision, r.Grants[2].Revision, r.Grants[3].Revision = 9, 9, 9
			},
		},

		"a lane exceeds its limit": {
			change: func(r *rows) {
				r.Grants[0].ReleasedAt, r.Grants[4].Freed = new(second(35)), []int64{4}
				r.Grants[5].Limit = 5
			},
			want: []string{"limit: sequence 2 grant 5: decided while 1 slots were held in lane 1, at a limit of 1"},
		},
		"an action exceeds its limit": {
			change: func(r *rows) {
				r.Grants[2].ReleasedAt, r.Grants[4].Freed = new(second(35)), []int64{1}
				r.Grants[5].Limit = 5
			},
			want: []string{"limit: sequence 5 grant 6: decided while 1 slots were held by action 2, at its limit of 1"},
		},
		"more slots are counted as freed than were": {
			change: func(r *rows) { r.Grants[4].Freed = []int64{1, 4, 7} },
			want:   []string{"limit: sequence 2 grant 5: the queue counted 3 slots as freed before it, 1 more than can have become free"},
		},
		"fewer slots are counted as freed than a grant needs": {
			change: func(r *rows) { r.Grants[4].Freed = nil },
			want: []string{
				"limit: sequence 2 grant 5: decided while the queue counted 4 slots as held, at a limit of 4",
				"limit: sequence 5 grant 6: decided while the queue counted 5 slots as held, at a limit of 4",
			},
		},
		"a slot is counted as freed while it is held": {
			change: func(r *rows) { r.Grants[0].ReleasedAt = new(second(31)) },
			want: []string{
				"limit: sequence 2 grant 5: the queue counted the slot of sequence 1 as freed, which was held",
				"limit: sequence 2 grant 5: the queue counted 2 slots as freed before it, 1 more than can have become free",
				"limit: sequence 2 grant 5: decided while 1 slots were held in lane 1, at a limit of 1",
				"limit: sequence 5 grant 6: decided while the queue counted 4 slots as held, at a limit of 4",
			},
		},
		"a slot is counted as freed twice": {
			change: func(r *rows) { r.Grants[5].Freed = []int64{4} },
			want: []string{
				"limit: sequence 5 grant 6: the queue counted the slot of sequence 4 as freed twice",
				"limit: sequence 5 grant 6: the queue counted 1 slots as freed before it, 1 more than can have become free",
			},
		},
		"a grant is for another action": {
			change: func(r *rows) { r.Grants[1].Action = 2 },
			want:   []string{"log: sequence 3 grant 2: decided for action 2, but enforcement 103 asks for action 1"},
		},
		"a grant is for an action that the queue need not know": {change: func(r *rows) { r.Grants[1].Action = 0 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sideBySide()
			tt.change(&r)
			report := check(r)
			requireViolations(t, tt.want, report)
			require.Equal(t, tt.unclear, report.Checked.Unclear)
		})
	}
}

// swap exchanges the numbers of the grants of two sequences, and the times of their slots.
func (r *rows) swap(a, b int64) {
	one, other := r.grantOf(r.enforcement(a)), r.grantOf(r.enforcement(b))
	one.Sequence, other.Sequence = b, a
	one.Enforcement, other.Enforcement = other.Enforcement, one.Enforcement
	r.enforcement(a).GrantNumber, r.enforcement(b).GrantNumber = other.Number, one.Number
	for i := range r.Grants {
		for j, sequence := range r.Grants[i].Freed {
			r.Grants[i].Freed[j] = exchanged(sequence, a, b)
		}
	}
}

func TestCheck_LanesCounted(t *testing.T) {
	t.Parallel()
	r := sideBySide()
	want := proof.Counts{
		Tickets: 7, Executed: 6, Dropped: 1, Grants: 6, Released: 6, MostActive: 4, Generations: 1, Lanes: 5, MostInLane: 1,
	}
	require.Equal(t, want, check(r).Checked)

	r.limit(1).LimitPerKey = new(2)
	r.Grants[0].ReleasedAt, r.Grants[4].Freed = new(second(30)), []int64{4}
	require.Equal(t, 1, check(r).Checked.MostInLane)
	r.Grants[0].ReleasedAt = new(second(31))
	require.Equal(t, 2, check(r).Checked.MostInLane)

	r.Policies = nil
	require.Equal(t, 6, check(r).Checked.PolicyUnknown)
}

// waits lets the ticket of a sequence wait, and gives the later grants lower numbers.
func (r *rows) waits(sequence int64) {
	number := r.enforcement(sequence).GrantNumber
	r.wait(sequence)
	for i := range r.Grants {
		if grant := &r.Grants[i]; grant.Number > number {
			grant.Number--
			r.enforcement(grant.Sequence).GrantNumber--
		}
	}
	r.count()
}

// A waiting ticket is counted if it would have been passed wrongly.
func TestCheck_PassedInLanes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   int
	}{
		"its lane was full":                 {func(r *rows) { r.Grants[0].ReleasedAt = nil }, 0},
		"its lane had room":                 {func(*rows) {}, 1},
		"the queue may not have known that": {func(r *rows) { r.Grants[4].Freed = []int64{4} }, 0},
		"no policy is known":                {func(r *rows) { r.Policies = nil }, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sideBySide()
			r.Grants[5].Freed = []int64{1, 4}
			r.waits(2)
			tt.change(&r)
			require.Equal(t, tt.want, check(r).Checked.Passed)
		})
	}
	require.Zero(t, check(empty()).Checked.Passed)
}

// exchanged returns b for a, a for b, and any other sequence as it is.
func exchanged(sequence, a, b int64) int64 {
	switch sequence {
	case a:
		return b
	case b:
		return a
	default:
		return sequence
	}
}
