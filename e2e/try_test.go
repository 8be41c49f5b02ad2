package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// TestPolicyTry replays a real run: tenants in one queue, with a limit in total and one per tenant. The recorded policy decides every
// recorded grant again in its place. The command shows the same. Then the same arrivals really run with half the limit.
//
// Short: 60 enforcements of a few milliseconds. Long: 2000, whose runs take much longer than what surrounds them: the replay of the first
// run predicts the waits of the second one.
func TestPolicyTry(t *testing.T) {
	t.Parallel()
	n, tenants, limit := size(60, 2000), size(3, 20), size(2, 10)
	millis := func(i int) int { return size(5*(i%4), 300+i*7919%1201) }
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(limit, "limit_per_key: 1")})
	c.start()
	load := func(done int) (began, ended time.Time) {
		began = time.Now()
		for i := range n {
			c.run("e2e.step", map[string]any{"n": done + i, "tenant": fmt.Sprintf("t%d", i%tenants), "ms": millis(i)})
		}
		c.complete("e2e.step", done+n)
		return began, time.Now()
	}
	began, ended := load(0)
	first := c.try(began, ended, fmt.Sprintf(`{"limit":%d}`, limit/2))
	require.Equal(t, api.OrderAgreement{Complete: true, Grants: n, Agreed: n}, first.Order)
	require.Equal(t, n, first.Arrivals)
	require.Equal(t, []int{n, n, n}, []int{first.Really.Granted, first.Recorded.Granted, first.Proposed.Granted})
	require.Equal(t, limit, first.Really.MostActive)
	require.Equal(t, limit/2, first.Proposed.MostActive)
	require.Greater(t, first.Proposed.Longest, first.Recorded.Longest, "half the slots take longer")

	code, output := c.attune("policy", "try", "action", "e2e.step", "limit=1", "--from", "1h", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, fmt.Sprintf("recorded order: all %d grants are decided again in their order\n", n))
	code, output = c.attune("policy", "try", "queue", "e2e.none", "limit=1", "--url", c.base)
	require.Equal(t, 1, code, output)
	require.Contains(t, output, "e2e.none")

	c.setPolicy("action/e2e.step", fmt.Sprintf(`{"limit":%d}`, limit/2))
	c.eventually("the queue obeys half the limit", func() bool { return c.stats("e2e.step").MaxConcurrent == limit/2 })
	began, ended = load(n)
	second := c.try(began, ended, `{}`)
	require.Equal(t, api.OrderAgreement{Complete: true, Grants: n, Agreed: n}, second.Order)
	require.True(t, second.Same)
	require.Equal(t, n, second.Really.Granted)
	require.Equal(t, limit/2, second.Really.MostActive)
	measured(t, "all %d grants of each run decided again in their order; wait p95 %.2f s, replayed %.2f s, with half the limit "+
		"%.2f s predicted and %.2f s measured", n, first.Really.P95, first.Recorded.P95, first.Proposed.P95, second.Really.P95)
	if size(0, 1) == 1 {
		require.InEpsilon(t, second.Really.P95, first.Proposed.P95, 0.15)
	}
}

// try replays a period of the queue of e2e.step under a policy.
func (c *cluster) try(from, to time.Time, policy string) api.PolicyTrial {
	c.t.Helper()
	body := fmt.Sprintf(`{"action":"e2e.step","from":%q,"to":%q,"policy":%s}`,
		from.Format(time.RFC3339Nano), to.Format(time.RFC3339Nano), policy)
	status, answer := c.api(http.MethodPost, "policies/try", body)
	require.Equal(c.t, http.StatusOK, status, answer)
	var trial api.PolicyTrial
	require.NoError(c.t, json.Unmarshal([]byte(answer), &trial))
	return trial
}

// TestPolicyTry_Gates replays arrivals that a rate has rejected, under other rates, quotas and keys.
func TestPolicyTry_Gates(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(5) +
		"  rate: [{name: tenants, limit: 2, window: 1h, key: parameters.tenant}]\n"})
	c.start()
	began := time.Now()
	var ids []attune.EnforcementID
	for i, tenant := range []string{"a", "a", "a", "b", "b", "c"} {
		ids = append(ids, c.run("e2e.step", map[string]any{"n": i, "tenant": tenant, "units": i}))
	}
	c.eventually("one is rejected", func() bool {
		var e attune.Enforcement
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", ids[2]), nil, &e))
		return e.Status.Terminal()
	})
	require.Equal(t, map[string]int{"succeeded": 5, "rejected": 1}, c.finishDropping(5, 0))
	ended := time.Now()
	for _, tt := range []struct {
		name, policy string
		granted      int
		left         map[attune.Reason]int
	}{
		{"the policy in force", `{}`, 5, map[attune.Reason]int{attune.ReasonRateLimited: 1}},
		{"without the rate", `{"rate":[]}`, 6, map[attune.Reason]int{}},
		{
			"one rate for all tenants", `{"rate":[{"name":"tenants","limit":1,"window":"1h"}]}`, 1,
			map[attune.Reason]int{attune.ReasonRateLimited: 5},
		},
		{
			"a quota of units", `{"rate":[],"quota":[{"name":"units","limit":6,"period":"month","cost":"parameters.units"}]}`, 4,
			map[attune.Reason]int{attune.ReasonQuotaExceeded: 2},
		},
		{
			"a key that fails once", `{"rate":[],"key":"10 / (parameters.n - 3)"}`, 5,
			map[attune.Reason]int{attune.ReasonKeyInvalid: 1},
		},
	} {
		trial := c.try(began, ended, tt.policy)
		require.Equal(t, 1, trial.Refused, tt.name)
		require.Zero(t, trial.Uncomputed, tt.name)
		require.Equal(t, map[attune.Reason]int{attune.ReasonRateLimited: 1}, trial.Really.Left, tt.name)
		require.Equal(t, trial.Really.Left, trial.Recorded.Left, tt.name)
		require.Equal(t, tt.granted, trial.Proposed.Granted, tt.name)
		require.Equal(t, tt.left, trial.Proposed.Left, tt.name)
	}
	later := c.try(ended, time.Now().Add(time.Minute), `{}`)
	require.Zero(t, later.Arrivals+later.Refused, "nothing arrives afterwards")

	code, output := c.attune("policy", "try", "action", "e2e.step", "key=parameters.tenant", "--from", "1h", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "5 arrivals, and 1 that a rate or a quota rejected")
	require.Regexp(t, `rate_limited +1 +1 +1\n`, output)
}
