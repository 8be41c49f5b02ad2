package proof_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// changed is sound, with a pause between the grants of seconds 20 and 30, and a manual limit from 15 to 35.
func changed() rows {
	r := sound()
	change := func(at int, kind attune.QueueChangeKind, from, to string) {
		r.Changes = append(r.Changes, attune.QueueChange{
			Number: int64(len(r.Changes) + 1), At: second(at), Author: author, Kind: kind, From: from, To: to,
		})
	}
	change(15, attune.ChangeLimit, "1 by policy", "2 by hand")
	change(21, attune.ChangeMode, "open", "paused")
	change(22, attune.ChangeCancel, "queued", "cancelled")
	r.Changes[2].Enforcement, r.enforcement(3).Status = 103, attune.EnforcementCancelled
	change(29, attune.ChangeMode, "paused", "open")
	change(35, attune.ChangeLimit, "2 by hand", "4 by policy")
	return r
}

func TestCheck_Changes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(r *rows)
		want   []string
	}{
		"the log is complete": {func(*rows) {}, nil},
		"a pause comes at the instant of a grant": {
			func(r *rows) { r.Changes[1].At = second(20) },
			nil,
		},
		"a grant comes at the instant of the end of a pause": {
			func(r *rows) { r.Changes[3].At = second(30) },
			nil,
		},
		"a cancel comes too late": {
			func(r *rows) {
				r.Changes = append(r.Changes, attune.QueueChange{
					Number: 6, At: second(36), Author: author, Kind: attune.ChangeCancel, From: "queued", To: "granted", Enforcement: 102,
				})
			},
			nil,
		},
		"a manual limit has expired": {
			func(r *rows) {
				r.Changes[0].To, r.Changes[4].From = "2 by hand until 2030-01-02T12:00:25Z", "9 by policy"
			},
			nil,
		},
		"a manual limit is cleared before it expires": {
			func(r *rows) {
				r.Changes[0].To = "2 by hand until 2030-01-02T12:00:55Z"
				r.Changes[4].From = r.Changes[0].To
			},
			nil,
		},
		"grants are older than the log of limits": {
			func(r *rows) { r.Grants[1].Limit, r.Grants[1].Revision = 0, 0 },
			nil,
		},
		"a pause is in force": {
			func(r *rows) {
				r.Changes, r.Stats.Mode, r.Stats.MaxConcurrent = r.Changes[:3], attune.QueuePaused, 2
				r.Changes[1].At = second(41)
			},
			nil,
		},

		"a change is missing": {
			func(r *rows) { r.Changes = append(r.Changes[:2], r.Changes[3:]...) },
			[]string{
				"changes: change 4: 2 changes have a lower number", "changes: change 5: 3 changes have a lower number",
				"changes: sequence 3: enforcement 103 is cancelled, but no change has cancelled it",
			},
		},
		"a number occurs twice": {
			func(r *rows) { r.Changes[3].Number = 3 },
			[]string{"changes: change 3: 3 changes have a lower number"},
		},
		"a change starts from another mode": {
			func(r *rows) { r.Changes[3].From = "draining" },
			[]string{`changes: change 4: the mode was "draining", but the previous change had set it to "paused"`},
		},
		"the first change does not start from open": {
			func(r *rows) { r.Changes[1].From = "draining" },
			[]string{`changes: change 2: the mode was "draining", but the previous change had set it to "open"`},
		},
		"a change leads to no mode": {
			func(r *rows) { r.Changes[3].To, r.Stats.Mode = "ajar", "ajar" },
			[]string{`changes: change 4: a change of the mode from "paused" to "ajar" is impossible`},
		},
		"a change leads to no limit": {
			func(r *rows) { r.Changes[4].To = "-1 by hand" },
			[]string{`changes: change 5: a change of the limit from "2 by hand" to "-1 by hand" is impossible`},
		},
		"a limit ends at no time": {
			func(r *rows) { r.Changes[4].To = "1 by hand until soon" },
			[]string{`changes: change 5: a change of the limit from "2 by hand" to "1 by hand until soon" is impossible`},
		},
		"a change changes nothing": {
			func(r *rows) { r.Changes[4].To = r.Changes[4].From },
			[]string{
				`changes: change 5: a change of the limit from "2 by hand" to "2 by hand" is impossible`,
				`changes: the limit is 0, but the latest change set it to "2 by hand"`,
			},
		},
		"a cancel does not start from queued": {
			func(r *rows) { r.Changes[2].From = "granted" },
			[]string{`changes: change 3: a change of the cancel from "granted" to "cancelled" is impossible`},
		},
		"a change has no kind": {
			func(r *rows) { r.Changes[2].Kind = "name" },
			[]string{
				`changes: change 3: a change of the name from "queued" to "cancelled" is impossible`,
				"changes: sequence 3: enforcement 103 is cancelled, but no change has cancelled it",
			},
		},
		"a change starts from another manual limit": {
			func(r *rows) { r.Changes[4].From = "3 by hand" },
			[]string{`changes: change 5: the limit was "3 by hand", but the previous change had set it to "2 by hand"`},
		},
		"a manual limit without an end ends without a change": {
			func(r *rows) { r.Changes[4].From = "1 by policy" },
			[]string{`changes: change 5: the limit was "1 by policy", but the previous change had set it to "2 by hand"`},
		},
		"a manual limit expires too early": {
			func(r *rows) {
				r.Changes[0].To, r.Changes[4].From = "2 by hand until 2030-01-02T12:00:36Z", "9 by policy"
			},
			[]string{`changes: change 5: the limit was "9 by policy", but the previous change had set it to "2 by hand until 2030-01-02T12:00:36Z"`},
		},
		"a grant is decided while the queue is paused": {
			func(r *rows) { r.Grants[2].GrantedAt = second(28) },
			[]string{"changes: sequence 4 grant 3: decided at 12:00:28.000000, while the queue was paused by change 2"},
		},
		"a grant is decided at another limit than the manual one": {
			func(r *rows) { r.Grants[1].Limit = 3 },
			[]string{"changes: sequence 2 grant 2: decided at a limit of 3, but change 1 had set it to 2"},
		},
		"a grant is decided after the cancel of its ticket": {
			func(r *rows) { r.Changes[2].Enforcement = 104 },
			[]string{
				"changes: sequence 3: enforcement 103 is cancelled, but no change has cancelled it",
				"changes: sequence 4: enforcement 104 is executed, and 1 changes have cancelled it",
				"changes: sequence 4 grant 3: decided at 12:00:30.000000, after change 3 had cancelled the ticket",
			},
		},
		"a ticket is cancelled twice": {
			func(r *rows) {
				again := r.Changes[2]
				again.Number = 6
				r.Changes = append(r.Changes, again)
			},
			[]string{"changes: sequence 3: enforcement 103 is cancelled, and 2 changes have cancelled it"},
		},
		"a cancelled ticket is of another queue": {
			func(r *rows) { r.Changes[2].Enforcement = 999 },
			[]string{"changes: change 3: the queue has no enforcement 999", "changes: sequence 3: enforcement 103 is cancelled, but no change has cancelled it"},
		},
		"the queue has another mode": {
			func(r *rows) { r.Stats.Mode = attune.QueueDraining },
			[]string{`changes: the queue is draining, but the latest change set it to "open"`},
		},
		"the queue has another limit": {
			func(r *rows) { r.Changes[4].To, r.Stats.MaxConcurrent = "3 by hand", 4; r.Grants[3].Limit = 3 },
			[]string{`changes: the limit is 4, but the latest change set it to "3 by hand"`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := changed()
			tt.change(&r)
			requireViolations(t, tt.want, check(r))
		})
	}
}

// A contradiction that an unrecorded change can explain is counted and is no violation.
func TestCheck_Undecided(t *testing.T) {
	t.Parallel()
	tests := map[string]func(r *rows){
		"the end of a pause is not recorded yet": func(r *rows) {
			r.Changes, r.Stats.Mode, r.Stats.MaxConcurrent = r.Changes[:3], attune.QueuePaused, 2
			r.Changes[1].At = second(31)
		},
		"the end of a pause is lost with its generation": func(r *rows) {
			r.Grants[2].GrantedAt, r.Grants[3].Generation = second(28), 1
		},
		"the end of a manual limit is not recorded yet": func(r *rows) {
			r.Changes, r.Stats.MaxConcurrent = r.Changes[:4], 2
			r.Grants[3].Limit = 7
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := changed()
			change(&r)
			report := check(r)
			require.Empty(t, report.Violations)
			require.Equal(t, 1, report.Checked.Undecided)
		})
	}
}

func TestCheck_Transitions(t *testing.T) {
	t.Parallel()
	r := changed()
	report := check(r)
	require.Equal(t, 5, report.Checked.Changes)
	require.Equal(t, []proof.Transition{
		{QueueChange: r.Changes[0], Until: new(second(35)), Granted: 2},
		{QueueChange: r.Changes[1], Until: new(second(29)), Granted: 0},
		{QueueChange: r.Changes[2]},
		{QueueChange: r.Changes[3], Granted: 2},
		{QueueChange: r.Changes[4], Granted: 1},
	}, report.Transitions)

	r.Changes[1].At, r.Changes[3].At = second(20), second(30)
	report = check(r)
	require.Equal(t, 0, report.Transitions[1].Granted, "decided at the instant of the pause is before it, at that of its end after it")
	require.Equal(t, 2, report.Transitions[3].Granted)

	r = changed()
	r.Changes[4].At = second(30)
	report = check(r)
	require.Equal(t, 1, report.Transitions[0].Granted, "a grant at the instant of another limit is after it")
	require.Equal(t, 2, report.Transitions[4].Granted)

	r = changed()
	r.Changes[1].From = "draining"
	r.Changes = slices.Insert(r.Changes, 1, attune.QueueChange{
		At: second(16), Author: author, Kind: attune.ChangeMode, From: "open", To: "draining",
	})
	for i := range r.Changes {
		r.Changes[i].Number = int64(i + 1)
	}
	r.Changes[2].At = second(20)
	report = check(r)
	require.Empty(t, report.Violations)
	require.Equal(t, 1, report.Transitions[1].Granted, "a grant at the instant of a pause is in the time of the mode before")
}
