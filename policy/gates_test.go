package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func rateNamed(name string, limit int) attune.Rate {
	return attune.Rate{Name: name, Limit: limit, Window: attune.Duration(time.Minute)}
}

func delaying(name string, limit int) attune.Rate {
	r := rateNamed(name, limit)
	r.Method = attune.RateDelay
	return r
}

func quotaNamed(name string, limit int) attune.Quota {
	return attune.Quota{Name: name, Limit: limit, Period: attune.PeriodDay, Timezone: "Europe/Berlin"}
}

func TestGatesOf(t *testing.T) {
	t.Parallel()
	rated := func(rates ...attune.Rate) attune.Policy { return attune.Policy{Rate: rates} }
	gates := policy.GatesOf(
		person(policy.ScopeGlobal, "", attune.Policy{Rate: []attune.Rate{rateNamed("all", 2)}, Quota: []attune.Quota{quotaNamed("daily", 9)}}),
		level(policy.ScopePack, "demo", rated(rateNamed("packed", 3), rateNamed("tenants", 4))),
		person(policy.ScopePack, "demo", rated(rateNamed("tenants", 5))),
		level(policy.ScopeQueue, "demo.deploy", rated(delaying("starts", 6))),
		level(policy.ScopeAction, "demo.deploy", attune.Policy{
			Rate: []attune.Rate{delaying("own", 7), rateNamed("tenants", 8)}, Quota: []attune.Quota{quotaNamed("monthly", 1)},
		}),
		person(policy.ScopeAction, "demo.deploy", attune.Policy{Quota: []attune.Quota{}}),
		level("team", "a", rated(rateNamed("unknown", 1))),
	)
	var ids []string
	for _, g := range gates {
		ids = append(ids, g.ID().String()+" "+string(g.Origin))
	}
	require.Equal(t, []string{
		"rate own of action demo.deploy pack", "rate tenants of action demo.deploy pack", "rate starts of queue demo.deploy pack",
		"rate tenants of pack demo person", "rate all of global person", "quota daily of global person",
	}, ids, "the list of a person replaces that of the pack, and an empty one removes it")

	var atAdmission []string
	for _, g := range gates.AtAdmission() {
		atAdmission = append(atAdmission, g.String())
	}
	require.Equal(t, []string{
		"rate tenants of action demo.deploy", "rate tenants of pack demo", "rate all of global", "quota daily of global",
	}, atAdmission)

	ofQueue, ofAction := gates.Starts()
	require.Equal(t, []attune.StartRate{{Name: "starts", Limit: 6, Window: attune.Duration(time.Minute)}}, ofQueue)
	require.Equal(t, []attune.StartRate{{Name: "own", Limit: 7, Window: attune.Duration(time.Minute)}}, ofAction)

	found, ok := gates.Find(attune.GateID{Kind: attune.GateRate, Scope: "pack", Ref: "demo", Name: "tenants"})
	require.True(t, ok)
	require.Equal(t, 5, found.Rate.Limit)
	_, ok = gates.Find(attune.GateID{Kind: attune.GateQuota, Scope: "pack", Ref: "demo", Name: "tenants"})
	require.False(t, ok, "a quota is no rate")
	_, ok = gates.Find(attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "demo.deploy", Name: "own"})
	require.False(t, ok, "it judges no admission")
}

func TestGatesOf_KeepsExpressions(t *testing.T) {
	t.Parallel()
	r, q := rateNamed("a", 1), quotaNamed("b", 1)
	r.Key, r.Cost, q.Key, q.Cost = "parameters.a", "2", "parameters.b", "3"
	gates := policy.GatesOf(person(policy.ScopeGlobal, "", attune.Policy{Rate: []attune.Rate{r}, Quota: []attune.Quota{q}}))
	require.Equal(t, []attune.Gate{
		{GateID: attune.GateID{Kind: attune.GateRate, Scope: "global", Name: "a"}, Key: "parameters.a", Cost: "2"},
		{GateID: attune.GateID{Kind: attune.GateQuota, Scope: "global", Name: "b"}, Key: "parameters.b", Cost: "3"},
	}, gates.AtAdmission())
}

func TestResolve_HasGates(t *testing.T) {
	t.Parallel()
	document := attune.Policy{Rate: []attune.Rate{rateNamed("all", 2)}}
	e := policy.Resolve(person(policy.ScopeGlobal, "", document))
	require.Empty(t, cmp.Diff(policy.Gates{{
		Source: policy.Source{Scope: policy.ScopeGlobal, Origin: policy.OriginPerson}, Rate: &document.Rate[0],
	}}, e.Gates))
	require.Empty(t, policy.Resolve().Gates)
}

func TestPolicy_EmptyListsStay(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal(attune.Policy{Rate: []attune.Rate{}})
	require.NoError(t, err)
	require.JSONEq(t, `{"rate": []}`, string(encoded))
	var read attune.Policy
	require.NoError(t, json.Unmarshal(encoded, &read))
	require.NotNil(t, read.Rate)
	require.Nil(t, read.Quota)
}

func TestCheckGates(t *testing.T) {
	t.Parallel()
	r := func(change func(*attune.Rate)) attune.Policy {
		rate := rateNamed("r", 1)
		change(&rate)
		return attune.Policy{Rate: []attune.Rate{rateNamed("first", 1), rate}}
	}
	q := func(change func(*attune.Quota)) attune.Policy {
		quota := quotaNamed("q", 1)
		change(&quota)
		return attune.Policy{Quota: []attune.Quota{quota}}
	}
	d := func(change func(*attune.Rate)) attune.Policy {
		return r(func(r *attune.Rate) { r.Method = attune.RateDelay; change(r) })
	}
	long := strings.Repeat("a", 10_001)
	refused := map[string]struct {
		policy attune.Policy
		scope  policy.Scope
		want   string
	}{
		"a rate without a name":       {r(func(r *attune.Rate) { r.Name = "" }), "", `rate[1].name: rate name ""`},
		"a name that is taken":        {r(func(r *attune.Rate) { r.Name = "first" }), "", `rate[1].name: "first" is taken by rate[0]`},
		"a limit of 0":                {r(func(r *attune.Rate) { r.Limit = 0 }), "", "rate[1].limit: 0: use 1 to 1000000"},
		"a limit above the range":     {r(func(r *attune.Rate) { r.Limit = 1_000_001 }), "", "rate[1].limit: 1000001: use 1 to 1000000"},
		"a window of 0":               {r(func(r *attune.Rate) { r.Window = 0 }), "", "rate[1].window: 0s: use 1ms to 24h0m0s"},
		"a negative window":           {r(func(r *attune.Rate) { r.Window = -1e9 }), "", "rate[1].window: -1s: use 1ms to 24h0m0s"},
		"a window above the range":    {r(func(r *attune.Rate) { r.Window = attune.Duration(24*time.Hour + time.Millisecond) }), "", "rate[1].window: 24h0m0.001s: use"},
		"a window of microseconds":    {r(func(r *attune.Rate) { r.Window = 1_000_001 }), "", "rate[1].window: 1.000001ms: use whole milliseconds"},
		"an unknown method":           {r(func(r *attune.Rate) { r.Method = "drop" }), "", `rate[1].method: "drop": use "reject" or "delay"`},
		"a long key":                  {r(func(r *attune.Rate) { r.Key = long }), "", "rate[1].key: has 10001 bytes"},
		"a long cost":                 {r(func(r *attune.Rate) { r.Cost = long }), "", "rate[1].cost: has 10001 bytes"},
		"a delay on a pack":           {d(func(*attune.Rate) {}), policy.ScopePack, "rate[1].method: a rate of scope pack cannot delay"},
		"a delay for everything":      {d(func(*attune.Rate) {}), policy.ScopeGlobal, "rate[1].method: a rate of scope global cannot delay"},
		"a delay with a key":          {d(func(r *attune.Rate) { r.Key = "parameters.a" }), policy.ScopeAction, "rate[1].key: a rate that delays has no key"},
		"a delay with a cost":         {d(func(r *attune.Rate) { r.Cost = "1" }), policy.ScopeQueue, "rate[1].cost: a rate that delays counts starts"},
		"a delay with a high limit":   {d(func(r *attune.Rate) { r.Limit = 1001 }), "", "rate[1].limit: 1001: use 1 to 1000"},
		"a delay with a long window":  {d(func(r *attune.Rate) { r.Window = attune.Duration(32 * 24 * time.Hour) }), "", "rate[1].window: 768h0m0s: use 1ms to 744h0m0s"},
		"a quota without a period":    {q(func(q *attune.Quota) { q.Period = "" }), "", `quota[0].period: "": use "hour", "day", "week" or "month"`},
		"a quota below 0":             {q(func(q *attune.Quota) { q.Limit = -1 }), "", "quota[0].limit: -1: use 0 to 1000000000"},
		"a quota above the range":     {q(func(q *attune.Quota) { q.Limit = 1_000_000_001 }), "", "quota[0].limit: 1000000001: use"},
		"a time zone that is unknown": {q(func(q *attune.Quota) { q.Timezone = "Mars/Base" }), "", `quota[0].timezone: there is no time zone "Mars/Base"`},
		"a quota with a long cost":    {q(func(q *attune.Quota) { q.Cost = long }), "", "quota[0].cost: has 10001 bytes"},
		"a quota with the name of a rate": {
			attune.Policy{Rate: []attune.Rate{rateNamed("a", 1)}, Quota: []attune.Quota{quotaNamed("a", 1)}}, "", `quota[0].name: "a" is taken by rate[0]`,
		},
	}
	for name, tt := range refused {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			faults := policy.CheckGates(tt.policy, tt.scope)
			require.Len(t, faults, 1)
			require.Contains(t, faults[0].Error(), tt.want)
			if tt.scope == "" {
				err := policy.Validate(tt.policy)
				require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
				require.ErrorContains(t, err, "policy "+tt.want)
			}
		})
	}
	t.Run("too many entries are refused", func(t *testing.T) {
		t.Parallel()
		var p attune.Policy
		for i := range attune.MaxGates + 1 {
			p.Rate = append(p.Rate, rateNamed(fmt.Sprintf("r%d", i), 1))
			p.Quota = append(p.Quota, quotaNamed(fmt.Sprintf("q%d", i), 1))
		}
		faults := policy.CheckGates(p, "")
		require.Equal(t, []string{"rate: 17 entries: use at most 16", "quota: 17 entries: use at most 16"}, messagesOf(faults))
		p.Rate, p.Quota = p.Rate[1:], p.Quota[1:]
		require.Empty(t, policy.CheckGates(p, ""))
		for i := range attune.MaxStartRates + 1 {
			p.Rate[i].Method = attune.RateDelay
		}
		require.Equal(t, []string{"rate: 5 rates delay: use at most 4"}, messagesOf(policy.CheckGates(p, policy.ScopeAction)))
	})
	t.Run("the ends of the ranges are allowed", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, policy.CheckGates(attune.Policy{
			Rate: []attune.Rate{
				{Name: "a", Limit: 1, Window: attune.Duration(time.Millisecond), Method: attune.RateReject, Key: long[1:], Cost: long[1:]},
				{Name: "b", Limit: attune.MaxRateLimit, Window: attune.Duration(attune.MaxRateWindow)},
				{Name: "c", Limit: attune.MaxStartRateLimit, Window: attune.Duration(attune.MaxStartWindow), Method: attune.RateDelay},
			},
			Quota: []attune.Quota{
				{Name: "d", Limit: 0, Period: attune.PeriodHour}, {Name: "e", Limit: attune.MaxQuotaLimit, Period: attune.PeriodMonth},
				{Name: "f", Limit: 1, Period: attune.PeriodWeek, Timezone: "UTC"},
			},
		}, policy.ScopeQueue))
	})
}

func messagesOf(faults []policy.Fault) []string {
	var messages []string
	for _, f := range faults {
		messages = append(messages, f.Error())
	}
	return messages
}
