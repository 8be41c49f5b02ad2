package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// TestGates_Probe asks what an enforcement would meet, before and after admissions.
func TestGates_Probe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gates := postgres.NewGates(b.db)
	rate := rateOf("all", 2, time.Minute)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rate}, Quota: daily("day", 5).Quota})
	charges := []attune.Charge{
		{GateID: attune.GateID{Kind: attune.GateRate, Scope: "global", Name: "all"}, Cost: 1},
		{GateID: attune.GateID{Kind: attune.GateQuota, Scope: "global", Name: "day"}, Cost: 6},
		{GateID: attune.GateID{Kind: attune.GateRate, Scope: "global", Name: "removed"}, Cost: 1},
	}
	probe := func() (ofRate, ofQuota attune.GateProbe) {
		found, err := gates.Probe(t.Context(), charges)
		require.NoError(t, err)
		require.Len(t, found, 2, "a gate that is not in force judges nothing")
		return found[0], found[1]
	}

	ofRate, ofQuota := probe()
	require.True(t, ofRate.Allowed)
	require.Zero(t, ofRate.Count)
	require.Nil(t, ofRate.RetryAt)
	require.False(t, ofQuota.Allowed, "the cost is above the limit")
	require.Nil(t, ofQuota.RetryAt, "it never fits")
	require.Equal(t, "Europe/Berlin", ofQuota.Timezone)
	require.Zero(t, b.count(t, `SELECT count(*) FROM limiters`), "a probe leaves nothing behind")

	require.Len(t, b.tickets(t, b.gated(t, deploy, 2)...), 2)
	charges[1].Cost = 3
	for range 2 { // a probe charges nothing
		ofRate, ofQuota = probe()
		require.False(t, ofRate.Allowed)
		require.EqualValues(t, 2, ofRate.Count)
		require.WithinDuration(t, time.Now().Add(30*time.Second), *ofRate.RetryAt, 31*time.Second)
		require.True(t, ofQuota.Allowed)
		require.EqualValues(t, 2, ofQuota.Count)
	}
	b.pass(t, time.Minute)
	ofRate, _ = probe()
	require.True(t, ofRate.Allowed)
}

// TestQueues_EffectivePolicy reads the policy of an action and its lane.
func TestQueues_EffectivePolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Limit: new(4), Key: new("parameters.tenant")})
	effective, obeyed, err := b.queues.EffectivePolicy(t.Context(), queueKey, deploy)
	require.NoError(t, err)
	require.Equal(t, "parameters.tenant", *effective.Policy.Key)
	require.Equal(t, policy.ScopeGlobal, effective.From["key"].Scope)
	require.Zero(t, obeyed.Revision, "the queue was never used")
	require.Equal(t, effective.Policy.Limit, obeyed.Limit)

	declared, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	decision := decisionTo(declared)
	decision.Lane = attune.LaneOf("acme")
	b.admit(t, b.decide(t, decision).ID)
	_, obeyed, err = b.queues.EffectivePolicy(t.Context(), queueKey, deploy)
	require.NoError(t, err)
	require.EqualValues(t, 1, obeyed.Revision)

	lane, err := b.queues.LaneNamed(t.Context(), queueKey, "=acme")
	require.NoError(t, err)
	require.Equal(t, attune.LaneStats{Number: 1, Name: "=acme", Waiting: 1}, lane)
	lane, err = b.queues.LaneNamed(t.Context(), queueKey, "=other")
	require.NoError(t, err)
	require.Equal(t, attune.LaneStats{Name: "=other"}, lane)
}
