package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// BenchmarkAdmit_Gates compares the admission of 1000 enforcements with six rates and quotas to that without any, in one run, batch by
// batch in turn. The whole path records a thousand events and admits them in batches of a hundred; "admit" is the second part only.
func BenchmarkAdmit_Gates(b *testing.B) {
	const events, batch = 1000, 100
	s := setup(b)
	day := []attune.Quota{{Name: "daily", Limit: 1e9, Period: attune.PeriodDay, Timezone: "Europe/Berlin"}}
	s.sayGlobally(b, attune.Policy{Rate: []attune.Rate{rateOf("all", 1e6, time.Second), rateOf("long", 1e6, time.Minute)}, Quota: day})
	s.say(b, policy.ScopeAction, string(deploy), attune.Policy{
		Rate: []attune.Rate{rateOf("own", 1e6, time.Second), rateOf("tenants", 1e6, time.Minute)}, Quota: day,
	})
	declared, err := s.packs.Action(b.Context(), deploy)
	require.NoError(b, err)
	require.Len(b, declared.Gates, 6)
	record := func(charges []attune.Charge) (id attune.EnforcementID, took time.Duration) {
		decision := decisionTo(declared)
		decision.Charges = charges
		start := time.Now()
		id = s.decide(b, decision).ID
		return id, time.Since(start)
	}
	charged := func(i int) (charges []attune.Charge) {
		for _, gate := range declared.Gates {
			charge := attune.Charge{GateID: gate.GateID, Cost: 1}
			if gate.Name == "tenants" {
				charge.Key = attune.LaneOf(fmt.Sprint("tenant", i%20))
			}
			charges = append(charges, charge)
		}
		return charges
	}
	sets := make([][]attune.Charge, 20)
	for i := range sets {
		sets[i] = charged(i)
	}
	var whole, admit [2]time.Duration
	for b.Loop() {
		var ids [2][]attune.EnforcementID
		for n := range events {
			for i, charges := range [][]attune.Charge{nil, sets[n%20]} {
				id, took := record(charges)
				ids[i] = append(ids[i], id)
				whole[i] += took
			}
		}
		for from := 0; from < events; from += batch {
			for i := range ids {
				start := time.Now()
				require.Len(b, s.admit(b, ids[i][from:from+batch]...), batch)
				admit[i] += time.Since(start)
			}
		}
	}
	n := float64(b.N)
	b.ReportMetric(float64((whole[0]+admit[0]).Milliseconds())/n, "ms/1000-none")
	b.ReportMetric(float64((whole[1]+admit[1]).Milliseconds())/n, "ms/1000-six")
	b.ReportMetric(float64(whole[1]+admit[1])/float64(whole[0]+admit[0]), "ratio")
	b.ReportMetric(float64(admit[0].Milliseconds())/n, "admit-ms/1000-none")
	b.ReportMetric(float64(admit[1].Milliseconds())/n, "admit-ms/1000-six")
	b.ReportMetric(float64(admit[1])/float64(admit[0]), "admit-ratio")
}
