package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

// TestControl changes a queue manually over the API while executions run.
func TestControl(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start()
	must := func(method, path, body string) {
		t.Helper()
		status, answer := c.api(method, path, body)
		require.Equal(t, http.StatusOK, status, answer)
	}

	must("POST", "queues/e2e.step/pause", `{"on_behalf_of":"ada","note":"before its first use"}`)
	var ids []attune.EnforcementID
	for n := range 20 {
		ids = append(ids, c.run("e2e.step", map[string]any{"n": n, "ms": 300}))
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == 20 })
	require.Zero(t, c.stats("e2e.step").ActiveCount)
	require.Empty(t, c.written())

	for _, position := range []int{2, 5, 8} {
		must("POST", fmt.Sprintf("enforcements/%d/cancel", ids[position-1]), `{"on_behalf_of":"ada"}`)
	}
	c.eventually("three are cancelled", func() bool {
		found, err := client.List[attune.Enforcement](t.Context(), c.Client, "/enforcements", map[string][]string{"status": {"cancelled"}})
		return err == nil && len(found) == 3
	})

	must("PUT", "queues/e2e.step/limit", `{"on_behalf_of":"ada","limit":4}`)
	must("POST", "queues/e2e.step/resume", `{"on_behalf_of":"ada"}`)
	c.eventually("four run at once", func() bool { return c.stats("e2e.step").ActiveCount == 4 })
	must("POST", "queues/e2e.step/limit/clear", `{"on_behalf_of":"ada"}`)
	must("POST", "queues/e2e.step/drain", `{"on_behalf_of":"ada"}`)
	rejected := c.run("e2e.step", map[string]any{"n": 99})
	c.eventually("newcomers are rejected", func() bool {
		var e attune.Enforcement
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", rejected), nil, &e))
		return e.Status == attune.EnforcementRejected && e.Reason == attune.ReasonQueueDraining
	})
	c.complete("e2e.step", 17)
	require.LessOrEqual(t, overlap(t, c.written()), 4)
	require.Len(t, c.written(), 34)

	status, answer := c.api("POST", "queues/e2e.step/drain", `{"on_behalf_of":"ada"}`)
	require.Equal(t, http.StatusConflict, status, answer)
	status, answer = c.api("POST", "queues/e2e.gone/pause", `{"on_behalf_of":"ada"}`)
	require.Equal(t, http.StatusNotFound, status, answer)
}
