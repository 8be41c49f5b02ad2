package cli_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// pausedAPI is an API with a queue that is paused by its only change.
func pausedAPI() *attuneAPI {
	a := newAttuneAPI()
	a.stats.Mode = attune.QueuePaused
	return a
}

func TestQueueVerify(t *testing.T) {
	t.Parallel()
	const counts = `  tickets      2  waiting 1, active 0, executed 1, dropped 0
  grants       1  slots given back 1
  most active  1  at once
  CHANGE  AT                       BY   WHAT                 GRANTED  WHY
  1       2030-01-02 12:00:00 UTC  sam  mode: open → paused  0 since  freeze
`
	t.Run("every promise is kept", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneQueue(t, pausedAPI(), "verify")
		require.Zero(t, code, stderr)
		require.Equal(t, "shop.deploy: every promise kept\n"+counts, stdout)
	})

	t.Run("a promise is broken", func(t *testing.T) {
		t.Parallel()
		a := pausedAPI()
		a.grants[0].Limit = 0
		code, stdout, stderr := attuneQueue(t, a, "verify", "shop.deploy")
		require.Equal(t, 1, code)
		require.Equal(t, "shop.deploy: 1 violation\n"+
			"  BROKEN  limit: sequence 1 grant 1: decided while 0 slots were held, at a limit of 0\n"+counts, stdout)
		require.Equal(t, "attune: 1 violation in 1 queue\n", stderr)
	})

	t.Run("a queue that changes is read again", func(t *testing.T) {
		t.Parallel()
		a := pausedAPI()
		a.changing = 3 // both readings of the first round, and the first reading of the second round
		code, stdout, stderr := attuneQueue(t, a, "verify", "--patience", "1m")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "every promise kept")
	})

	t.Run("a queue that changes at every reading is not checked", func(t *testing.T) {
		t.Parallel()
		a := pausedAPI()
		a.changing = 1 << 30
		code, stdout, stderr := attuneQueue(t, a, "verify", "--patience", "0s")
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, `queue "shop.deploy" was not checked: the queue changed during every reading`)
	})

	t.Run("an unknown queue is not checked", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := attuneQueue(t, pausedAPI(), "verify", "shop.test")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, `queue "shop.test" was not checked: GET /queues/shop.test: 404 Not Found`)
	})
}

// The report lists the manual changes with the number of grants after each.
func TestQueueVerify_Changes(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	noon := a.grants[0].RequestedAt
	change := func(after time.Duration, kind attune.QueueChangeKind, from, to, note string) {
		a.changes = append(a.changes, api.QueueChange{
			Number: int64(len(a.changes) + 1), At: noon.Add(after), Author: authorNamed("sam", note), Kind: kind, From: from, To: to,
		})
	}
	change(5*time.Minute, attune.ChangeMode, "paused", "open", "")
	change(6*time.Minute, attune.ChangeLimit, "1 by policy", "5 by hand", "catch\nup")
	for range 22 {
		change(7*time.Minute, attune.ChangeCancel, "queued", "granted", "") // every cancel comes too late
		a.changes[len(a.changes)-1].Enforcement = 12
	}
	a.stats.MaxConcurrent, a.grants[0].Limit = 5, 5
	a.grants[0].GrantedAt, a.grants[0].RequestedAt, a.grants[0].ReleasedAt = noon.Add(6*time.Minute), noon.Add(6*time.Minute), new(noon.Add(time.Hour))

	code, stdout, stderr := attuneQueue(t, a, "verify")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^  1 +2030-01-02 12:00:00 UTC +sam +mode: open → paused +0 in 5m0s +freeze$`, stdout)
	require.Regexp(t, `(?m)^  2 +2030-01-02 12:05:00 UTC +sam +mode: paused → open +1 since *$`, stdout)
	require.Regexp(t, `(?m)^  3 +2030-01-02 12:06:00 UTC +sam +limit: 1 by policy → 5 by hand +1 since +catch up$`, stdout)
	require.Regexp(t, `(?m)^  23 +2030-01-02 12:07:00 UTC +sam +enforcement 12: queued → granted *$`, stdout)
	require.NotRegexp(t, `(?m)^  24 `, stdout)
	require.Contains(t, stdout, "… and 2 more cancels\n")

	a.grants[0].GrantedAt = noon.Add(time.Minute)
	code, stdout, stderr = attuneQueue(t, a, "verify")
	require.Zero(t, code, stderr)
	require.Regexp(t, `undecided +1 +grants against the latest recorded change`, stdout)

	a.grants = append(a.grants, a.grants[0])
	a.grants[1].Number, a.grants[1].Enforcement, a.grants[1].Sequence, a.grants[1].GrantedAt = 2, 12, 2, noon.Add(8*time.Minute)
	code, stdout, _ = attuneQueue(t, a, "verify")
	require.Equal(t, 1, code)
	require.Contains(t, stdout,
		"BROKEN  changes: sequence 1 grant 1: decided at 12:01:00.000000, while the queue was paused by change 1\n")
	require.Regexp(t, `mode: open → paused +1 in 5m0s`, stdout)
}

// Counts that are usually 0 have a line of their own.
func TestQueueVerify_Rebuilt(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	a.changes = nil
	grant := a.grants[0]
	grant.Number, grant.Enforcement, grant.Sequence, grant.Limit = 2, 12, 2, 2
	late := a.grants[0]
	late.Number, late.Generation, late.Limit = 3, 1, 2
	a.grants = []api.Grant{grant, late}
	a.tickets[0].Status, a.tickets[0].GrantNumber = attune.EnforcementParked, 2
	a.tickets[1].GrantNumber = 3
	a.grants[0].Outcome = attune.ExecutionRetrying
	a.stats.QueueLength, a.stats.TotalCompleted = 0, 2
	code, stdout, stderr := attuneQueue(t, a, "verify")
	require.Zero(t, code, stdout+stderr)
	for _, line := range []string{`parked +1 `, `generations +2 `, `fenced +1 `, `regranted +1 `} {
		require.Regexp(t, `(?m)^  `+line, stdout)
	}
}

// A queue with lanes has a line for them, and for the grants that the rows cannot judge.
func TestQueueVerify_Lanes(t *testing.T) {
	t.Parallel()
	a := pausedAPI()
	a.tickets[1].Lane, a.grants[0].Lane = 1, 1
	a.tickets[0].Lane, a.grants[0].Revision = 2, 9
	code, stdout, stderr := attuneQueue(t, a, "verify")
	require.Zero(t, code, stdout+stderr)
	require.Regexp(t, `(?m)^  lanes +2  most active in one: 1$`, stdout)
	require.Regexp(t, `(?m)^  policy unknown +1 `, stdout)
}

// authorNamed is an author that the API has authenticated.
func authorNamed(name, note string) attune.Author {
	return attune.Author{Principal: attune.Principal{Name: name, Method: attune.AuthToken}, Note: note}
}
