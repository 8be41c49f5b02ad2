package e2e_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// brokerUser returns the address of the broker for a new user with the rights of a user of attune.
func (c *cluster) brokerUser(name string) string {
	c.t.Helper()
	users := rabbitmq.Users()
	i := slices.IndexFunc(users, func(u rabbitmq.User) bool { return u.Name == name })
	require.GreaterOrEqual(c.t, i, 0, name)
	rights := testenv.AMQPRights{Configure: users[i].Configure, Write: users[i].Write, Read: users[i].Read}
	for _, topic := range users[i].Topics {
		rights.Topics = append(rights.Topics, testenv.AMQPTopicRights(topic))
	}
	return testenv.AMQPUser(c.t, c.variable("ATTUNE_AMQP_URL"), rights)
}

// TestBrokerUsers runs each role in a process of its own, as its own user of the broker.
func TestBrokerUsers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(2)})
	for _, part := range []struct{ role, variable, user string }{
		{"bridge", "ATTUNE_AMQP_URL", rabbitmq.UserBridge},
		{"orchestrator", "ATTUNE_AMQP_URL", rabbitmq.UserOrchestrator},
		{"worker", "ATTUNE_WORKER_AMQP_URL", rabbitmq.UserWorker},
		{"api", "ATTUNE_AMQP_URL", rabbitmq.UserObserver},
	} {
		process := *c
		process.env = append(slices.Clone(c.env), "ATTUNE_AMQP_URL=", part.variable+"="+c.brokerUser(part.user))
		process.start("--roles=" + part.role)
	}
	for n := range 6 {
		c.run("e2e.step", map[string]any{"n": n})
	}
	c.complete("e2e.step", 6)
	c.cancel(c.run("e2e.step", map[string]any{"n": 6, "ms": 600_000}))
	m := c.finish("e2e.step", 7, 2)
	require.Equal(t, map[string]int{"succeeded": 6, "cancelled": 1}, m.Outcomes)
	code, output := c.attune("doctor", "--url", c.base)
	require.Zero(t, code, output)
	require.Zero(t, c.queueDepth(c.dialBroker(), rabbitmq.QueueDead))
}
