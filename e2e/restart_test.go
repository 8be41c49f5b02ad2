package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrchestratorKilled kills every process except the worker several times while executions run. The worker continues
// and reports to the broker, and each step runs exactly once.
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
	require.Len(t, c.written(), 2*tickets, "each step ran exactly once")
	require.LessOrEqual(t, overlap(t, c.written()), 3)
}
