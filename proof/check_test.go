package proof_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

// sound is a queue at limit 2: sequences 1, 2 and 4 were executed, 3 expired, 5 holds a slot and 6 waits.
func sound() rows {
	var r rows
	statuses := []attune.EnforcementStatus{
		attune.EnforcementExecuted, attune.EnforcementExecuted, attune.EnforcementExpired, attune.EnforcementExecuted,
		attune.EnforcementGranted, attune.EnforcementQueued,
	}
	number := int64(0)
	for i, status := range statuses {
		at, sequence := second(i), int64(i+1)
		e := attune.Enforcement{ID: attune.EnforcementID(100 + sequence), Queue: key, Sequence: sequence, Status: status, QueuedAt: &at}
		if status == attune.EnforcementExecuted || status == attune.EnforcementGranted {
			number++
			e.GrantNumber = number
			r.grants = append(r.grants, logged(e, number))
		}
		r.enforcements = append(r.enforcements, e)
	}
	r.count()
	return r
}

// logged is a grant whose execution runs from second 10×number to 10×number+15, so two of them overlap.
func logged(e attune.Enforcement, number int64) attune.LoggedGrant {
	grant := attune.LoggedGrant{
		Grant: attune.Grant{
			Ticket: attune.Ticket{Enforcement: e.ID, Sequence: e.Sequence, Attempt: 1}, Number: number, Limit: 2, Revision: 1,
		},
		RequestedAt: second(int(10 * number)), Outcome: attune.ExecutionRunning,
	}
	if e.Status == attune.EnforcementExecuted {
		released := second(int(10*number + 15))
		grant.ReleasedAt, grant.Outcome = &released, attune.ExecutionSucceeded
	}
	return grant
}

func check(r rows) proof.Report { return proof.Check(key, r.stats, r.enforcements, r.grants) }

func TestCheck_Sound(t *testing.T) {
	t.Parallel()
	r := sound()
	slices.Reverse(r.enforcements) // as the API lists them
	slices.Reverse(r.grants)
	report := check(r)
	require.Empty(t, report.Violations)
	require.True(t, report.Kept())
	require.Equal(t, proof.Counts{
		Tickets: 6, Waiting: 1, Active: 1, Executed: 3, Dropped: 1, Grants: 4, Released: 3, MostActive: 2,
	}, report.Checked)
}

// A grant from before the log counts for those after it, and is not judged itself.
func TestCheck_LimitUnknown(t *testing.T) {
	t.Parallel()
	r := sound()
	r.grants[1].Limit, r.grants[1].Revision = 0, 0
	r.grants[0].ReleasedAt = new(second(31))
	report := check(r)
	require.Equal(t, 1, report.Checked.LimitUnknown)
	require.Len(t, report.Violations, 1)
	require.Equal(t, "limit: sequence 4 grant 3: decided while 2 slots were held, at a limit of 2", report.Violations[0].String())
}

// What looks odd and is right.
func TestCheck_Allowed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(r *rows){
		"an empty queue":                         func(r *rows) { *r = rows{} },
		"a slot given back as the next is taken": func(r *rows) { *r.grants[1].ReleasedAt = r.grants[3].RequestedAt },
		"a limit lowered while slots are held, and raised again": func(r *rows) {
			r.grants[0].ReleasedAt = new(second(1000))
			r.grants[1].ReleasedAt = new(second(1000))
			r.grants[2].Limit, r.grants[3].Limit = 3, 4
		},
		"a grant that is stored after a later one": func(r *rows) {
			r.grants[0].RequestedAt, r.grants[1].RequestedAt = r.grants[1].RequestedAt, r.grants[0].RequestedAt
		},
		"a grant under way": func(r *rows) {
			r.enforcement(2).Status, r.enforcement(2).GrantNumber = attune.EnforcementQueued, 0
			r.grants = slices.Delete(r.grants, 1, 2)
			r.count()
		},
		"an end under way": func(r *rows) {
			r.enforcement(3).Status = attune.EnforcementQueued
			r.count()
		},
		"a second attempt": func(r *rows) {
			again := r.grants[0]
			again.Number, again.Attempt, again.RequestedAt, again.ReleasedAt = 5, 2, second(60), new(second(61))
			r.grants = append(r.grants, again)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			change(&r)
			require.Empty(t, check(r).Violations)
		})
	}
}

func TestCheck_Violations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string // the violations, from their start
	}{
		"a lost ticket": {
			func(r *rows) {
				r.enforcements = slices.Delete(r.enforcements, 2, 3)
				r.stats.TotalEnqueued, r.stats.TotalDropped = 5, 0
			},
			[]string{"tickets: sequence 3: 1 tickets are lost"},
		},
		"lost tickets at the end": {
			func(r *rows) { r.stats.TotalEnqueued, r.stats.QueueLength = 8, 3 },
			[]string{
				"tickets: sequence 7: 2 tickets are lost: no enforcement has a sequence from 7 to 8",
				"counts: total_enqueued is 8, and the rows are 6", "counts: queue_length is 3, and the rows are 1",
			},
		},
		"one place for two": {
			func(r *rows) {
				twin := *r.enforcement(6)
				twin.ID = 999
				r.enforcements = append(r.enforcements, twin)
				r.count()
			},
			[]string{"tickets: sequence 6: enforcements 106 and 999 have the same place", "tickets: sequence 7: 1 tickets are lost"},
		},
		"the same enforcement twice": {
			func(r *rows) {
				twin := *r.enforcement(6)
				twin.Sequence = 7
				r.enforcements = append(r.enforcements, twin)
				r.count()
			},
			[]string{"tickets: 7 rows are about 6 enforcements"},
		},
		"accepted out of order": {
			func(r *rows) { r.enforcement(6).QueuedAt = new(second(-1)) },
			[]string{"tickets: sequence 6: accepted at 11:59:59.000000, before sequence 5 at 12:00:04.000000"},
		},
		"a ticket of another queue": {
			func(r *rows) { r.enforcement(6).Queue = "shop.test" },
			[]string{`tickets: sequence 6: enforcement 106 has no place in this queue: its queue is "shop.test"`},
		},
		"a status that no ticket has": {
			func(r *rows) {
				r.enforcement(6).Status = attune.EnforcementCreated
				r.stats.TotalEnqueued, r.stats.QueueLength = 5, 0
			},
			[]string{
				"tickets: sequence 6: enforcement 106 neither waits, nor holds a slot, nor has ended",
				"counts: total_enqueued is 5, and the rows are 6",
			},
		},
		"an attempt granted twice": {
			func(r *rows) {
				again := r.grants[2]
				again.Number, again.RequestedAt, again.ReleasedAt = 5, second(60), new(second(61))
				r.grants = append(r.grants, again)
			},
			[]string{
				"once: sequence 4 grant 5: attempt 1 of enforcement 104 was granted already, by grant 3",
				"order: sequence 4 grant 5: decided after grant 4 of sequence 5",
			},
		},
		"a number used twice": {
			func(r *rows) {
				r.grants[1].Number, r.enforcement(2).GrantNumber = 1, 1
				r.grants[2].Number, r.enforcement(4).GrantNumber = 2, 2
				r.grants[3].Number, r.enforcement(5).GrantNumber = 3, 3
			},
			[]string{"once: sequence 2 grant 1: two grants have this number"},
		},
		"overtaken": {
			func(r *rows) {
				r.grants[0].Number, r.enforcement(1).GrantNumber = 2, 2
				r.grants[1].Number, r.enforcement(2).GrantNumber = 1, 1
			},
			[]string{"order: sequence 1 grant 2: decided after grant 1 of sequence 2"},
		},
		"a number that nobody waits for": {
			func(r *rows) { r.grants[3].Number, r.enforcement(5).GrantNumber = 5, 5 },
			[]string{"order: sequence 5 grant 5: 1 numbers before it are not in the log, and 0 tickets wait between sequences 4 and 5"},
		},
		"one too many": {
			func(r *rows) { r.grants[0].ReleasedAt = new(second(31)) },
			[]string{"limit: sequence 4 grant 3: decided while 2 slots were held, at a limit of 2"},
		},
		"granted at limit 0": {
			func(r *rows) { r.grants[0].Limit = 0 },
			[]string{"limit: sequence 1 grant 1: decided while 0 slots were held, at a limit of 0"},
		},
		"a grant of nobody": {
			func(r *rows) {
				r.grants = append(r.grants, attune.LoggedGrant{
					Grant:       attune.Grant{Ticket: attune.Ticket{Enforcement: 999, Sequence: 9, Attempt: 1}, Number: 5, Limit: 2},
					RequestedAt: second(60), Outcome: attune.ExecutionRequested,
				})
				r.enforcement(6).Status = attune.EnforcementExpired
				r.count()
			},
			[]string{"log: sequence 9 grant 5: the queue has no enforcement 999"},
		},
		"a grant with the place of another": {
			func(r *rows) { r.grants[2].Sequence = 3 },
			[]string{"log: sequence 3 grant 3: enforcement 104 has the sequence 4"},
		},
		"no attempt": {
			func(r *rows) { r.grants[2].Attempt = 0 },
			[]string{"log: sequence 4 grant 3: number 3 and attempt 0 start at 1"},
		},
		"given back before it was taken": {
			func(r *rows) { r.grants[2].ReleasedAt = new(second(29)) },
			[]string{"log: sequence 4 grant 3: gave its slot back at 12:00:29.000000 and took it at 12:00:30.000000"},
		},
		"a slot that was not given back": {
			func(r *rows) { r.grants[2].ReleasedAt, r.grants[2].Outcome = nil, attune.ExecutionRunning },
			[]string{"log: sequence 4 grant 3: enforcement 104 was executed: it has 1 grants, and 1 slots that it did not give back"},
		},
		"executed without a grant": {
			func(r *rows) {
				r.enforcement(3).Status = attune.EnforcementExecuted
				r.count()
			},
			[]string{"log: sequence 3: enforcement 103 was executed: it has 0 grants"},
		},
		"granted without a slot": {
			func(r *rows) { r.grants[3].ReleasedAt, r.grants[3].Outcome = new(second(55)), attune.ExecutionFailed },
			[]string{"log: sequence 5 grant 4: enforcement 105 is granted: it has 1 grants and holds 0 slots"},
		},
		"granted and waiting": {
			func(r *rows) {
				r.enforcement(5).Status = attune.EnforcementQueued
				r.count()
			},
			[]string{"log: sequence 5 grant 4: enforcement 105 is queued: it has 1 grants"},
		},
		"another number": {
			func(r *rows) { r.enforcement(5).GrantNumber = 7 },
			[]string{"log: sequence 5 grant 7: enforcement 105 says that grant 7 was its own: the log has grant 4"},
		},
		"ended and still holding": {
			func(r *rows) { r.grants[3].Outcome = attune.ExecutionFailed },
			[]string{"log: sequence 5 grant 4: its execution is failed, and its slot was given back: false"},
		},
		"a wrong counter": {
			func(r *rows) { r.stats.TotalCompleted++ },
			[]string{"counts: 6 accepted is not 1 waiting + 1 active + 4 executed + 1 dropped", "counts: total_completed is 4, and the rows are 3"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			tt.change(&r)
			report := check(r)
			require.False(t, report.Kept())
			require.Len(t, report.Violations, len(tt.want), "%v", report.Violations)
			for i, violation := range report.Violations {
				require.Contains(t, proof.Rules(), violation.Rule)
				require.Equal(t, tt.want[i], violation.String()[:min(len(tt.want[i]), len(violation.String()))])
			}
		})
	}
}

// Whatever the semaphore decides, and however late it is stored, keeps the promises at every moment.
func TestCheck_CorrectHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		actions := h.actions()
		actions[""] = func(t *rapid.T) {
			h.count()
			require.Empty(t, check(h.rows).Violations, "%s", &h.rows)
		}
		t.Repeat(actions)
	})
}

// One thing wrong with the rows of a correct history does not go unnoticed.
func TestCheck_CorruptHistories(t *testing.T) {
	t.Parallel()
	for _, c := range corruptions() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h := newHistory()
				t.Repeat(h.actions())
				h.count()
				require.Empty(t, check(h.rows).Violations)
				if !c.apply(t, &h.rows) {
					t.Skip("nothing there to corrupt")
				}
				require.NotEmpty(t, check(h.rows).Violations, "%s", &h.rows)
			})
		})
	}
}
