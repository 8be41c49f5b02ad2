package rabbitmq_test

import (
	"context"
	"io"
	"log/slog"
	"net"
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

// patience is the deadline of everything a test waits for.
const patience = 2 * time.Minute

const tick = 10 * time.Millisecond

// quickRetry replaces the delay of the retry queues in tests.
const quickRetry = 100 * time.Millisecond

// testBundle is a declared vhost with a connection to consume on and a publisher on another one.
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

// topology is the real one with one pool and a short retry delay.
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

// run runs loop until the test ends, or until stop is called, and checks that it ends well.
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
		case <-time.After(patience):
			require.Fail(t, "loop does not end")
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

// raw is a plain channel for what the package does not do.
func (b *testBundle) raw(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// requireDepth waits until a queue holds ready messages.
func (b *testBundle) requireDepth(t *testing.T, queue string, ready int) {
	t.Helper()
	var last rabbitmq.Depth
	require.Eventually(t, func() bool {
		depth, err := rabbitmq.Inspect(t.Context(), b.conn, queue)
		last = depth
		return err == nil && depth.Ready == ready
	}, patience, tick, "queue %s: want %d ready, last %+v", queue, ready, &last)
}

// deadLetters waits until there are count of them.
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

// sequence is from, from+1, … to.
func sequence(from, to attune.EnforcementID) []attune.EnforcementID {
	var ids []attune.EnforcementID
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// deadline is the test's context with the test's patience.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive returns the next value of c.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(patience):
		require.Fail(t, "nothing received")
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
	require.Eventually(t, func() bool { return len(r.all()) >= want }, patience, tick, "want %d values", want)
	return r.all()
}

// recorder is a log handler that keeps the messages too.
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

// requireLogged waits until the log has had a message a number of times.
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
	}, patience, tick, "log has no %d× %q", times, message)
}

func ids(messages []attune.EnforcementCreatedMessage) []attune.EnforcementID {
	list := make([]attune.EnforcementID, len(messages))
	for i, message := range messages {
		list[i] = message.Enforcement
	}
	return list
}

// proxy stands between a connection and the broker.
type proxy struct {
	listener net.Listener
	target   string

	flow  sync.RWMutex // held while frozen
	mu    sync.Mutex
	conns []net.Conn
}

// throughProxy returns the bundle's URL with a proxy in between.
func (b *testBundle) throughProxy(t *testing.T) (string, *proxy) {
	t.Helper()
	address, err := url.Parse(b.url)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: address.Host}
	go p.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	address.Host = listener.Addr().String()
	return address.String(), p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go p.copy(client, server)
		go p.copy(server, client)
	}
}

func (p *proxy) copy(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	_, _ = io.Copy(writer(func(data []byte) (int, error) {
		p.flow.RLock()
		defer p.flow.RUnlock()
		return to.Write(data)
	}), from)
}

// cut ends every connection that is open now.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// freeze lets nothing pass until the returned function is called.
func (p *proxy) freeze() (thaw func()) {
	p.flow.Lock()
	return sync.OnceFunc(p.flow.Unlock)
}

type writer func([]byte) (int, error)

func (w writer) Write(data []byte) (int, error) { return w(data) }
