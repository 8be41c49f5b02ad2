package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// TestPurgedRequests deletes the requests of executions on the broker before a worker starts.
func TestPurgedRequests(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(3)})
	c.start("--roles=api,orchestrator,bridge", "--lease=10s")
	for n := range 3 {
		c.run("e2e.step", map[string]any{"n": n})
	}
	channel := c.dialBroker()
	queue := rabbitmq.QueueExecutionRequested(attune.DefaultPool)
	c.eventually("every request waits for a worker", func() bool { return c.queueDepth(channel, queue) >= 3 })
	_, err := channel.QueuePurge(queue, false)
	require.NoError(t, err)
	c.start("--roles=worker")
	m := c.finish("e2e.step", 3, 3)
	require.Equal(t, map[string]int{"succeeded": 3}, m.Outcomes)
	require.Positive(t, c.metric("attune_requests_resent_total", ""))
	require.Zero(t, c.queueDepth(channel, rabbitmq.QueueDead))
}
