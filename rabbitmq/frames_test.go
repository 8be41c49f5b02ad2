package rabbitmq_test

import (
	"context"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// nested returns a table that has depth tables in each other.
func nested(depth int) amqp.Table {
	table := amqp.Table{"z": "end"}
	for range depth {
		table = amqp.Table{"a": table}
	}
	return table
}

// TestConsumer_Poison receives messages of a worker that the client library cannot read, or whose dead letter it could not write.
func TestConsumer_Poison(t *testing.T) {
	t.Parallel()
	b := setup(t)
	limited := rabbitmq.NewConnection(rabbitmq.Config{URL: b.url, Name: t.Name(), Logger: b.logger, MaxBody: 1 << 20})
	b.run(t, limited.Run)
	require.NoError(t, limited.WaitReady(deadline(t)))
	var seen record[string]
	b.run(t, rabbitmq.NewConsumer(limited, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionCompleted, Publisher: b.publisher},
		func(_ context.Context, batch []attune.Signed[attune.ExecutionCompletedMessage]) error {
			for _, signed := range batch {
				seen.add(signed.RoutingKey())
			}
			return nil
		}).Run)
	b.requireLogged(t, "consuming", 1)

	conn, err := amqp.Dial(asUser(t, b.url, poolWorker(t)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	const key = attune.KeyExecutionCompleted + ".gpu"
	send := func(id string, headers amqp.Table, body string) {
		require.NoError(t, ch.PublishWithContext(t.Context(), rabbitmq.WorkersExchange, key, false, false,
			amqp.Publishing{MessageId: id, ContentType: "application/json", Headers: headers, Body: []byte(body)}))
	}
	many := make([]any, 20_000)
	send("deep", nested(40), "{")
	send("large headers", amqp.Table{"a": strings.Repeat("x", 130_950)}, "{")
	send("long list", amqp.Table{"a": many}, "{")
	send("both", amqp.Table{"a": strings.Repeat("x", 20_000)}, strings.Repeat("x", 3<<20))
	send("large body", amqp.Table{"a": "kept"}, strings.Repeat("x", 5<<20))
	send("arbitrary headers", amqp.Table{"a": strings.Repeat("x", 7_000), "x-a": nested(5)}, "{")
	send("deep but readable", nested(40), "{}")
	send("honest", amqp.Table{"a": "small"}, "{}")

	require.Equal(t, []string{"", key}, seen.requireLen(t, 2), "headers that were dropped may have said that the message is a dead letter")
	letters := b.deadLetters(t, 6)
	for i, id := range []string{"deep", "large headers", "long list", "both", "large body", "arbitrary headers"} {
		require.Equal(t, id, letters[i].MessageID)
		require.Equal(t, key, letters[i].RoutingKey)
		require.Equal(t, "invalid", letters[i].Reason)
	}
	require.Equal(t, `message "large body" has a body of 5242880 bytes, larger than any message of its type`, letters[4].Error)
	require.Empty(t, letters[3].Body)
	require.Empty(t, letters[4].Body)
	raw, found, err := b.raw(t).Get(rabbitmq.QueueDead, false)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "deep", raw.MessageId)
	require.NotContains(t, raw.Headers, "a", "a dead letter has no header of the sender")
	b.requireLogged(t, "consuming", 1)
	for _, line := range b.logged.all() {
		require.NotContains(t, []string{"stopped consuming", "broker connection is down"}, line)
	}
	b.requireDepth(t, rabbitmq.QueueExecutionCompleted, 0)
}
