package e2e_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// brokerUser returns the address of the broker for a new user with the rights of a user of attune.
func (c *cluster) brokerUser(name string) string {
	c.t.Helper()
	users := append(rabbitmq.Users(), c.poolUser(attune.DefaultPool), c.poolUser("gpu"))
	i := slices.IndexFunc(users, func(u rabbitmq.User) bool { return u.Name == name })
	require.GreaterOrEqual(c.t, i, 0, name)
	rights := testenv.AMQPRights{Configure: users[i].Configure, Write: users[i].Write, Read: users[i].Read}
	for _, topic := range users[i].Topics {
		rights.Topics = append(rights.Topics, testenv.AMQPTopicRights(topic))
	}
	return testenv.AMQPUser(c.t, c.variable("ATTUNE_AMQP_URL"), rights)
}

// poolUser is the user of the workers of one pool.
func (c *cluster) poolUser(pool string) rabbitmq.User {
	c.t.Helper()
	user, err := rabbitmq.WorkerUser(rabbitmq.UserWorker+"-"+pool, pool)
	require.NoError(c.t, err)
	return user
}

// TestBrokerUsers runs each role in a process of its own, as its own user of the broker.
func TestBrokerUsers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(2)})
	for _, part := range []struct{ role, variable, user string }{
		{"bridge", "ATTUNE_AMQP_URL", rabbitmq.UserBridge},
		{"orchestrator", "ATTUNE_AMQP_URL", rabbitmq.UserOrchestrator},
		{"worker", "ATTUNE_WORKER_AMQP_URL", rabbitmq.UserWorker},
		{"worker", "ATTUNE_WORKER_AMQP_URL", rabbitmq.UserWorker + "-" + attune.DefaultPool},
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

// TestPools_AreABoundary runs a worker that attacks the attempts of another pool with the user of its own pool.
func TestPools_AreABoundary(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start("--roles=api,orchestrator,bridge")
	requests := c.tap(attune.KeyExecutionRequested(attune.DefaultPool))
	c.run("e2e.step", map[string]any{"n": 1})
	var request attune.ExecutionRequestedMessage
	require.NoError(t, json.Unmarshal(c.tapped(requests).Body, &request))
	claim := attune.ExecutionClaimMessage{
		Installation: request.Installation, Execution: request.Execution, Attempt: request.Attempt, Worker: "thief",
	}

	thief := c.workerBrokerAs(c.brokerUser(rabbitmq.UserWorker+"-gpu"), "gpu")
	_, err := thief.Claim(t.Context(), claim)
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%v", err)
	require.InDelta(t, 1, c.refused(attune.KeyExecutionClaim, attune.RefusedPool), 0)
	report := attune.ExecutionCompletedMessage{
		Installation: request.Installation, Execution: request.Execution, Attempt: request.Attempt, Status: attune.ExecutionSucceeded,
	}
	require.NoError(t, thief.Report(t.Context(), report))
	c.eventually("the report is refused", func() bool { return c.refused(attune.KeyExecutionCompleted, attune.RefusedPool) == 1 })
	c.eventually("both are dead letters", func() bool { return c.queueDepth(c.dialBroker(), rabbitmq.QueueDead) == 2 })

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = c.workerBrokerAs(c.brokerUser(rabbitmq.UserWorker+"-gpu"), attune.DefaultPool).Claim(ctx, claim)
	require.Error(t, err, "the broker takes no claim for another pool from this user")

	c.start("--roles=worker")
	m := c.finish("e2e.step", 1, 1)
	require.Equal(t, map[string]int{"succeeded": 1}, m.Outcomes)
}
