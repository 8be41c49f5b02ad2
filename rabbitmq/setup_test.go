package rabbitmq_test

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// testTimeout bounds every wait of a test.
const testTimeout = 2 * time.Minute

const tick = 10 * time.Millisecond

// quickRetry replaces RetryDelay in tests.
const quickRetry = 100 * time.Millisecond

// testBundle is a declared vhost with one connection for consuming and a publisher on another.
type testBundle struct {
	url       string
	logger    *slog.Logger
	logged    *record[string] // the messages of logger
	conn      *rabbitmq.Connection
	publisher *rabbitmq.Publisher
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	return setupAt(t, testenv.AMQP(t))
}

func setupAt(t *testing.T, url string) *testBundle {
	t.Helper()
	logged := &record[string]{}
	text := slog.NewTextHandler(testenv.Output(t), nil)
	b := &testBundle{url: url, logger: slog.New(recorder{text, logged}), logged: logged}
	b.conn = b.connect(t, b.url)
	b.publisher = rabbitmq.NewPublisher(b.connect(t, b.url))
	require.NoError(t, rabbitmq.Declare(t.Context(), b.conn, topology(t)))
	return b
}

// topology returns the production topology with one pool and a short retry delay.
func topology(t *testing.T) rabbitmq.Topology {
	t.Helper()
	topology, err := rabbitmq.NewTopology("default")
	require.NoError(t, err)
	for _, queue := range topology.Queues {
		if strings.HasPrefix(queue.Name, "attune.retry.") {
			queue.Arguments["x-message-ttl"] = quickRetry.Milliseconds()
		}
	}
	return topology
}

// connect runs a connection until the test ends and waits until it is up.
func (b *testBundle) connect(t *testing.T, url string) *rabbitmq.Connection {
	t.Helper()
	conn := rabbitmq.NewConnection(rabbitmq.Config{URL: url, Name: t.Name(), Logger: b.logger})
	b.run(t, conn.Run)
	require.NoError(t, conn.WaitReady(deadline(t)))
	return conn
}

// run runs loop until the test ends or stop is called, and checks that loop returns nil.
func (b *testBundle) run(t *testing.T, loop func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(testTimeout):
			require.Fail(t, "the loop does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// consume runs a consumer of enforcement.created.
func (b *testBundle) consume(
	t *testing.T, conn *rabbitmq.Connection, maxBatch int,
	handle func(context.Context, []attune.EnforcementCreatedMessage) error,
) (stop func()) {
	t.Helper()
	consumer := rabbitmq.NewConsumer(conn, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: maxBatch, Publisher: b.publisher,
	}, handle)
	return b.run(t, consumer.Run)
}

// publish publishes one enforcement.created per id, in order.
func (b *testBundle) publish(t *testing.T, ids ...attune.EnforcementID) {
	t.Helper()
	require.NoError(t, b.publisher.Publish(t.Context(), created(ids...)...))
}

func (b *testBundle) publishRaw(t *testing.T, key, id, body string) {
	t.Helper()
	require.NoError(t, b.publisher.PublishRaw(t.Context(), rabbitmq.Envelope{RoutingKey: key, MessageID: id, Body: []byte(body)}))
}

// raw opens a plain AMQP channel.
func (b *testBundle) raw(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// requireDepth waits until a queue has the given number of ready messages.
func (b *testBundle) requireDepth(t *testing.T, queue string, ready int) {
	t.Helper()
	var last rabbitmq.Depth
	require.Eventually(t, func() bool {
		depth, err := rabbitmq.Inspect(t.Context(), b.conn, queue)
		last = depth
		return err == nil && depth.Ready == ready
	}, testTimeout, tick, "queue %s: want %d ready, last %+v", queue, ready, &last)
}

// deadLetters waits for count dead letters and returns them.
func (b *testBundle) deadLetters(t *testing.T, count int) []rabbitmq.DeadLetter {
	t.Helper()
	b.requireDepth(t, rabbitmq.QueueDead, count)
	letters, err := rabbitmq.DeadLetters(t.Context(), b.conn, count+1)
	require.NoError(t, err)
	require.Len(t, letters, count)
	return letters
}

func created(ids ...attune.EnforcementID) []attune.Message {
	messages := make([]attune.Message, 0, len(ids))
	for _, id := range ids {
		messages = append(messages, attune.EnforcementCreatedMessage{Enforcement: id})
	}
	return messages
}

// sequence returns from, from+1, … to.
func sequence(from, to attune.EnforcementID) []attune.EnforcementID {
	var ids []attune.EnforcementID
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// deadline returns the test's context, bounded by testTimeout.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// receive returns the next value of c.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(testTimeout):
		require.Fail(t, "no value received")
		panic("unreachable")
	}
}

// record is a list that a handler writes and a test reads.
type record[T any] struct {
	mu     sync.Mutex
	values []T
}

func (r *record[T]) add(values ...T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = append(r.values, values...)
}

func (r *record[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]T(nil), r.values...)
}

func (r *record[T]) requireLen(t *testing.T, want int) []T {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.all()) >= want }, testTimeout, tick, "want %d values", want)
	return r.all()
}

// recorder is a log handler that also records the messages.
type recorder struct {
	slog.Handler
	messages *record[string]
}

func (r recorder) Handle(ctx context.Context, entry slog.Record) error {
	r.messages.add(entry.Message)
	return r.Handler.Handle(ctx, entry)
}

func (r recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return recorder{r.Handler.WithAttrs(attrs), r.messages}
}

// requireLogged waits until a message was logged the given number of times.
func (b *testBundle) requireLogged(t *testing.T, message string, times int) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := 0
		for _, logged := range b.logged.all() {
			if logged == message {
				found++
			}
		}
		return found >= times
	}, testTimeout, tick, "log has no %d× %q", times, message)
}

func ids(messages []attune.EnforcementCreatedMessage) []attune.EnforcementID {
	list := make([]attune.EnforcementID, len(messages))
	for i, message := range messages {
		list[i] = message.Enforcement
	}
	return list
}

// throughProxy returns the bundle's URL with a proxy in between.
func (b *testBundle) throughProxy(t *testing.T) (string, *testenv.Proxy) {
	t.Helper()
	address, err := url.Parse(b.url)
	require.NoError(t, err)
	proxy := testenv.NewProxy(t, address.Host)
	through := proxy.Through(t, b.url)
	return through, proxy
}
