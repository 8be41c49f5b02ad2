package doctor

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// timeout bounds every wait of a test.
const timeout = 2 * time.Minute

const tick = 20 * time.Millisecond

func TestMain(m *testing.M) { testenv.Main(m) }

// newRabbitMQ returns a broker with the queues of the pool "default". The database has actions of that pool and of another one.
func newRabbitMQ(t *testing.T) RabbitMQ {
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
	return RabbitMQ{URL: url, Conn: conn, Pools: packs}
}

func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	b := newRabbitMQ(t)

	version, err := b.version(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+`, version)
	_, err = RabbitMQ{URL: "amqp://guest:hunter2@127.0.0.1:1/"}.version(t.Context())
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	require.NotContains(t, err.Error(), "hunter2")

	found, err := b.queues(t.Context())
	require.NoError(t, err)
	byName := map[string]Queue{}
	for _, queue := range found {
		byName[queue.Name] = queue
	}
	const bridge = "a process with the role bridge"
	require.Equal(t, Queue{Name: rabbitmq.QueueExecutionClaim, Reader: bridge}, byName[rabbitmq.QueueExecutionClaim])
	require.Equal(t, Queue{Name: rabbitmq.QueueDead}, byName[rabbitmq.QueueDead])
	require.Equal(t, Queue{Name: "attune.execution.requested.default", Reader: "a worker", Pool: "default"},
		byName["attune.execution.requested.default"])
	require.Equal(t, Queue{Name: "attune.execution.requested.gpu", Missing: true, Reader: "a worker", Pool: "gpu"},
		byName["attune.execution.requested.gpu"])

	none, err := b.deadLetters(t.Context())
	require.NoError(t, err)
	require.Equal(t, DeadLetters{}, none)
	publisher := rabbitmq.NewPublisher(b.Conn)
	wrong := rabbitmq.Envelope{RoutingKey: attune.KeyEnforcementCreated, MessageID: "m-1", Body: []byte(`not json`)}
	require.NoError(t, publisher.PublishRaw(t.Context(), wrong))
	ctx, cancel := context.WithCancel(t.Context())
	consumer := rabbitmq.NewConsumer(b.Conn, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: 1, Publisher: publisher,
	}, func(context.Context, []attune.EnforcementCreatedMessage) error { return nil })
	ended := make(chan struct{})
	go func() { defer close(ended); _ = consumer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	var dead DeadLetters // kept from the reading that found it: until the message is requeued, another reading finds none
	require.Eventually(t, func() bool {
		dead, err = b.deadLetters(t.Context())
		return err == nil && dead.Count == 1 && dead.Oldest != ""
	}, timeout, tick)
	require.Contains(t, dead.Oldest, `message "m-1" of queue "attune.enforcement.created", invalid`)
	require.Eventually(t, func() bool { // the count of a busy broker may lag
		found, err = b.queues(t.Context())
		return err == nil && slices.ContainsFunc(found, func(queue Queue) bool {
			return queue.Name == rabbitmq.QueueEnforcementCreated && queue.Consumers == 1
		})
	}, timeout, tick, "found %+v", &found)
}

func TestTemporalServer(t *testing.T) {
	t.Parallel()
	address, name := testenv.Temporal(t)
	c := testenv.Dial(t, address, name)
	e := TemporalServer{Client: c, Namespace: name}

	engine, err := e.engine(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, engine.Namespace)
	require.NotEmpty(t, engine.Server)
	require.Positive(t, engine.Retention)
	_, err = TemporalServer{Client: c, Namespace: "nowhere"}.engine(t.Context())
	require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
	require.ErrorContains(t, err, "TEMPORAL_NAMESPACE")

	read := e.pollers(workflows.QueueTaskQueue)
	forWorkflows, forActivities, err := read(t.Context())
	require.NoError(t, err)
	require.Empty(t, forWorkflows)
	require.Empty(t, forActivities)

	w := worker.New(c, workflows.QueueTaskQueue, worker.Options{})
	workflows.Register(w)
	w.RegisterActivity(func() error { return nil })
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	require.Eventually(t, func() bool {
		forWorkflows, forActivities, err = read(t.Context())
		return err == nil && len(forWorkflows) > 0 && len(forActivities) > 0
	}, timeout, tick)
	require.WithinDuration(t, time.Now(), forWorkflows[0], 2*timeout)
}
