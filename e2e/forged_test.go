package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// tap returns a copy of every message with a routing key that is published from now on.
func (c *cluster) tap(key string) <-chan amqp.Delivery {
	c.t.Helper()
	channel := c.dialBroker()
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	require.NoError(c.t, err)
	require.NoError(c.t, channel.QueueBind(queue.Name, key, rabbitmq.ExchangeOf(key), false, nil))
	deliveries, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	require.NoError(c.t, err)
	return deliveries
}

// tapped returns the next message of a tap.
func (c *cluster) tapped(tap <-chan amqp.Delivery) amqp.Delivery {
	c.t.Helper()
	select {
	case delivery := <-tap:
		return delivery
	case <-time.After(testTimeout):
		require.FailNow(c.t, "no message was published")
		return amqp.Delivery{}
	}
}

// publish publishes messages with the rights of attune's own user.
func (c *cluster) publish(channel *amqp.Channel, key string, bodies ...[]byte) {
	c.t.Helper()
	require.NoError(c.t, channel.Confirm(false))
	for _, body := range bodies {
		confirm, err := channel.PublishWithDeferredConfirmWithContext(c.t.Context(), rabbitmq.ExchangeOf(key), key, true, false,
			amqp.Publishing{ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body})
		require.NoError(c.t, err)
		require.True(c.t, confirm.Wait())
	}
}

// refused returns how many messages with a routing key were refused for a reason.
func (c *cluster) refused(key string, why attune.Refusal) float64 {
	c.t.Helper()
	return c.metric("attune_messages_refused_total", fmt.Sprintf("message=%q,reason=%q", key, why))
}

// altered returns a JSON object with some values replaced.
func (c *cluster) altered(body []byte, values map[string]any) []byte {
	c.t.Helper()
	var fields map[string]any
	require.NoError(c.t, json.Unmarshal(body, &fields))
	maps.Copy(fields, values)
	changed, err := json.Marshal(fields)
	require.NoError(c.t, err)
	return changed
}

// queueDepth returns how many messages wait in a queue.
func (c *cluster) queueDepth(channel *amqp.Channel, queue string) int {
	c.t.Helper()
	found, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(c.t, err)
	return found.Messages
}

// TestForgedRequest publishes requests that name another command, environment, parameters and action than the pack does.
func TestForgedRequest(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1), "actions/other.yaml": stepAction(1)})
	c.start("--roles=api,orchestrator,bridge")
	requests := c.tap(attune.KeyExecutionRequested(attune.DefaultPool))
	c.run("e2e.step", map[string]any{"n": 1})
	genuine := c.tapped(requests)
	require.NotContains(t, string(genuine.Body), "command", "a request is only a hint")
	require.NotContains(t, string(genuine.Body), "parameters")

	trace := filepath.Join(t.TempDir(), "trace")
	forgery := map[string]any{
		"command": []string{"sh", "-c", "echo forged > " + trace}, "env": []string{"ATTUNE_AMQP_URL"},
		"parameters": map[string]any{"n": 99}, "timeout": "1h", "action": "e2e.other", "enforcement_id": 4711,
	}
	var forged [][]byte
	for _, action := range []string{"e2e.other", "e2e.step", "no.such"} {
		forgery["action"] = action
		forged = append(forged, c.altered(genuine.Body, forgery), c.altered(genuine.Body, forgery))
	}
	channel := c.dialBroker()
	c.publish(channel, genuine.RoutingKey, forged...)
	c.start("--roles=worker")
	c.eventually("every request is settled", func() bool {
		return c.queueDepth(channel, rabbitmq.QueueExecutionRequested(attune.DefaultPool)) == 0
	})
	m := c.finish("e2e.step", 1, 1)
	require.Equal(t, map[string]int{"succeeded": 1}, m.Outcomes)
	require.Equal(t, []string{"+1", "-1"}, c.written(), "the pack's command ran once, with the parameters of the enforcement")
	require.NoFileExists(t, trace)
	require.Empty(t, c.executions("e2e.other"))
	require.Zero(t, c.queueDepth(channel, rabbitmq.QueueDead))
}

// ask publishes a copy of a request with a reply address of its own and returns the reply.
func (c *cluster) ask(request amqp.Delivery) amqp.Delivery {
	c.t.Helper()
	channel := c.dialBroker()
	replies, err := channel.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	require.NoError(c.t, err)
	require.NoError(c.t, channel.PublishWithContext(c.t.Context(), rabbitmq.ExchangeOf(request.RoutingKey), request.RoutingKey, true, false,
		amqp.Publishing{Body: request.Body, ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "1"}))
	return c.tapped(replies)
}

// TestForgedMessages plays an attacker who may read and write everything on the broker, while a worker runs an action.
func TestForgedMessages(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start("--roles=api,orchestrator,bridge", "--lease=10s")
	claims, renewals := c.tap(attune.KeyOfPool(attune.KeyExecutionClaim, "*")), c.tap(attune.KeyOfPool(attune.KeyExecutionRenew, "*"))
	honest := c.start("--roles=worker")
	id := c.run("e2e.step", map[string]any{"n": 1, "ms": 600_000, "word": "swordfish"})
	claim, renewal := c.tapped(claims), c.tapped(renewals)
	var signed attune.Signed[attune.ExecutionClaimMessage]
	require.NoError(t, json.Unmarshal(claim.Body, &signed))
	signed.Arrived(claim.RoutingKey)
	claimed, err := attune.Verify(signed)
	require.NoError(t, err)
	c.eventually("the action runs", func() bool { return len(c.written()) == 1 })
	report := attune.ExecutionCompletedMessage{
		Installation: claimed.Installation, Execution: claimed.Execution, Attempt: claimed.Attempt, Worker: claimed.Worker,
		Status: attune.ExecutionSucceeded, Stdout: "forged",
	}
	attempts := []attune.AttemptID{{Installation: claimed.Installation, Execution: claimed.Execution, Attempt: claimed.Attempt}}

	// Messages that are signed with another key, under the name of the worker.
	attacker := c.workerBroker()
	decision, err := attacker.Claim(t.Context(), claimed)
	require.NoError(t, err)
	require.Equal(t, attune.ExecutionClaimReply{Execution: claimed.Execution, Attempt: 1, Status: attune.ExecutionRunning}, decision.Reply)
	_, err = attacker.Renew(t.Context(), attune.ExecutionRenewMessage{Worker: claimed.Worker, Attempts: attempts})
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%v", err)
	require.NoError(t, attacker.Report(t.Context(), report))

	// Messages without a signature, with the signature of another message, and with another payload.
	unsigned, err := json.Marshal(report)
	require.NoError(t, err)
	channel := c.dialBroker()
	c.publish(channel, attune.KeyOfPool(attune.KeyExecutionCompleted, attune.DefaultPool), unsigned, claim.Body)
	c.publish(channel, claim.RoutingKey, c.altered(claim.Body, map[string]any{"payload": map[string]any{"execution_id": 1}}))
	c.publish(channel, renewal.RoutingKey, c.altered(renewal.Body, map[string]any{"payload": map[string]any{"worker": "w"}}))

	c.eventually("what proves a forgery is a dead letter", func() bool { return c.queueDepth(channel, rabbitmq.QueueDead) == 6 })
	for key, counts := range map[string]map[attune.Refusal]float64{
		attune.KeyExecutionClaim:     {attune.RefusedKey: 1, attune.RefusedSignature: 1},
		attune.KeyExecutionRenew:     {attune.RefusedKey: 1, attune.RefusedSignature: 1},
		attune.KeyExecutionCompleted: {attune.RefusedKey: 1, attune.RefusedSignature: 2},
	} {
		for why, count := range counts {
			require.InDelta(t, count, c.refused(key, why), 0, "%s %s", key, why)
		}
	}

	// A copy of the claim, with another reply address.
	var reply attune.SignedReply
	require.NoError(t, json.Unmarshal(c.ask(claim).Body, &reply))
	var granted attune.ExecutionClaimReply
	require.NoError(t, attune.VerifyReply([]attune.BridgeKey{c.bridgeKey().Public()}, signed, reply, &granted))
	require.True(t, granted.Granted)
	require.NotContains(t, string(reply.Payload), "swordfish", "only the worker can open the input")

	// Cancels that no bridge has signed.
	cancel := attune.ExecutionCancelMessage{Installation: claimed.Installation, Execution: claimed.Execution, Attempt: claimed.Attempt}
	foreignKey, err := attune.ParseBridgeSigningKey(attune.NewBridgeSigningKey())
	require.NoError(t, err)
	foreign, err := attune.SignCancel(foreignKey, cancel)
	require.NoError(t, err)
	for _, forged := range []any{cancel, foreign} {
		body, err := json.Marshal(forged)
		require.NoError(t, err)
		c.publish(channel, attune.KeyExecutionCancel, body)
	}
	c.eventually("the worker has logged both", func() bool {
		return strings.Count(honest.Output(), "a message in the name of a bridge was not believed") == 2
	})
	require.Equal(t, attune.ExecutionRunning, c.executionOf(id).Status)

	// Copies of all claims and renewals do not keep the attempt alive when its worker has died.
	honest.kill()
	copies := [][]byte{renewal.Body}
	for len(renewals) > 0 {
		copies = append(copies, (<-renewals).Body)
	}
	c.eventually("the lease expires", func() bool {
		c.publish(channel, renewal.RoutingKey, copies...)
		c.publish(channel, claim.RoutingKey, claim.Body)
		return c.executionOf(id).Status == attune.ExecutionAbandoned
	})
	require.Positive(t, c.refused(attune.KeyExecutionRenew, attune.RefusedLate))
	require.Equal(t, 6, c.queueDepth(channel, rabbitmq.QueueDead), "a late renewal is no dead letter")
	c.eventually("the metric has the dead letters", func() bool { return c.metric("attune_dead_letters", "") == 6 })
	require.Empty(t, c.executionOf(id).Stdout)
}
