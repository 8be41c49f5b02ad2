package fxmodules

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api/doctor"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// newBrokerSight is a broker with what attune declares for the pool "default", and actions in that and another one.
func newBrokerSight(t *testing.T) brokerSight {
	t.Helper()
	url := testenv.AMQP(t)
	conn := rabbitmq.NewConnection(rabbitmq.Config{URL: url, Name: "test", Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	require.NoError(t, conn.WaitReady(t.Context()))
	topology, err := rabbitmq.NewTopology("default")
	require.NoError(t, err)
	require.NoError(t, rabbitmq.Declare(t.Context(), conn, topology))

	packs := postgres.NewPacks(postgrestest.New(t))
	_, err = packs.Install(t.Context(), []attune.Pack{{Name: "demo", Digest: "1", Actions: []attune.Action{
		{Ref: "demo.a", Command: []string{"true"}, Timeout: time.Second, Pool: "default"},
		{Ref: "demo.b", Command: []string{"true"}, Timeout: time.Second, Pool: "gpu"},
	}}})
	require.NoError(t, err)
	return brokerSight{url: url, conn: conn, packs: packs}
}

func TestBrokerSight(t *testing.T) {
	t.Parallel()
	b := newBrokerSight(t)

	version, err := b.version(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+`, version)
	_, err = brokerSight{url: "amqp://guest:hunter2@127.0.0.1:1/"}.version(t.Context())
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	require.NotContains(t, err.Error(), "hunter2")

	found, err := b.queues(t.Context())
	require.NoError(t, err)
	byName := map[string]doctor.Queue{}
	for _, queue := range found {
		byName[queue.Name] = queue
	}
	const bridge = "a process with the role bridge"
	require.Equal(t, doctor.Queue{Name: rabbitmq.QueueExecutionClaim, Reader: bridge}, byName[rabbitmq.QueueExecutionClaim])
	require.Equal(t, doctor.Queue{Name: rabbitmq.QueueDead}, byName[rabbitmq.QueueDead])
	require.Equal(t, doctor.Queue{Name: "attune.execution.requested.default", Reader: "a worker", Pool: "default"},
		byName["attune.execution.requested.default"])
	require.Equal(t, doctor.Queue{Name: "attune.execution.requested.gpu", Missing: true, Reader: "a worker", Pool: "gpu"},
		byName["attune.execution.requested.gpu"])

	none, err := b.deadLetters(t.Context())
	require.NoError(t, err)
	require.Equal(t, doctor.DeadLetters{}, none)
	publisher := newPublisher(brokers{consume: b.conn, publish: b.conn})
	rows := []attune.OutboxRow{{ID: 1, RoutingKey: attune.KeyEnforcementCreated, MessageID: "m-1", Body: []byte(`not json`)}}
	require.NoError(t, publisher.PublishRows(t.Context(), rows))
	ctx, cancel := context.WithCancel(t.Context())
	consumer := rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: 1, Publisher: publisher.Publisher,
	}, func(context.Context, []attune.EnforcementCreatedMessage) error { return nil })
	ended := make(chan struct{})
	go func() { defer close(ended); _ = consumer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	var dead doctor.DeadLetters // of the look that saw it: while that one gives it back, another may see none
	require.Eventually(t, func() bool {
		dead, err = b.deadLetters(t.Context())
		return err == nil && dead.Count == 1 && dead.Oldest != ""
	}, patience, tick)
	require.Contains(t, dead.Oldest, `message "m-1" of queue "attune.enforcement.created", invalid`)
	require.Eventually(t, func() bool { // a busy broker may say that there are none
		found, err = b.queues(t.Context())
		return err == nil && slices.ContainsFunc(found, func(queue doctor.Queue) bool {
			return queue.Name == rabbitmq.QueueEnforcementCreated && queue.Consumers == 1
		})
	}, patience, tick, "found %+v", &found)
}

func TestEngineSight(t *testing.T) {
	t.Parallel()
	address, name := testenv.Temporal(t)
	c := testenv.Dial(t, address, name)
	e := engineSight{client: c, namespace: name}

	seen, err := e.look(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, seen.Namespace)
	require.NotEmpty(t, seen.Server)
	require.Positive(t, seen.Retention)
	_, err = engineSight{client: c, namespace: "nowhere"}.look(t.Context())
	require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
	require.ErrorContains(t, err, "TEMPORAL_NAMESPACE")

	look := e.pollers(workflows.QueueTaskQueue)
	forWorkflows, forActivities, err := look(t.Context())
	require.NoError(t, err)
	require.Empty(t, forWorkflows)
	require.Empty(t, forActivities)

	w := worker.New(c, workflows.QueueTaskQueue, worker.Options{})
	workflows.Register(w)
	w.RegisterActivity(func() error { return nil })
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	require.Eventually(t, func() bool {
		forWorkflows, forActivities, err = look(t.Context())
		return err == nil && len(forWorkflows) > 0 && len(forActivities) > 0
	}, patience, tick)
	require.WithinDuration(t, time.Now(), forWorkflows[0].LastSeen, 2*patience)
}
