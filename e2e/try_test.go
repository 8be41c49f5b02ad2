package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/api"
)

// TestPolicyTry replays a real run: three tenants in one queue, with a limit in total and one per tenant. The recorded policy decides every
// recorded grant again in its place. The command shows the same.
//
// Short: 60 enforcements. Long: 2000.
func TestPolicyTry(t *testing.T) {
	t.Parallel()
	const tenants, limit = 3, 2
	n := size(60, 2000)
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(limit, "limit_per_key: 1")})
	c.start()
	began := time.Now().Add(-time.Minute)
	for i := range n {
		c.run("e2e.step", map[string]any{"n": i, "tenant": fmt.Sprintf("t%d", i%tenants), "ms": 5 * (i % 4)})
	}
	c.complete("e2e.step", n)

	body := fmt.Sprintf(`{"action":"e2e.step","from":%q,"to":%q,"policy":{"limit":1}}`,
		began.Format(time.RFC3339), time.Now().Add(time.Minute).Format(time.RFC3339))
	status, answer := c.api(http.MethodPost, "policies/try", body)
	require.Equal(t, http.StatusOK, status, answer)
	var trial api.PolicyTrial
	require.NoError(t, json.Unmarshal([]byte(answer), &trial))
	require.Equal(t, api.OrderAgreement{Complete: true, Grants: n, Agreed: n}, trial.Order, answer)
	require.Equal(t, n, trial.Arrivals)
	require.Equal(t, []int{n, n, n}, []int{trial.Really.Granted, trial.Recorded.Granted, trial.Proposed.Granted})
	require.Equal(t, limit, trial.Really.MostActive)
	require.Equal(t, 1, trial.Proposed.MostActive)
	require.Greater(t, trial.Proposed.Longest, trial.Recorded.Longest, "half the slots take longer")
	measured(t, "all %d grants decided again in their order; wait p95 %.2f s, replayed %.2f s, with half the limit %.2f s",
		n, trial.Really.P95, trial.Recorded.P95, trial.Proposed.P95)

	code, output := c.attune("policy", "try", "action", "e2e.step", "limit=1", "--from", "1h", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, fmt.Sprintf("recorded order: all %d grants are decided again in their order\n", n))
	code, output = c.attune("policy", "try", "queue", "e2e.none", "limit=1", "--url", c.base)
	require.Equal(t, 1, code, output)
	require.Contains(t, output, "e2e.none")
}
