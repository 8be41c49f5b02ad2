package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// fakeGates holds what was used of rates and quotas.
type fakeGates struct {
	limiters []attune.Limiter
	log      map[int64][]attune.LimiterCharge
	usage    []attune.QuotaUsage
	filters  []attune.GateFilter // of the lists
	probes   []attune.GateProbe
	down     error
}

func (f *fakeGates) Limiters(_ context.Context, filter attune.GateFilter, page attune.Page) ([]attune.Limiter, error) {
	f.filters = append(f.filters, filter)
	return f.limiters[:min(page.Limit, len(f.limiters))], f.down
}

func (f *fakeGates) LimiterLog(_ context.Context, limiter int64, page attune.Page) ([]attune.LimiterCharge, error) {
	return f.log[limiter][:min(page.Limit, len(f.log[limiter]))], f.down
}

func (f *fakeGates) LimiterCharges(_ context.Context, filter attune.GateFilter, page attune.Page) ([]attune.LimiterCharge, error) {
	f.filters = append(f.filters, filter)
	return f.log[4][:min(page.Limit, len(f.log[4]))], f.down
}

func (f *fakeGates) QuotaUsage(_ context.Context, filter attune.GateFilter, page attune.Page) ([]attune.QuotaUsage, error) {
	f.filters = append(f.filters, filter)
	return f.usage[:min(page.Limit, len(f.usage))], f.down
}

func (f *fakeGates) Probe(context.Context, []attune.Charge) ([]attune.GateProbe, error) {
	return f.probes, f.down
}

func TestGates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.gates.limiters = []attune.Limiter{{
		ID: 4, GateID: attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "shop.deploy", Name: "tenants"}, Key: new("a"),
		LastUnit: 7, LastAt: noon,
	}, {ID: 3}}
	b.gates.log = map[int64][]attune.LimiterCharge{4: {{ID: 6, Limiter: 4, Last: 7, Units: 2, At: noon, Limit: 9, Window: attune.Duration(time.Minute)}}}
	b.gates.usage = []attune.QuotaUsage{{
		ID: 5, GateID: attune.GateID{Kind: attune.GateQuota, Scope: "global", Name: "daily"}, Period: attune.PeriodDay, Timezone: "Europe/Berlin",
		StartsAt: noon, EndsAt: noon.Add(time.Hour), Used: 1, MostLimit: 2, UpdatedAt: noon,
	}}
	b.journal.starts = func(attune.QueueKey, attune.Page) ([]attune.Start, error) {
		return []attune.Start{{ID: 9, Number: 8, Attempt: 2, Action: 4, At: noon}}, nil
	}
	requireJSON(t, `{"items": [{"id": 4, "kind": "rate", "scope": "action", "ref": "shop.deploy", "name": "tenants", "key": "a",
		"last_unit": 7, "last_at": "2030-01-02T12:00:00Z"}], "next": "YmVmb3JlOjQ"}`, b.do(t, get("/api/v1/limiters?limit=1")))
	const charges = `{"items": [{"id": 6, "limiter": 4, "last": 7, "units": 2, "at": "2030-01-02T12:00:00Z", "limit": 9, "window": "1m0s"}]}`
	requireJSON(t, charges, b.do(t, get("/api/v1/limiters/4/log")))
	requireJSON(t, charges, b.do(t, get("/api/v1/limiters/log?scope=action&ref=shop.deploy")))
	require.Equal(t, attune.GateFilter{Scope: "action", Ref: "shop.deploy"}, b.gates.filters[1])
	b.do(t, get("/api/v1/quotas?scope=global"))
	b.do(t, get("/api/v1/limiters?scope=pack&ref=shop"))
	require.Equal(t, []attune.GateFilter{{Scope: "global"}, {Scope: "pack", Ref: "shop"}}, b.gates.filters[2:])
	for _, query := range []string{"scope=action", "ref=shop.deploy", "scope=global&ref=shop", "scope=team&ref=shop"} {
		for _, path := range []string{"limiters", "limiters/log", "quotas"} {
			problem := requireProblem(t, b.do(t, get("/api/v1/"+path+"?"+query)), 422, "invalid")
			require.Contains(t, problem.Errors[0].Location, "query.")
		}
	}
	requireJSON(t, `{"items": []}`, b.do(t, get("/api/v1/limiters/5/log")))
	requireJSON(t, `{"items": [{"id": 5, "kind": "quota", "scope": "global", "name": "daily", "period": "day", "timezone": "Europe/Berlin",
		"starts_at": "2030-01-02T12:00:00Z", "ends_at": "2030-01-02T13:00:00Z", "used": 1, "most_limit": 2, "updated_at": "2030-01-02T12:00:00Z"}]}`,
		b.do(t, get("/api/v1/quotas")))
	requireJSON(t, `{"items": [{"id": 9, "number": 8, "attempt": 2, "action_id": 4, "at": "2030-01-02T12:00:00Z"}]}`,
		b.do(t, get("/api/v1/queues/shop.deploy/starts")))

	b.gates.down = errDown
	for _, path := range []string{"limiters", "limiters/log", "limiters/4/log", "quotas"} {
		requireProblem(t, b.do(t, get("/api/v1/"+path)), 503, "unavailable")
		require.Equal(t, 422, b.do(t, get("/api/v1/"+path+"?cursor=x")).Code)
	}
}
