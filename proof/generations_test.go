package proof_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// rebuilt is a queue at limit 3. Its first generation decided grants 1 to 4, for sequences 1 to 4, and was lost before
// grants 2 and 3 were acted upon. The next generation granted these tickets again, and then sequence 5.
func rebuilt() rows {
	r := empty()
	for sequence := range int64(5) {
		r.Enforcements = append(r.Enforcements, attune.Enforcement{
			ID: attune.EnforcementID(101 + sequence), Queue: key, Sequence: 1 + sequence,
			Status: attune.EnforcementExecuted, QueuedAt: new(second(int(sequence))),
		})
	}
	grant := func(generation, number, sequence int64, from, to int) {
		e := r.enforcement(sequence)
		e.GrantNumber = number
		grant := logged(*e, number)
		grant.Generation, grant.Limit, grant.GrantedAt, grant.RequestedAt = generation, 3, second(from), second(from)
		grant.ReleasedAt = new(second(to))
		r.Grants = append(r.Grants, grant)
	}
	grant(1, 1, 1, 10, 19)
	grant(1, 4, 4, 20, 35)
	grant(2, 5, 2, 30, 40)
	grant(2, 6, 3, 31, 41)
	grant(2, 7, 5, 42, 50)
	r.count()
	return r
}

func TestCheck_Generations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"two tickets are fenced off and granted again": {func(*rows) {}, nil},
		"a ticket is fenced off and ends later": {
			func(r *rows) { dropAt(r, 3, 36) },
			nil,
		},
		"a ticket ends by a settlement of the first generation that the second does not know": {
			func(r *rows) {
				dropAt(r, 5, 32)
				r.Enforcements = append(r.Enforcements, attune.Enforcement{
					ID: 106, Queue: key, Sequence: 6, Status: attune.EnforcementExecuted, QueuedAt: new(second(9)), GrantNumber: 8,
				})
				again := logged(*r.enforcement(6), 8)
				again.Generation = 2
				r.Grants = append(r.Grants, again)
				r.count()
			},
			nil,
		},
		"a settlement is decided and lost": {
			lostEnd,
			nil,
		},

		"an older generation decides again": {
			func(r *rows) { r.Grants[4].Generation = 1 },
			[]string{"order: sequence 5 grant 7: decided by generation 1 after generation 2 had taken over"},
		},
		"a ticket is overtaken within a generation": {
			func(r *rows) {
				r.Grants[2].Number, r.Grants[3].Number = 6, 5
				r.enforcement(2).GrantNumber, r.enforcement(3).GrantNumber = 6, 5
			},
			[]string{"order: sequence 2 grant 6: decided after grant 5 of sequence 3"},
		},
		"more numbers are missing than tickets can explain": {
			func(r *rows) {
				for i := 1; i < len(r.Grants); i++ {
					r.Grants[i].Number++
					r.Grants[i].Limit = 9
					r.enforcement(r.Grants[i].Sequence).GrantNumber++
				}
			},
			[]string{"order: sequence 4 grant 5: 3 numbers before it are not in the log, but only 2 tickets between sequences 1 and 4 can explain them"},
		},
		"a settlement cannot have been lost": {
			func(r *rows) {
				lostEnd(r)
				// A ticket that arrived after grant 3 ended before grant 4, both of generation 1.
				r.Enforcements = append(r.Enforcements, attune.Enforcement{
					ID: 106, Queue: key, Sequence: 6, Status: attune.EnforcementExpired, QueuedAt: new(second(21)), FinishedAt: new(second(29)),
				})
				r.Grants[4].Generation, r.Grants[4].RequestedAt = 1, second(30)
				for i, number := range map[int]int64{4: 4, 2: 5, 3: 6} {
					r.Grants[i].Number, r.Grants[i].Limit = number, 9
					r.enforcement(r.Grants[i].Sequence).GrantNumber = number
				}
				r.count()
			},
			[]string{"order: sequence 4 grant 3: overtook 1 tickets between sequences 1 and 4, whose grants and ends cannot have been lost"},
		},
		"settlements that a later generation stored prove nothing": {
			func(r *rows) {
				lostEnd(r)
				r.Enforcements = append(r.Enforcements, attune.Enforcement{
					ID: 106, Queue: key, Sequence: 6, Status: attune.EnforcementExpired, QueuedAt: new(second(21)), FinishedAt: new(second(29)),
				})
				r.count()
			},
			nil,
		},
		"an ended ticket has given its slot back": {
			func(r *rows) {
				dropAt(r, 3, 15)
				r.Grants[1].Limit = 2
			},
			nil,
		},
		"more tickets are overtaken than slots exist": {
			func(r *rows) { r.Grants[1].Limit = 2 },
			[]string{"limit: sequence 4 grant 4: decided while 0 slots were held and 2 more were given to grants not acted upon, at a limit of 2"},
		},
		"a ticket is overtaken while the last slot is held": {
			func(r *rows) { r.Grants[0].ReleasedAt = new(second(21)) },
			[]string{"limit: sequence 4 grant 4: decided while 1 slots were held and 2 more were given to grants not acted upon, at a limit of 3"},
		},
		"fenced grants hold no slot in the next generation, other grants do": {
			func(r *rows) { r.Grants[2].Limit = 1 },
			[]string{"limit: sequence 2 grant 5: decided while 1 slots were held, at a limit of 1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rebuilt()
			tt.change(&r)
			requireViolations(t, tt.want, check(r))
		})
	}
}

// dropAt makes the ticket of a sequence expire instead of being granted.
func dropAt(r *rows, sequence int64, at int) {
	e := r.enforcement(sequence)
	e.Status, e.GrantNumber, e.FinishedAt = attune.EnforcementExpired, 0, new(second(at))
	r.Grants = slices.DeleteFunc(r.Grants, func(g attune.LoggedGrant) bool { return g.Sequence == sequence })
	r.count()
}

// lostEnd removes one grant of the first generation, which settled that ticket instead.
func lostEnd(r *rows) {
	for i := 1; i < len(r.Grants); i++ {
		r.Grants[i].Number--
		r.enforcement(r.Grants[i].Sequence).GrantNumber--
	}
}

func TestCheck_GenerationsCounted(t *testing.T) {
	t.Parallel()
	r := rebuilt()
	want := proof.Counts{
		Tickets: 5, Executed: 5, Grants: 5, Released: 5, MostActive: 3, Generations: 2, Fenced: 2, Regranted: 2,
	}
	require.Equal(t, want, check(r).Checked)

	lostEnd(&r)
	want.Fenced, want.Reprieved = 1, 1
	require.Equal(t, want, check(r).Checked)
}

// A ticket that ended before the first generation granted a ticket behind it cannot have had a grant of that generation.
func TestCheck_EndedBefore(t *testing.T) {
	t.Parallel()
	for generation, want := range map[int64][]string{
		0: {"order: sequence 4 grant 4: 1 numbers before it are not in the log, but only 0 tickets between sequences 2 and 4 can explain them"},
		1: nil, // a settlement of generation 0 may have been stored late
	} {
		r := sound()
		r.Grants = r.Grants[:3]
		r.Grants[2].Number, r.enforcement(4).GrantNumber = 4, 4
		r.Grants[2].RequestedAt, r.Grants[2].ReleasedAt = second(40), new(second(41))
		r.enforcement(3).FinishedAt = new(second(39))
		r.enforcement(5).Status, r.enforcement(5).GrantNumber = attune.EnforcementQueued, 0
		for i := range r.Grants {
			r.Grants[i].Generation = generation
		}
		r.count()
		requireViolations(t, want, check(r))
	}
}
