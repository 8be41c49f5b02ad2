package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

// TestRates runs three tenants against a rate that rejects, a rate that delays and a quota.
func TestRates(t *testing.T) {
	t.Parallel()
	const window = 3 * time.Second
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(5) + `  rate:
    - {name: tenants, limit: 2, window: 1h, key: parameters.tenant}
    - {name: slow, limit: 2, window: 3s, method: delay}
  quota:
    - {name: monthly, limit: 6, period: month, timezone: Europe/Berlin, cost: parameters.units}
`})
	c.start()
	send := func(tenant string, units int) attune.EnforcementID {
		return c.run("e2e.step", map[string]any{"n": units, "tenant": tenant, "units": units})
	}
	admitted := []attune.EnforcementID{send("a", 1), send("a", 1)}
	limited := send("a", 1)
	admitted = append(admitted, send("b", 1), send("b", 1), send("c", 1))
	exceeded := send("c", 2)
	admitted = append(admitted, send("d", 1))
	invalid := c.run("e2e.step", map[string]any{"n": 9, "tenant": "e", "units": "many"})

	refusal := func(id attune.EnforcementID, reason attune.Reason) *attune.GateRefusal {
		var e attune.Enforcement
		c.eventually(fmt.Sprintf("enforcement %d is rejected", id), func() bool {
			require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", id), nil, &e))
			return e.Status.Terminal()
		})
		require.Equal(t, attune.EnforcementRejected, e.Status)
		require.Equal(t, reason, e.Reason, e.Detail)
		return e.Refusal
	}
	byRate := refusal(limited, attune.ReasonRateLimited)
	require.Equal(t, "rate tenants of action e2e.step", byRate.GateID.String())
	require.Equal(t, "a", *byRate.Key)
	require.EqualValues(t, 2, byRate.Count)
	require.Greater(t, time.Until(*byRate.RetryAt), 30*time.Minute)
	byQuota := refusal(exceeded, attune.ReasonQuotaExceeded)
	require.Equal(t, "quota monthly of action e2e.step", byQuota.GateID.String())
	require.EqualValues(t, 2, byQuota.Cost)
	require.True(t, byQuota.RetryAt.After(time.Now()))
	require.Nil(t, refusal(invalid, attune.ReasonGateInvalid))

	code, output := c.attune("policy", "explain", "e2e.step", "--parameters", `{"n": 1, "tenant": "a", "units": 0}`, "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `rate tenants +2 in 1h0m0s, reject, 2 used of a +action e2e\.step +pack +1\n`, output)
	require.Regexp(t, `quota monthly +6 per month \(Europe/Berlin\), 6 used +action e2e\.step +pack +1\n`, output)
	require.Contains(t, output, "would be rejected with rate_limited: rate tenants of action e2e.step allows 2 in 1h0m0s")

	require.Equal(t, map[string]int{"succeeded": len(admitted), "rejected": 3}, c.finishDropping(len(admitted), 0))
	starts, err := client.List[attune.Start](t.Context(), c.Client, "/queues/e2e.step/starts", nil)
	require.NoError(t, err)
	require.Len(t, starts, len(admitted))
	slices.SortFunc(starts, func(a, b attune.Start) int { return a.At.Compare(b.At) })
	for i := 2; i < len(starts); i++ {
		require.GreaterOrEqual(t, starts[i].At.Sub(starts[i-2].At), window, "three starts in a window: %v", starts)
	}
	code, output = c.attune("queue", "verify", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "rates and quotas: every promise kept\n")
	require.Regexp(t, `rates +4 +logs, with 6 units, 6 charges compared with them\n`, output)
	require.Regexp(t, `quotas +1 +counts, 1 compared with the enforcements\n`, output)
}
