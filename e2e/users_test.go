package e2e_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
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
	_, err = thief.Renew(t.Context(), attune.ExecutionRenewMessage{Worker: "thief", Attempts: []attune.AttemptID{
		{Installation: request.Installation, Execution: request.Execution, Attempt: request.Attempt},
	}})
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%v", err)
	require.InDelta(t, 1, c.refused(attune.KeyExecutionRenew, attune.RefusedPool), 0)
	c.eventually("all are dead letters", func() bool { return c.queueDepth(c.dialBroker(), rabbitmq.QueueDead) == 3 })

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = c.workerBrokerAs(c.brokerUser(rabbitmq.UserWorker+"-gpu"), attune.DefaultPool).Claim(ctx, claim)
	require.Error(t, err, "the broker takes no claim for another pool from this user")

	claim.Pool = attune.DefaultPool
	c.claimThroughADeadLetter(c.brokerUser(rabbitmq.UserWorker+"-gpu"), claim)

	c.start("--roles=worker")
	m := c.finish("e2e.step", 1, 1)
	require.Equal(t, map[string]int{"succeeded": 1}, m.Outcomes)
}

// claimThroughADeadLetter attacks the pool of a claim with the user of the pool gpu. A queue of the attacker would dead-letter a copy of the
// claim with the routing key of the other pool, because the broker checks no topic right of a dead letter.
func (c *cluster) claimThroughADeadLetter(user string, claim attune.ExecutionClaimMessage) {
	c.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(c.t, err)
	replyKey, err := attune.NewReplyKey()
	require.NoError(c.t, err)
	claim.Serial, claim.ReplyKey = 1, replyKey.Public()
	signed, err := attune.Sign(key, claim)
	require.NoError(c.t, err)
	body, err := json.Marshal(signed)
	require.NoError(c.t, err)
	conn, err := amqp.Dial(user)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = conn.Close() })
	open := func() *amqp.Channel {
		channel, err := conn.Channel()
		require.NoError(c.t, err)
		return channel
	}
	queue := func(channel *amqp.Channel, exchange string) (amqp.Queue, error) {
		return channel.QueueDeclare("", false, true, true, false, amqp.Table{
			"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": claim.RoutingKey(), "x-message-ttl": int32(0),
		})
	}
	_, err = queue(open(), rabbitmq.Exchange)
	require.Error(c.t, err, "this user may not write to the exchange of requests and cancels")

	channel := open()
	own, err := queue(channel, rabbitmq.WorkersExchange)
	require.NoError(c.t, err)
	require.NoError(c.t, channel.QueueBind(own.Name, attune.KeyExecutionCancel, rabbitmq.Exchange, false, nil))
	replies, err := channel.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	require.NoError(c.t, err)
	send := func(channel *amqp.Channel, exchange, key string, headers amqp.Table, replyTo string) {
		require.NoError(c.t, channel.PublishWithContext(c.t.Context(), exchange, key, false, false,
			amqp.Publishing{ReplyTo: replyTo, CorrelationId: "1", Headers: headers, Body: body}))
	}
	send(channel, rabbitmq.WorkersExchange, attune.KeyOfPool(attune.KeyExecutionClaim, "gpu"),
		amqp.Table{"BCC": []any{attune.KeyExecutionCancel}}, "amq.rabbitmq.reply-to")
	require.NotContains(c.t, string(c.tapped(replies).Body), `"granted":true`)
	refused := c.refused(attune.KeyExecutionClaim, attune.RefusedSignature)
	require.InDelta(c.t, 1, refused, 0, "the claim has arrived once, with the key of the attacker's pool")

	// A claim that reaches the attacker's queue in another way comes back with the key of the other pool.
	send(c.dialBroker(), rabbitmq.Exchange, attune.KeyExecutionCancel, nil, "")
	c.eventually("the dead-lettered claim is refused", func() bool {
		return c.refused(attune.KeyExecutionClaim, attune.RefusedSignature) == 2
	})
}
