package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
)

func TestGates_Lists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gates := postgres.NewGates(b.db)
	rate := rateOf("all", 2, time.Minute)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rate}, Quota: daily("daily", 9).Quota})
	b.tickets(t, append(b.gated(t, deploy, 3, keyedBy(attune.NoLane)), b.gated(t, deploy, 1, keyedBy("=a"))...)...)

	limiters, err := gates.Limiters(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, limiters, 2)
	none := limiters[1]
	require.Equal(t, "(none)", *none.Key)
	require.Equal(t, "rate all of global", none.GateID.String())
	require.EqualValues(t, 2, none.LastUnit)
	require.WithinDuration(t, time.Now(), none.LastAt, time.Minute)
	log, err := gates.LimiterLog(t.Context(), none.ID, attune.Page{})
	require.NoError(t, err)
	require.Equal(t, []attune.LimiterCharge{{Last: 2, Units: 2, At: none.LastAt, Limit: 2, Window: rate.Window}}, log, "one admission, one entry")
	older, err := gates.LimiterLog(t.Context(), none.ID, attune.Page{Before: 2})
	require.NoError(t, err)
	require.Empty(t, older)

	usage, err := gates.QuotaUsage(t.Context(), attune.Page{Limit: 1})
	require.NoError(t, err)
	require.Len(t, usage, 1)
	require.Equal(t, "a", *usage[0].Key)
	require.Equal(t, "quota daily of global", usage[0].GateID.String())
	require.EqualValues(t, 1, usage[0].Used)
	require.EqualValues(t, 9, usage[0].Limit)
	require.True(t, usage[0].StartsAt.Before(usage[0].EndsAt))
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
}

func TestEnforcements_Observe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 2, time.Hour)}, Quota: daily("daily", 1).Quota})
	counted := map[attune.Reason]int{}
	observed := b.enforcements.Observe(func(_ context.Context, reason attune.Reason, n int) { counted[reason] += n })
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
