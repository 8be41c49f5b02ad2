package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

func rateOf(name string, limit int, window time.Duration) attune.Rate {
	return attune.Rate{Name: name, Limit: limit, Window: attune.Duration(window)}
}

func rated(rates ...attune.Rate) attune.Policy { return attune.Policy{Rate: rates} }

func daily(name string, limit int) attune.Policy {
	return attune.Policy{Quota: []attune.Quota{{Name: name, Limit: limit, Period: attune.PeriodDay, Timezone: "Europe/Berlin"}}}
}

// gated makes n enforcements of an action with the charges of the gates in force: each costs 1, without a key. change changes each
// charge.
func (b *bundle) gated(t testing.TB, action attune.Ref, n int, change ...func(*attune.Charge)) []attune.EnforcementID {
	t.Helper()
	declared, err := b.packs.Action(t.Context(), action)
	require.NoError(t, err)
	decision := decisionTo(declared)
	for _, gate := range declared.Gates {
		charge := attune.Charge{GateID: gate.GateID, Cost: 1}
		for _, c := range change {
			c(&charge)
		}
		decision.Charges = append(decision.Charges, charge)
	}
	ids := make([]attune.EnforcementID, n)
	for i := range ids {
		ids[i] = b.decide(t, decision).ID
	}
	return ids
}

func costing(units int64) func(*attune.Charge) { return func(c *attune.Charge) { c.Cost = units } }

func keyedBy(key attune.LaneName) func(*attune.Charge) { return func(c *attune.Charge) { c.Key = key } }

// tickets admits enforcements and returns the tickets of those that are not rejected, of all queues.
func (b *bundle) tickets(t testing.TB, ids ...attune.EnforcementID) (tickets []attune.Ticket) {
	t.Helper()
	admissions, err := b.enforcements.Admit(t.Context(), ids)
	require.NoError(t, err)
	for _, a := range admissions {
		tickets = append(tickets, a.Tickets...)
	}
	return tickets
}

// pass lets time pass for all rates.
func (b *bundle) pass(t testing.TB, d time.Duration) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE limiter_log SET at = at - $1::bigint * interval '1 millisecond'`,
		`UPDATE limiters SET last_at = last_at - $1::bigint * interval '1 millisecond'`,
	} {
		_, err := b.conn(t).Exec(t.Context(), sql, d.Milliseconds())
		require.NoError(t, err)
	}
}

// units counts the units in the logs of all rates, and the units of all quotas.
func (b *bundle) units(t testing.TB) (ofRates, ofQuotas int64) {
	t.Helper()
	require.NoError(t, b.conn(t).QueryRow(t.Context(), `SELECT COALESCE((SELECT sum(units) FROM limiter_log), 0)::bigint,
		COALESCE((SELECT sum(used) FROM quota_usage), 0)::bigint`).Scan(&ofRates, &ofQuotas))
	return ofRates, ofQuotas
}

func TestEnforcements_AdmitRates(t *testing.T) {
	t.Parallel()

	t.Run("a global rate of 2 in a minute blocks the third", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 2, time.Minute)))
		ids := append(b.gated(t, deploy, 2), b.gated(t, notify, 1)...)
		require.Len(t, b.tickets(t, ids[0]), 1)
		require.Len(t, b.tickets(t, ids[1:]...), 1)
		third := b.enforcement(t, ids[2])
		require.Equal(t, attune.EnforcementRejected, third.Status)
		require.Equal(t, attune.ReasonRateLimited, third.Reason)
		require.NotNil(t, third.FinishedAt)
		first := b.enforcement(t, ids[0])
		require.WithinDuration(t, first.QueuedAt.Add(time.Minute), *third.Refusal.RetryAt, 59*time.Second)
		require.True(t, third.Refusal.RetryAt.After(*third.FinishedAt))
		third.Refusal.RetryAt = nil
		require.Equal(t, &attune.GateRefusal{
			GateID: attune.GateID{Kind: attune.GateRate, Scope: "global", Name: "all"}, Limit: 2, Window: new(attune.Duration(time.Minute)),
			Count: 2, Cost: 1,
		}, third.Refusal)
		require.Contains(t, third.Detail, "rate all of global allows 2 in 1m0s: 2 are used, and this enforcement costs 1; try again at 20")
		require.Zero(t, b.count(t, `SELECT count(*) FROM enforcements WHERE charges IS NOT NULL`), "the charges are done")

		b.pass(t, time.Minute)
		require.Len(t, b.tickets(t, b.gated(t, notify, 3)...), 2)
	})

	t.Run("the rates of all scopes apply, and a refusal charges none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 100, time.Minute)))
		b.say(t, policy.ScopeAction, string(deploy), rated(rateOf("own", 1, time.Minute)))
		ids := append(b.gated(t, deploy, 3), b.gated(t, notify, 5)...)
		require.Len(t, b.tickets(t, ids...), 6)
		ofRates, _ := b.units(t)
		require.EqualValues(t, 1+6, ofRates, "what the action's rate refused costs nothing")
		require.Equal(t, "rate own of action demo.deploy", b.enforcement(t, ids[2]).Refusal.GateID.String())
	})

	t.Run("each key has the limit for itself, and a missing key is one", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 2, time.Minute)))
		var ids []attune.EnforcementID
		for _, key := range []attune.LaneName{"=a", "=b", attune.NoLane, "="} {
			ids = append(ids, b.gated(t, deploy, 3, keyedBy(key))...)
		}
		require.Len(t, b.tickets(t, ids...), 8)
		require.Equal(t, "(none)", *b.enforcement(t, ids[8]).Refusal.Key)
		require.Contains(t, b.enforcement(t, ids[2]).Detail, `for the key "a"`)
	})

	t.Run("a cost counts as so many units, and one above the limit never fits", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 10, time.Minute)))
		four, eleven := b.gated(t, deploy, 3, costing(4)), b.gated(t, deploy, 1, costing(11))[0]
		two, free := b.gated(t, deploy, 2, costing(2)), b.gated(t, deploy, 1, costing(0))
		require.Len(t, b.tickets(t, slices.Concat(four, []attune.EnforcementID{eleven}, two, free)...), 4)
		require.EqualValues(t, 8, b.enforcement(t, four[2]).Refusal.Count)
		require.EqualValues(t, 10, b.enforcement(t, two[1]).Refusal.Count)
		require.Nil(t, b.enforcement(t, eleven).Refusal.RetryAt)
		require.Contains(t, b.enforcement(t, eleven).Detail, "more than ever fits")
	})

	t.Run("limit and window are those in force at the admission", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 1, time.Minute)))
		ids := b.gated(t, deploy, 7)
		require.Len(t, b.tickets(t, ids[:2]...), 1)
		b.sayGlobally(t, rated(rateOf("all", 3, time.Minute)))
		require.Len(t, b.tickets(t, ids[2:5]...), 2)
		b.sayGlobally(t, rated(rateOf("other", 1, time.Minute)))
		require.Len(t, b.tickets(t, ids[5]), 1, "the rate that was chosen is no longer in force")
		b.sayGlobally(t, rated(rateOf("all", 2, time.Hour)))
		b.pass(t, 10*time.Minute)
		require.Empty(t, b.tickets(t, ids[6]), "the log knows the units of the longer window")
	})

	t.Run("the time of a rate never runs backwards", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 2, time.Minute)))
		ids := b.gated(t, deploy, 3)
		b.tickets(t, ids[0])
		b.pass(t, -time.Hour) // the clock is set back by an hour
		require.Len(t, b.tickets(t, ids[1:]...), 1)
		require.Zero(t, b.count(t, `SELECT count(*) FROM limiter_log WHERE at < now() + interval '50 minutes'`))
		require.Greater(t, time.Until(*b.enforcement(t, ids[2]).Refusal.RetryAt), 50*time.Minute)
	})

	t.Run("units that no window contains are deleted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 1000, time.Minute)))
		for range 4 {
			b.tickets(t, b.gated(t, deploy, 2)...)
		}
		b.pass(t, 24*time.Hour-time.Minute)
		b.tickets(t, b.gated(t, deploy, 1)...)
		ofRates, _ := b.units(t)
		require.EqualValues(t, 9, ofRates)
		b.pass(t, 2*time.Minute)
		for range 3 {
			b.tickets(t, b.gated(t, deploy, 1)...)
		}
		ofRates, _ = b.units(t)
		require.EqualValues(t, 4, ofRates)
	})

	t.Run("a repeated admission charges once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, rated(rateOf("all", 5, time.Minute)))
		ids := b.gated(t, deploy, 2)
		first := b.tickets(t, ids[0], ids[1], ids[0])
		require.Equal(t, first, b.tickets(t, ids...))
		ofRates, _ := b.units(t)
		require.EqualValues(t, 2, ofRates)
	})

	t.Run("a rate that delays judges no admission, and becomes a rate of starts", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		slow := rateOf("slow", 1, time.Hour)
		slow.Method = attune.RateDelay
		b.say(t, policy.ScopeAction, string(deploy), rated(slow))
		admissions, err := b.enforcements.Admit(t.Context(), b.gated(t, deploy, 3))
		require.NoError(t, err)
		require.Len(t, admissions[0].Tickets, 3)
		require.Equal(t, []attune.StartRate{{Name: "slow", Limit: 1, Window: attune.Duration(time.Hour)}}, admissions[0].Policy.Actions[0].Rates)
		require.Nil(t, admissions[0].Policy.Rates)
		require.EqualValues(t, 1, admissions[0].Policy.Revision)
		admissions, err = b.enforcements.Admit(t.Context(), b.gated(t, deploy, 1))
		require.NoError(t, err)
		require.EqualValues(t, 1, admissions[0].Policy.Revision, "nothing changed")
	})
}

func TestEnforcements_AdmitQuotas(t *testing.T) {
	t.Parallel()

	t.Run("a quota counts the period of its time zone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, daily("daily", 2))
		ids := b.gated(t, deploy, 3)
		require.Len(t, b.tickets(t, ids...), 2)
		refused := b.enforcement(t, ids[2])
		require.Equal(t, attune.ReasonQuotaExceeded, refused.Reason)
		zone, err := policy.Zone("Europe/Berlin")
		require.NoError(t, err)
		today, err := policy.PeriodAt(attune.PeriodDay, zone, *refused.FinishedAt)
		require.NoError(t, err)
		require.Equal(t, &attune.GateRefusal{
			GateID: attune.GateID{Kind: attune.GateQuota, Scope: "global", Name: "daily"}, Limit: 2,
			Period: attune.PeriodDay, Timezone: "Europe/Berlin", Count: 2, Cost: 1, RetryAt: &today.End,
		}, refused.Refusal)
		require.Len(t, b.enforcement(t, ids[0]).Charges, 1)
		require.Empty(t, refused.Charges)

		b.exec(t, `UPDATE quota_usage SET starts_at = starts_at - interval '1 day', ends_at = ends_at - interval '1 day'`)
		require.Len(t, b.tickets(t, b.gated(t, deploy, 3)...), 2, "a new day has begun")
		b.sayGlobally(t, daily("daily", 3))
		require.Len(t, b.tickets(t, b.gated(t, deploy, 3)...), 1, "the limit is that in force")
		b.sayGlobally(t, daily("daily", 0))
		none := b.gated(t, deploy, 1)[0]
		require.Empty(t, b.tickets(t, none))
		require.Nil(t, b.enforcement(t, none).Refusal.RetryAt, "it allows nothing")
	})

	t.Run("what never ran gives its units back once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 100, time.Hour)}, Quota: daily("daily", 100).Quota})
		b.say(t, policy.ScopeAction, string(deploy), daily("own", 100))
		tickets := b.tickets(t, b.gated(t, deploy, 6, costing(2))...)
		requireUnits := func(ofRates, ofQuotas int64) {
			t.Helper()
			rates, quotas := b.units(t)
			require.Equal(t, []int64{ofRates, ofQuotas}, []int64{rates, quotas})
		}
		requireUnits(12, 24)
		for range 2 {
			b.settle(t, tickets[0], attune.EnforcementRejected, attune.ReasonQueueFull)
			b.settle(t, tickets[1], attune.EnforcementCancelled, attune.ReasonCancelled)
			b.settle(t, tickets[2], attune.EnforcementExpired, attune.ReasonQueueTimeout)
			requireUnits(12, 12)
		}
		require.Empty(t, b.enforcement(t, tickets[0].Enforcement).Charges)

		unclaimed, ran := b.request(t, tickets[3]), b.request(t, tickets[4])
		_, err := b.executions.Cancel(t.Context(), unclaimed.Execution, ada)
		require.NoError(t, err)
		requireUnits(12, 8)
		_, err = b.executions.Cancel(t.Context(), unclaimed.Execution, ada)
		requireCode(t, attune.CodeConflict, err)
		b.finish(t, reportOf(ran))
		b.settle(t, tickets[4], attune.EnforcementCancelled, attune.ReasonCancelled)
		requireUnits(12, 8)
		require.Len(t, b.enforcement(t, tickets[4].Enforcement).Charges, 2, "it ran")
	})

	t.Run("an attempt that ran keeps its units, wherever its retry waits", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, attune.Policy{
			MaxAttempts: new(3), RetryPlacement: new(attune.RetryBack), Quota: daily("daily", 1).Quota,
		})
		m := b.request(t, b.tickets(t, b.gated(t, deploy, 1)...)[0])
		failed := reportOf(m)
		failed.Status, failed.Reason = attune.ExecutionFailed, attune.ReasonExitCode
		requeued := b.finish(t, failed)[0]
		require.Equal(t, attune.CompletionRequeued, requeued.Effect)
		require.Len(t, b.tickets(t, requeued.Ticket.Enforcement), 1, "a retry is no admission")
		b.settle(t, requeued.Ticket, attune.EnforcementCancelled, attune.ReasonCancelled)
		_, ofQuotas := b.units(t)
		require.EqualValues(t, 1, ofQuotas)
	})

	t.Run("a rate that refuses leaves the quotas alone", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.say(t, policy.ScopeAction, string(deploy), daily("own", 9))
		b.sayGlobally(t, rated(rateOf("all", 1, time.Minute)))
		require.Len(t, b.tickets(t, b.gated(t, deploy, 4)...), 1)
		ofRates, ofQuotas := b.units(t)
		require.Equal(t, []int64{1, 1}, []int64{ofRates, ofQuotas})
	})
}

// TestEnforcements_AdmitRatesConcurrently: fifty callers of two pools admit at once, in ten bursts more than a window apart. Each
// burst gets exactly the limit.
func TestEnforcements_AdmitRatesConcurrently(t *testing.T) {
	t.Parallel()
	const callers, each, bursts, limit = 50, 4, 10, 37
	b := setup(t)
	other := open(t, postgres.Config{URL: b.url, MaxConns: 24})
	b.sayGlobally(t, rated(rateOf("all", limit, time.Hour)))
	b.say(t, policy.ScopeAction, string(deploy), attune.Policy{
		Rate: []attune.Rate{rateOf("own", limit+20, time.Hour)}, Quota: daily("units", 100_000).Quota,
	})
	for burst := range bursts {
		ids := append(b.gated(t, deploy, callers*each/2), b.gated(t, notify, callers*each/2)...)
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range callers {
			admitter := []*bundle{b, other}[i%2].enforcements
			batch := make([]attune.EnforcementID, 0, each)
			for k := range each {
				batch = append(batch, ids[(i+k*callers)%len(ids)])
			}
			wg.Go(func() { _, errs[i] = admitter.Admit(t.Context(), batch) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		counted := fmt.Sprintf(`SELECT count(*) FROM enforcements WHERE id BETWEEN %d AND %d AND status = `, ids[0], ids[len(ids)-1])
		require.EqualValues(t, limit, b.count(t, counted+`'queued'`), "burst %d", burst)
		require.EqualValues(t, callers*each-limit, b.count(t, counted+`'rejected' AND reason = 'rate_limited'`))
		b.pass(t, time.Hour)
	}
	require.Zero(t, b.count(t, `
		SELECT count(*) FROM (SELECT n - units - lag(n, 1, 0) OVER (PARTITION BY limiter_id ORDER BY n) AS gap FROM limiter_log) g WHERE gap <> 0`),
		"the units are numbered without gaps")
	_, ofQuotas := b.units(t)
	require.Equal(t, b.count(t, `SELECT count(*) FROM enforcements e JOIN actions a ON a.id = e.action_id WHERE a.ref = 'demo.deploy' AND e.status = 'queued'`),
		ofQuotas)
}

// TestEnforcements_AdmitRatesInterrupted ends an admission after it has locked the rate, and admits the same enforcements again.
func TestEnforcements_AdmitRatesInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 2, time.Hour)}, Quota: daily("daily", 100).Quota})
	b.tickets(t, b.gated(t, notify, 1)...)
	ids := b.gated(t, deploy, 2)
	blocker := b.conn(t)
	tx, err := blocker.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM quota_usage FOR UPDATE`)
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	admitted := make(chan error, 1)
	go func() {
		_, err := b.enforcements.Admit(ctx, ids)
		admitted <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(t, fmt.Sprintf(`SELECT count(*) FROM pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))`, blocker.PgConn().PID())) == 1
	}, time.Minute, 10*time.Millisecond)
	interrupt()
	require.Error(t, <-admitted)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Len(t, b.tickets(t, ids...), 1)
	ofRates, ofQuotas := b.units(t)
	require.Equal(t, []int64{2, 2}, []int64{ofRates, ofQuotas})
}

func TestEnforcements_AdmitGatesIsSetBased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 150, time.Hour)}, Quota: daily("daily", 120).Quota})
	b.say(t, policy.ScopeAction, string(deploy), rated(rateOf("own", 50, time.Hour)))
	counted := new(counter)
	tracing := open(t, postgres.Config{URL: b.url, Tracer: counted})
	statements := func(ids []attune.EnforcementID) int64 {
		before := counted.statements.Load()
		tracing.tickets(t, ids...)
		return counted.statements.Load() - before
	}
	few := statements(b.gated(t, deploy, 2))
	many := statements(append(b.gated(t, deploy, 100, keyedBy("=a")), b.gated(t, notify, 200, keyedBy("=b"))...))
	require.LessOrEqual(t, many, few+3, "refusals take two statements, and a third finds when to retry")
	require.LessOrEqual(t, many, int64(24))
}

func TestEvents_RecordCharges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", 2, time.Minute)))
	var gates []attune.Gate
	_, err := b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		gates = candidates[0].Gates
		return accept(event, candidates)
	})
	require.NoError(t, err)
	require.Equal(t, []attune.Gate{{GateID: attune.GateID{Kind: attune.GateRate, Scope: "global", Name: "all"}}}, gates)

	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	for name, wrong := range map[string]attune.Charge{
		"a cost below 0": {Cost: -1}, "a cost above the range": {Cost: attune.MaxCost + 1}, "a key that is no name": {Key: "x"},
	} {
		decision := decisionTo(action)
		decision.Charges = []attune.Charge{wrong}
		_, err = b.events.Record(t.Context(), attune.Event{
			Trigger: attune.ManualTrigger, Payload: []byte(`{}`), Source: attune.SourceManual, Author: &ada,
		}, func(attune.Event, []attune.Candidate) []attune.Decision { return []attune.Decision{decision} })
		requireCode(t, attune.CodeInternal, err, "wrong charge")
		require.Error(t, err, name)
	}
}
