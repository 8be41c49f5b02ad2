package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/queueaudit"
	"github.com/attune-go/attune/proof"
)

// TestPolicies_LiveWhileManyWait changes limit, rate and key of a queue over the API while many enforcements wait. No worker runs, so each
// grant keeps its slot. Each change grants exactly what it allows, each grant names the revision that allowed it, and the order is kept.
//
// Short: 60 enforcements. Long: 200.
func TestPolicies_LiveWhileManyWait(t *testing.T) {
	t.Parallel()
	waiting := int64(size(60, 200))
	c := newCluster(t, map[string]string{"pack.yaml": "name: e2e\nactions:\n  step: {command: [\"true\"], pool: nowhere, policy: {limit: 0}}\n"})
	c.start("--roles=api,orchestrator,bridge")
	for n := range waiting {
		c.run("e2e.step", map[string]any{"n": n})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == waiting })

	type phase struct{ grants, revision int64 }
	var phases []phase
	change := func(fields string, granted int64) {
		t.Helper()
		changed := c.setPolicy("action/e2e.step", fields)
		require.EqualValues(t, 1, changed.Told+changed.NotTold)
		c.eventually(fields, func() bool { return c.stats("e2e.step").ActiveCount == granted })
		phases = append(phases, phase{granted, c.step().Policy.Revision})
	}
	change(`{"limit":10}`, 10)
	change(`{"limit":5000,"rate":[{"name":"slow","limit":5,"window":"1h","method":"delay"}]}`, 15)
	status, answer := c.api(http.MethodPost, "actions/e2e.step/policy", `{"parameters":{}}`)
	require.Equal(t, http.StatusOK, status, answer)
	var explained api.PolicyExplanation
	require.NoError(t, json.Unmarshal([]byte(answer), &explained))
	require.True(t, explained.Now.Accepted)
	require.NotNil(t, explained.Now.OpensAt, "the rate holds up the line: "+answer)
	require.EqualValues(t, 5, explained.Gates[0].Starts.Count)
	change(`{"rate":[{"name":"slow","limit":20,"window":"1h","method":"delay"}]}`, 30)

	change(`{"key":"parameters.tenant","limit_per_key":5000}`, 30)
	for _, tenant := range []string{"a", "b", "a", "b"} {
		c.run("e2e.step", map[string]any{"tenant": tenant})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == waiting-30+4 })
	change(`{"rate":[]}`, waiting+4)

	grants, err := client.List[api.Grant](t.Context(), c.Client, "/queues/e2e.step/grants", nil)
	require.NoError(t, err)
	slices.Reverse(grants)
	require.Len(t, grants, int(waiting)+4)
	for i, grant := range grants {
		number := int64(i + 1)
		require.Equal(t, number, grant.Sequence, "order is kept")
		allowed := phases[slices.IndexFunc(phases, func(p phase) bool { return number <= p.grants })]
		require.Equal(t, allowed.revision, grant.Revision, "grant %d", number)
	}
	for i, lane := range []int32{1, 2, 1, 2} {
		require.Equal(t, lane, grants[int(waiting)+i].Lane, "what arrives after the change has a lane")
	}
	require.Zero(t, grants[waiting-1].Lane, "what waited before keeps its lane")
	rows, err := queueaudit.Read(t.Context(), c.Client, "e2e.step", testTimeout)
	require.NoError(t, err)
	require.Empty(t, proof.Check(rows).Violations)
}
