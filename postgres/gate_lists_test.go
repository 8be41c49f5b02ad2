package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

func TestGates_Lists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gates := postgres.NewGates(b.db)
	rate := rateOf("all", 2, time.Minute)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rate}, Quota: daily("daily", 9).Quota})
	b.tickets(t, append(b.gated(t, deploy, 3, keyedBy(attune.NoLane)), b.gated(t, deploy, 1, keyedBy("=a"))...)...)

	limiters, err := gates.Limiters(t.Context(), attune.GateFilter{}, attune.Page{})
	require.NoError(t, err)
	require.Len(t, limiters, 2)
	none := limiters[1]
	require.Equal(t, "(none)", *none.Key)
	require.Equal(t, "rate all of global", none.GateID.String())
	require.EqualValues(t, 2, none.LastUnit)
	require.WithinDuration(t, time.Now(), none.LastAt, time.Minute)
	log, err := gates.LimiterLog(t.Context(), none.ID, attune.Page{})
	require.NoError(t, err)
	require.Equal(t, []attune.LimiterCharge{{ID: log[0].ID, Limiter: none.ID, Last: 2, Units: 2, At: none.LastAt, Limit: 2, Window: rate.Window}}, log, "one admission, one entry")
	older, err := gates.LimiterLog(t.Context(), none.ID, attune.Page{Before: 2})
	require.NoError(t, err)
	require.Empty(t, older)

	all, err := gates.LimiterCharges(t.Context(), attune.GateFilter{}, attune.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, log[0], all[1])
	for filter, want := range map[attune.GateFilter]int{{Scope: "global"}: 2, {Scope: "action", Ref: string(deploy)}: 0} {
		charges, err := gates.LimiterCharges(t.Context(), filter, attune.Page{})
		require.NoError(t, err)
		require.Len(t, charges, want)
		found, err := gates.Limiters(t.Context(), filter, attune.Page{})
		require.NoError(t, err)
		require.Len(t, found, want)
		counts, err := gates.QuotaUsage(t.Context(), filter, attune.Page{})
		require.NoError(t, err)
		require.Len(t, counts, want)
	}

	usage, err := gates.QuotaUsage(t.Context(), attune.GateFilter{}, attune.Page{Limit: 1})
	require.NoError(t, err)
	require.Len(t, usage, 1)
	require.Equal(t, "a", *usage[0].Key)
	require.Equal(t, "quota daily of global", usage[0].GateID.String())
	require.EqualValues(t, 1, usage[0].Used)
	require.EqualValues(t, 9, usage[0].MostLimit)
	require.True(t, usage[0].StartsAt.Before(usage[0].EndsAt))
}

// An enforcement keeps the units of rates that it was charged, and what it has used of quotas until it gives that back.
func TestEnforcements_AdmitStoresCharges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 10, time.Minute)}, Quota: daily("daily", 9).Quota})
	b.say(t, policy.ScopeAction, string(deploy), rated(rateOf("own", 5, time.Minute)))
	first := b.gated(t, deploy, 1, costing(2))
	b.tickets(t, first...)
	ids := append(b.gated(t, deploy, 2, costing(2)), b.gated(t, notify, 1)...)
	ids = append(ids, b.gated(t, notify, 1, costing(0))...)
	tickets := b.tickets(t, ids...)
	require.Len(t, tickets, 3, "the second of deploy is above its own rate")
	limiters, err := postgres.NewGates(b.db).Limiters(t.Context(), attune.GateFilter{}, attune.Page{})
	require.NoError(t, err)
	byName := map[string]int64{}
	for _, l := range limiters {
		byName[l.Name] = l.ID
	}
	usage, err := postgres.NewGates(b.db).QuotaUsage(t.Context(), attune.GateFilter{}, attune.Page{})
	require.NoError(t, err)
	quota := func(cost, used int64) []attune.QuotaCharge {
		return []attune.QuotaCharge{{Usage: usage[0].ID, Cost: cost, Used: used, Limit: 9}}
	}
	both := func(last int64) []attune.RateCharge {
		return []attune.RateCharge{{Limiter: byName["own"], Last: last, Units: 2}, {Limiter: byName["all"], Last: last, Units: 2}}
	}
	require.ElementsMatch(t, both(2), b.enforcement(t, first[0]).Units)
	require.ElementsMatch(t, both(4), b.enforcement(t, ids[0]).Units)
	require.Equal(t, quota(2, 4), b.enforcement(t, ids[0]).Charges)
	require.Empty(t, b.enforcement(t, ids[1]).Units, "what is refused is charged nothing")
	last := b.enforcement(t, ids[2])
	require.Equal(t, []attune.RateCharge{{Limiter: byName["all"], Last: 5, Units: 1}}, last.Units)
	require.Equal(t, quota(1, 5), last.Charges)
	require.Empty(t, b.enforcement(t, ids[3]).Units, "a cost of 0 is no charge")

	_, err = b.queues.Record(t.Context(), attune.QueueKey(notify), attune.QueueDecisions{Settlements: []attune.Settlement{
		{Ticket: tickets[1], Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout},
	}})
	require.NoError(t, err)
	ended := b.enforcement(t, ids[2])
	require.Empty(t, ended.Charges)
	require.Equal(t, last.Units, ended.Units, "a rate gives nothing back")
}

func TestGates_Sweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gates := postgres.NewGates(b.db)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 20, time.Minute)}, Quota: daily("daily", 99).Quota})
	for _, key := range []attune.LaneName{"=a", "=b"} {
		for range 3 {
			b.tickets(t, b.gated(t, deploy, 1, keyedBy(key))...)
		}
	}
	sweep := func(limit int) int64 {
		deleted, err := gates.Sweep(t.Context(), limit)
		require.NoError(t, err)
		return deleted
	}
	require.Zero(t, sweep(100), "everything is still needed")
	b.pass(t, 26*time.Hour)
	b.tickets(t, b.gated(t, deploy, 1, keyedBy("=b"))...)
	require.EqualValues(t, 2, sweep(2), "a sweep is bounded")
	require.EqualValues(t, 2, sweep(2), "the last unit of a, and its limiter")
	require.Zero(t, sweep(2))
	require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM limiters WHERE key = '=b'`))
	require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM limiters`))
	b.tickets(t, b.gated(t, deploy, 1, keyedBy("=a"))...)
	require.EqualValues(t, 1, b.count(t, `SELECT last_n FROM limiters WHERE key = '=a'`), "a limiter that comes back begins anew")

	b.exec(t, `UPDATE quota_usage SET starts_at = starts_at - interval '500 days', ends_at = ends_at - interval '500 days' WHERE key = '=a'`)
	require.EqualValues(t, 1, sweep(100))
	require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM quota_usage`))

	b.exec(t, `UPDATE quota_usage SET starts_at = starts_at - interval '2 days', ends_at = ends_at - interval '2 days'`)
	require.Zero(t, sweep(100), "a used count is kept")
	b.exec(t, `UPDATE quota_usage SET used = 0`)
	require.EqualValues(t, 1, sweep(100), "a count without use ends with its period")
}

func TestGates_SweepOldestFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", 20, time.Minute)))
	for range 3 {
		b.tickets(t, b.gated(t, deploy, 1)...)
	}
	b.pass(t, 26*time.Hour)
	b.exec(t, `UPDATE limiter_log SET rate_limit = 21 WHERE n = 1`) // the row moves to the end of the table
	for left := range int64(2) {
		_, err := postgres.NewGates(b.db).Sweep(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, left+2, b.count(t, `SELECT min(n) FROM limiter_log`), "the log keeps its newest units")
	}
}

// A clock that jumps ahead does not age the logs.
func TestSteadyClock(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var clock postgres.SteadyClock
	database := start.Add(time.Hour).UTC()
	require.Equal(t, database, clock.At(database, start))
	require.Equal(t, database.Add(time.Minute), clock.At(database.Add(time.Minute), start.Add(2*time.Minute)), "a slower clock counts")
	require.Equal(t, database.Add(3*time.Minute), clock.At(database.Add(48*time.Hour), start.Add(3*time.Minute)), "a jump does not")
	require.Equal(t, database.Add(4*time.Minute), clock.At(database.Add(4*time.Minute), start.Add(4*time.Minute)), "nor does it leave a trace")
}

func TestEnforcements_Observe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 2, time.Hour)}, Quota: daily("daily", 1).Quota})
	counted := map[attune.Reason]int{}
	observed := b.enforcements.Observe(func(_ context.Context, n int, _ attune.EnforcementStatus, reason attune.Reason) { counted[reason] += n })
	ids := b.gated(t, deploy, 3)
	b.exec(t, `UPDATE actions SET enabled = false WHERE ref = $1`, notify)
	ids = append(ids, b.gated(t, notify, 2)...)
	for range 2 {
		_, err := observed.Admit(t.Context(), ids)
		require.NoError(t, err)
	}
	require.Equal(t, map[attune.Reason]int{attune.ReasonQuotaExceeded: 2, attune.ReasonActionDisabled: 2}, counted)
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
