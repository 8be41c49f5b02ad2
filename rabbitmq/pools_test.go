package rabbitmq_test

import (
	"log/slog"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

func TestPoolPublisher(t *testing.T) {
	t.Parallel()
	topology, err := rabbitmq.NewTopology()
	require.NoError(t, err)
	config := rabbitmq.Config{URL: testenv.AMQP(t), Name: "test", Logger: slog.New(slog.DiscardHandler)}
	connections, err := rabbitmq.Connect(t.Context(), config, topology)
	require.NoError(t, err)
	t.Cleanup(connections.Close)
	publisher := rabbitmq.NewPoolPublisher(connections.Publish)

	request := attune.ExecutionRequestedMessage{Execution: 1, Attempt: 1, Pool: "gpu"}
	require.NoError(t, publisher.Publish(t.Context(), request), "no worker of the pool has run")
	require.Eventually(t, func() bool { // a busy broker may report an empty queue
		depth, err := rabbitmq.Inspect(t.Context(), connections.Consume, rabbitmq.QueueExecutionRequested("gpu"))
		return err == nil && depth.Ready == 1
	}, testTimeout, tick, "the request waits for a worker")

	_, err = rabbitmq.Inspect(t.Context(), connections.Consume, rabbitmq.QueueExecutionRequested("small"))
	require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
	for pool, want := range map[string]int{"gpu": 1, "small": 0} {
		waiting, err := publisher.Waiting(t.Context(), pool)
		require.NoError(t, err)
		require.Equal(t, want, waiting)
	}
	deleteQueue(t, config.URL, rabbitmq.QueueExecutionRequested("gpu"))
	waiting, err := publisher.Waiting(t.Context(), "gpu")
	require.NoError(t, err)
	require.Zero(t, waiting)
	require.NoError(t, publisher.Publish(t.Context(), request), "a queue that was deleted is declared again")

	err = publisher.Publish(t.Context(), attune.ExecutionRequestedMessage{Execution: 2, Attempt: 1, Pool: "not a name"})
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

func deleteQueue(t *testing.T, address, name string) {
	t.Helper()
	conn, err := amqp.Dial(address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	channel, err := conn.Channel()
	require.NoError(t, err)
	_, err = channel.QueueDelete(name, false, false, false)
	require.NoError(t, err)
}

func TestConnect(t *testing.T) {
	t.Parallel()
	topology, err := rabbitmq.NewTopology()
	require.NoError(t, err)

	t.Run("closed connections are disconnected", func(t *testing.T) {
		t.Parallel()
		connections, err := rabbitmq.Connect(t.Context(), rabbitmq.Config{URL: testenv.AMQP(t)}, topology)
		require.NoError(t, err)
		require.NoError(t, connections.Consume.Ping(t.Context()))
		require.NoError(t, connections.Publish.Ping(t.Context()))
		connections.Close()
		require.Error(t, connections.Consume.Ping(t.Context()))
		require.Error(t, connections.Publish.Ping(t.Context()))
	})

	t.Run("an unreadable URL is an error at once", func(t *testing.T) {
		t.Parallel()
		_, err := rabbitmq.Connect(t.Context(), rabbitmq.Config{URL: "not a URL"}, topology)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})
}
