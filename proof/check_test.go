package proof_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func empty() rows {
	return rows{proof.Rows{Queue: key, Policies: []attune.QueuePolicy{{Revision: 1, Limit: 2}}}}
}

// sound is a queue at limit 2: sequences 1, 2 and 4 were executed, 3 expired, 5 holds a slot and 6 waits.
func sound() rows {
	r := empty()
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
			r.Grants = append(r.Grants, logged(e, number))
		}
		if status.Terminal() {
			e.FinishedAt = new(second(int(10*number + 15)))
		}
		r.Enforcements = append(r.Enforcements, e)
	}
	r.count()
	return r
}

// logged is a grant whose execution runs from second 10×number to 10×number+15, so two of them overlap.
func logged(e attune.Enforcement, number int64) attune.LoggedGrant {
	grant := attune.LoggedGrant{
		Grant: attune.Grant{
			Ticket: attune.Ticket{Enforcement: e.ID, Sequence: e.Sequence, Attempt: 1}, Number: number, Limit: 2, Revision: 1,
			GrantedAt: second(int(10 * number)),
		},
		RequestedAt: second(int(10 * number)), Outcome: attune.ExecutionRunning,
	}
	if e.Status == attune.EnforcementExecuted {
		released := second(int(10*number + 15))
		grant.ReleasedAt, grant.Outcome = &released, attune.ExecutionSucceeded
	}
	return grant
}

func check(r rows) proof.Report { return proof.Check(r.Rows) }

func TestCheck_Sound(t *testing.T) {
	t.Parallel()
	r := sound()
	slices.Reverse(r.Enforcements) // as the API lists them
	slices.Reverse(r.Grants)
	report := check(r)
	require.Empty(t, report.Violations)
	require.True(t, report.Kept())
	require.Equal(t, proof.Counts{
		Tickets: 6, Waiting: 1, Active: 1, Executed: 3, Dropped: 1, Grants: 4, Released: 3, MostActive: 2, Generations: 1,
	}, report.Checked)
}

// A grant that is older than the log counts for later grants, but its own limit is not checked.
func TestCheck_LimitUnknown(t *testing.T) {
	t.Parallel()
	r := sound()
	r.Grants[1].Limit, r.Grants[1].Revision = 0, 0
	r.Grants[0].ReleasedAt = new(second(31))
	report := check(r)
	require.Equal(t, 1, report.Checked.LimitUnknown)
	require.Len(t, report.Violations, 1)
	require.Equal(t, "limit: sequence 4 grant 3: decided while 2 slots were held, at a limit of 2", report.Violations[0].String())
}

// These rows are unusual and right.
func TestCheck_Allowed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(r *rows){
		"the queue is empty": func(r *rows) { *r = empty() },
		"the queue has not accepted some enforcements": func(r *rows) {
			r.Enforcements = append(r.Enforcements,
				attune.Enforcement{ID: 201, Queue: key, Status: attune.EnforcementCreated},
				attune.Enforcement{ID: 202, Queue: key, Status: attune.EnforcementRejected, FinishedAt: new(second(1))})
		},
		"a slot is given back at the instant of the next request": func(r *rows) { *r.Grants[1].ReleasedAt = r.Grants[3].RequestedAt },
		"a limit is lowered while slots are held, and raised again": func(r *rows) {
			r.Grants[0].ReleasedAt = new(second(1000))
			r.Grants[1].ReleasedAt = new(second(1000))
			r.Grants[2].Limit, r.Grants[3].Limit = 3, 4
		},
		"a grant is stored after a later one": func(r *rows) {
			r.Grants[0].RequestedAt, r.Grants[1].RequestedAt = r.Grants[1].RequestedAt, r.Grants[0].RequestedAt
		},
		"a grant is not acted upon yet": func(r *rows) {
			r.Grants[3].Limit = 3
			r.enforcement(2).Status, r.enforcement(2).GrantNumber = attune.EnforcementQueued, 0
			r.Grants = slices.Delete(r.Grants, 1, 2)
			r.count()
		},
		"a settlement is not recorded yet": func(r *rows) {
			r.enforcement(3).Status = attune.EnforcementQueued
			r.count()
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
		want   []string // prefixes of the violations
	}{
		"a ticket is lost": {
			func(r *rows) {
				r.Enforcements = slices.Delete(r.Enforcements, 2, 3)
				r.Stats.TotalEnqueued, r.Stats.TotalDropped = 5, 0
			},
			[]string{"tickets: sequence 3: 1 tickets are lost"},
		},
		"the last tickets are lost": {
			func(r *rows) { r.Stats.TotalEnqueued, r.Stats.QueueLength = 8, 3 },
			[]string{
				"tickets: sequence 7: 2 tickets are lost: no enforcement has or had a sequence from 7 to 8",
				"counts: total_enqueued is 8, but there are 6 rows", "counts: queue_length is 3, but there are 1 rows",
			},
		},
		"two enforcements have one place": {
			func(r *rows) {
				twin := *r.enforcement(6)
				twin.ID = 999
				r.Enforcements = append(r.Enforcements, twin)
				r.count()
			},
			[]string{"tickets: sequence 6: enforcements 106 and 999 have the same place", "tickets: sequence 7: 1 tickets are lost"},
		},
		"an enforcement occurs twice": {
			func(r *rows) {
				twin := *r.enforcement(6)
				twin.Sequence = 7
				r.Enforcements = append(r.Enforcements, twin)
				r.count()
			},
			[]string{"tickets: 7 rows are about 6 enforcements"},
		},
		"a ticket is accepted out of order": {
			func(r *rows) { r.enforcement(6).QueuedAt = new(second(-1)) },
			[]string{"tickets: sequence 6: accepted at 11:59:59.000000, and a lower sequence at 12:00:04.000000"},
		},
		"a ticket is of another queue": {
			func(r *rows) { r.enforcement(6).Queue = "shop.test" },
			[]string{`tickets: sequence 6: enforcement 106 has no place in this queue: its queue is "shop.test"`},
		},
		"a status is impossible": {
			func(r *rows) {
				r.enforcement(6).Status = attune.EnforcementCreated
				r.Stats.TotalEnqueued, r.Stats.QueueLength = 5, 0
			},
			[]string{
				"tickets: sequence 6: enforcement 106 neither waits, nor holds a slot, nor has ended",
				"counts: total_enqueued is 5, but there are 6 rows",
			},
		},
		"an accepted enforcement has lost its sequence": {
			func(r *rows) {
				r.Enforcements = append(r.Enforcements, attune.Enforcement{
					ID: 201, Queue: key, Status: attune.EnforcementRejected, QueuedAt: new(second(1)), FinishedAt: new(second(2)),
				})
			},
			[]string{
				`tickets: enforcement 201 has no place in this queue: its queue is "shop.deploy"`,
				"tickets: sequence 1: accepted at 12:00:00.000000, and a lower sequence at 12:00:01.000000",
				"counts: total_enqueued is 6, but there are 7 rows", "counts: total_dropped is 1, but there are 2 rows",
			},
		},
		"an accepted enforcement has lost its time of acceptance": {
			func(r *rows) { r.enforcement(3).Status, r.enforcement(3).QueuedAt = attune.EnforcementRejected, nil },
			[]string{"tickets: sequence 3: enforcement 103 has no place in this queue"},
		},
		"an attempt is granted twice": {
			func(r *rows) {
				again := r.Grants[2]
				again.Number, again.RequestedAt, again.ReleasedAt = 5, second(60), new(second(61))
				r.Grants = append(r.Grants, again)
			},
			[]string{
				"once: sequence 4 grant 5: enforcement 104 was already granted in this place, by grant 3",
				"order: sequence 4 grant 5: decided after grant 4 of sequence 5",
			},
		},
		"a number is used twice": {
			func(r *rows) {
				r.Grants[1].Number, r.enforcement(2).GrantNumber = 1, 1
				r.Grants[2].Number, r.enforcement(4).GrantNumber = 2, 2
				r.Grants[3].Number, r.enforcement(5).GrantNumber = 3, 3
			},
			[]string{"once: sequence 2 grant 1: two grants have this number"},
		},
		"a ticket is overtaken": {
			func(r *rows) {
				r.Grants[0].Number, r.enforcement(1).GrantNumber = 2, 2
				r.Grants[1].Number, r.enforcement(2).GrantNumber = 1, 1
			},
			[]string{"order: sequence 1 grant 2: decided after grant 1 of sequence 2"},
		},
		"no ticket explains a missing number": {
			func(r *rows) { r.Grants[3].Number, r.enforcement(5).GrantNumber = 5, 5 },
			[]string{"order: sequence 5 grant 5: 1 numbers before it are not in the log, but only 0 tickets between sequences 4 and 5 can explain them"},
		},
		"a grant exceeds the limit because another is not acted upon yet": {
			func(r *rows) {
				r.enforcement(2).Status, r.enforcement(2).GrantNumber = attune.EnforcementQueued, 0
				r.Grants = slices.Delete(r.Grants, 1, 2)
				r.count()
			},
			[]string{"limit: sequence 5 grant 4: decided while 1 slots were held and 1 more were given to grants not acted upon, at a limit of 2"},
		},
		"a grant exceeds the limit": {
			func(r *rows) { r.Grants[0].ReleasedAt = new(second(31)) },
			[]string{"limit: sequence 4 grant 3: decided while 2 slots were held, at a limit of 2"},
		},
		"a grant is decided at limit 0": {
			func(r *rows) { r.Grants[0].Limit = 0 },
			[]string{"limit: sequence 1 grant 1: decided while 0 slots were held, at a limit of 0"},
		},
		"a grant is in another lane": {
			func(r *rows) { r.Grants[2].Lane = 1 },
			[]string{"log: sequence 4 grant 3: decided in lane 1, but enforcement 104 is in lane 0"},
		},
		"a grant has no enforcement": {
			func(r *rows) {
				r.Grants = append(r.Grants, attune.LoggedGrant{
					Grant:       attune.Grant{Ticket: attune.Ticket{Enforcement: 999, Sequence: 9, Attempt: 1}, Number: 5, Limit: 2},
					RequestedAt: second(60), Outcome: attune.ExecutionRequested,
				})
				r.enforcement(6).Status = attune.EnforcementExpired
				r.count()
			},
			[]string{"log: sequence 9 grant 5: the queue has no enforcement 999"},
		},
		"a grant has the place of another ticket": {
			func(r *rows) { r.Grants[2].Sequence = 3 },
			[]string{
				"tickets: sequence 3: enforcements 103 and 104 have the same place",
				"log: sequence 4 grant 3: enforcement 104 is executed: the log has no grant for it",
				"counts: total_enqueued is 6, but there are 7 rows", "counts: total_completed is 3, but there are 4 rows",
			},
		},
		"a grant has an unassigned place": {
			func(r *rows) { r.Grants[3].Sequence = 7 },
			[]string{
				"log: sequence 5 grant 4: enforcement 105 is granted: the log has no grant for it",
				"log: sequence 7 grant 4: enforcement 105 has the sequence 5",
			},
		},
		"a grant has no attempt": {
			func(r *rows) { r.Grants[2].Attempt = 0 },
			[]string{"log: sequence 4 grant 3: number 3 and attempt 0 start at 1"},
		},
		"a slot is given back before it is taken": {
			func(r *rows) { r.Grants[2].ReleasedAt = new(second(29)) },
			[]string{"log: sequence 4 grant 3: gave its slot back at 12:00:29.000000, before taking it at 12:00:30.000000"},
		},
		"a slot is not given back": {
			func(r *rows) { r.Grants[2].ReleasedAt, r.Grants[2].Outcome = nil, attune.ExecutionRunning },
			[]string{"log: sequence 4 grant 3: enforcement 104 is executed: it has not given its slot back"},
		},
		"an executed enforcement has no grant": {
			func(r *rows) {
				r.enforcement(3).Status = attune.EnforcementExecuted
				r.count()
			},
			[]string{"log: sequence 3: enforcement 103 is executed: the log has no grant for it"},
		},
		"a granted enforcement has no slot": {
			func(r *rows) { r.Grants[3].ReleasedAt, r.Grants[3].Outcome = new(second(55)), attune.ExecutionFailed },
			[]string{"log: sequence 5 grant 4: enforcement 105 is granted: it has given its slot back at 12:00:55.000000"},
		},
		"a granted enforcement waits": {
			func(r *rows) {
				r.enforcement(5).Status = attune.EnforcementQueued
				r.count()
			},
			[]string{"log: sequence 5 grant 4: enforcement 105 is queued: the log has grant 4 for it"},
		},
		"a row has another grant number": {
			func(r *rows) { r.enforcement(5).GrantNumber = 7 },
			[]string{"log: sequence 5 grant 7: enforcement 105 is granted: its row has grant 7, but the log has 4"},
		},
		"an ended execution holds a slot": {
			func(r *rows) { r.Grants[3].Outcome = attune.ExecutionFailed },
			[]string{"log: sequence 5 grant 4: enforcement 105 is granted: its execution is \"failed\""},
		},
		"a counter is wrong": {
			func(r *rows) { r.Stats.TotalCompleted++ },
			[]string{"counts: 6 accepted is not 1 waiting + 1 active + 4 given back + 1 dropped", "counts: total_completed is 4, but there are 3 rows"},
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
