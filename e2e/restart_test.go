package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrchestratorKilled kills everything but the worker, the hard way, several times while work is under way. The
// workers go on, report to the broker, and nothing is lost or done twice.
func TestOrchestratorKilled(t *testing.T) {
	t.Parallel()
	const tickets = 120
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(3)})
	c.start("--roles=worker")
	orchestrator := c.start("--roles=api,orchestrator,bridge")
	for n := range tickets {
		c.run("e2e.step", map[string]any{"n": n, "ms": 10})
	}
	for _, completed := range []int64{10, 40, 80} {
		c.eventually("some have ended", func() bool { return c.stats("e2e.step").TotalCompleted >= completed })
		orchestrator.kill()
		orchestrator = c.start("--roles=api,orchestrator,bridge")
	}
	m := c.finish("e2e.step", tickets, 3)
	require.Equal(t, map[string]int{"succeeded": tickets}, m.Outcomes)
	require.Len(t, c.written(), 2*tickets, "each ran exactly once")
	require.LessOrEqual(t, overlap(t, c.written()), 3)
}
