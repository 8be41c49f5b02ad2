package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// TestPublisher_FullQueue publishes more reports than the queue takes, again and again like a worker, and loses none.
func TestPublisher_FullQueue(t *testing.T) {
	t.Parallel()
	const reports = 50
	small := topology(t)
	for _, queue := range small.Queues {
		if queue.Name == rabbitmq.QueueExecutionCompleted {
			queue.Arguments["x-max-length-bytes"] = int64(1000)
		}
	}
	b := &testBundle{url: testenv.AMQP(t), logged: &record[string]{}}
	b.conn = b.connect(t, b.url)
	b.publisher = rabbitmq.NewPublisher(b.connect(t, b.url))
	require.NoError(t, rabbitmq.Declare(t.Context(), b.conn, small))
	report := func(id attune.ExecutionID) error {
		return b.publisher.Publish(t.Context(),
			attune.ExecutionCompletedMessage{Execution: id, Attempt: 1, Status: attune.ExecutionSucceeded, Pool: "gpu"})
	}
	var refused attune.ExecutionID
	for id := attune.ExecutionID(1); id <= reports && refused == 0; id++ {
		if err := report(id); err != nil {
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker tries again")
			refused = id
		}
	}
	require.NotZero(t, refused, "the queue is full")

	var seen record[attune.ExecutionID]
	b.run(t, rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionCompleted, Publisher: b.publisher},
		func(_ context.Context, batch []attune.ExecutionCompletedMessage) error {
			for _, m := range batch {
				seen.add(m.Execution)
			}
			return nil
		}).Run)
	for id := refused; id <= reports; id++ {
		require.Eventually(t, func() bool { return report(id) == nil }, testTimeout, tick)
	}
	require.Eventually(t, func() bool {
		distinct := map[attune.ExecutionID]bool{}
		for _, id := range seen.all() {
			distinct[id] = true
		}
		return len(distinct) == reports
	}, testTimeout, tick, "every report arrives")
	b.requireDepth(t, rabbitmq.QueueDead, 0)
}
