package rabbitmq_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

// as returns the address of a vhost for a new user with the rights of a user of attune.
func as(t *testing.T, address, name string) string {
	t.Helper()
	for _, user := range rabbitmq.Users() {
		if user.Name == name {
			return asUser(t, address, user)
		}
	}
	require.FailNow(t, "no user "+name)
	return ""
}

// asUser is as with the rights of any user.
func asUser(t *testing.T, address string, user rabbitmq.User) string {
	t.Helper()
	rights := testenv.AMQPRights{Configure: user.Configure, Write: user.Write, Read: user.Read}
	for _, topic := range user.Topics {
		rights.Topics = append(rights.Topics, testenv.AMQPTopicRights(topic))
	}
	return testenv.AMQPUser(t, address, rights)
}

// poolWorker is the user of the workers of the pools gpu and small.
func poolWorker(t *testing.T) rabbitmq.User {
	t.Helper()
	user, err := rabbitmq.WorkerUser("attune-worker-gpu", "small", "gpu", "gpu")
	require.NoError(t, err)
	return user
}

// TestUsers_Enough does what each part of attune does, as its user.
func TestUsers_Enough(t *testing.T) {
	t.Parallel()
	address := testenv.AMQP(t)
	bridge := setupAt(t, as(t, address, rabbitmq.UserBridge)) // declares the topology
	bridge.respond(t, bridge.conn, grantAll)
	var admitted, reported record[attune.EnforcementID]
	bridge.consume(t, bridge.conn, 10, func(_ context.Context, batch createdBatch) error {
		admitted.add(ids(batch)...)
		if batch[0].Enforcement == 2 {
			return attune.Errorf(attune.CodeInvalid, "for the dead-letter queue")
		}
		return nil
	})
	bridge.publish(t, 1)
	require.Equal(t, attune.EnforcementID(1), admitted.requireLen(t, 1)[0])
	bridge.publish(t, 2)
	bridge.deadLetters(t, 1)
	bridge.run(t, rabbitmq.NewConsumer(bridge.conn, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueExecutionCompleted, Publisher: bridge.publisher,
	}, func(_ context.Context, batch []attune.ExecutionCompletedMessage) error {
		reported.add(attune.EnforcementID(batch[0].Execution))
		if len(reported.all()) == 1 {
			return errors.New("for the retry queue")
		}
		return nil
	}).Run)

	for i, user := range []string{as(t, address, rabbitmq.UserWorker), asUser(t, address, poolWorker(t))} {
		testWorkerOf(t, bridge, address, user, attune.ExecutionID(7+i))
		reported.requireLen(t, 2+i)
	}

	observer := bridge.connect(t, as(t, address, rabbitmq.UserObserver))
	require.NoError(t, observer.Ping(t.Context()))
	whole, err := rabbitmq.NewTopology("default")
	require.NoError(t, err)
	for _, queue := range whole.Queues {
		_, err := rabbitmq.Inspect(t.Context(), observer, queue.Name)
		require.NoError(t, err, queue.Name)
	}
	letters, err := rabbitmq.DeadLetters(t.Context(), observer, 10)
	require.NoError(t, err)
	require.Len(t, letters, 1)
}

// testWorkerOf does what a worker of the pool gpu does, as a user of the broker.
func testWorkerOf(t *testing.T, bridge *testBundle, address, user string, id attune.ExecutionID) {
	t.Helper()
	worker := &testBundle{url: user, logger: bridge.logger}
	consume := worker.connect(t, worker.url)
	worker.conn = worker.connect(t, worker.url)
	cancels := make(chan attune.ExecutionCancelMessage, 100)
	worker.run(t, rabbitmq.NewSubscriber(consume, attune.KeyExecutionCancel,
		func(_ context.Context, m attune.ExecutionCancelMessage) { cancels <- m }).Run)
	puller := rabbitmq.NewPuller[attune.ExecutionRequestedMessage](consume, rabbitmq.QueueExecutionRequested("gpu"))

	orchestrator := rabbitmq.NewPoolPublisher(worker.connect(t, as(t, address, rabbitmq.UserOrchestrator)))
	require.NoError(t, orchestrator.Publish(t.Context(), attune.ExecutionRequestedMessage{Execution: id, Attempt: 1, Pool: "gpu"}))
	request, err := puller.Pull(deadline(t))
	require.NoError(t, err)
	require.Equal(t, id, request.Message.Execution)
	var reply attune.ExecutionClaimReply
	require.NoError(t, rabbitmq.NewCaller(worker.conn).Call(deadline(t), claim(int(id)), &reply))
	require.True(t, reply.Granted)
	require.NoError(t, request.Ack())
	report := attune.ExecutionCompletedMessage{Execution: id, Attempt: 1, Status: attune.ExecutionSucceeded, Pool: "gpu"}
	require.NoError(t, rabbitmq.NewPublisher(worker.conn).Publish(t.Context(), report))
	require.Eventually(t, func() bool { // a worker that has just connected may miss the first
		_ = bridge.publisher.Publish(t.Context(), attune.ExecutionCancelMessage{Execution: id, Attempt: 1})
		return len(cancels) > 0
	}, testTimeout, tick)
}

// TestUsers_NoMore does what no part but another one may do.
func TestUsers_NoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	publish := func(exchange, key string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			return ch.PublishWithContext(t.Context(), exchange, key, false, false, amqp.Publishing{})
		}
	}
	consume := func(queue string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			_, err := ch.Consume(queue, "", false, false, false, false, nil)
			return err
		}
	}
	declare := func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare("attune.other", true, false, false, false, nil)
		return err
	}
	remove := func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(rabbitmq.QueueExecutionCompleted, false, false, false)
		return err
	}
	listenAt := func(exchange, key string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			own, err := ch.QueueDeclare("", false, true, true, false, nil)
			if err != nil {
				return err
			}
			return ch.QueueBind(own.Name, key, exchange, false, nil)
		}
	}
	listen := func(key string) func(*amqp.Channel) error { return listenAt(rabbitmq.Exchange, key) }
	purge := func(queue string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			_, err := ch.QueuePurge(queue, false)
			return err
		}
	}
	of := attune.KeyOfPool
	pools := rabbitmq.NewPoolPublisher(b.conn)
	for _, pool := range []string{"default", "gpu", "gpu-2"} {
		require.NoError(t, pools.Publish(t.Context(), attune.ExecutionRequestedMessage{Execution: 1, Attempt: 1, Pool: pool}))
	}
	to, fromWorkers := rabbitmq.Exchange, rabbitmq.WorkersExchange
	deadLetterTo := func(exchange string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("", false, true, true, false, amqp.Table{"x-dead-letter-exchange": exchange})
			return err
		}
	}
	for name, denied := range map[string]map[string]func(*amqp.Channel) error{
		rabbitmq.UserWorker: {
			"publish a request":             publish(to, attune.KeyExecutionRequested("default")),
			"publish an enforcement":        publish(to, attune.KeyEnforcementCreated),
			"publish a cancel":              publish(to, attune.KeyExecutionCancel),
			"publish the end of an attempt": publish(to, attune.KeyExecutionEnded),
			"write to a queue":              publish("", rabbitmq.QueueExecutionCompleted),
			"write a dead letter":           publish(rabbitmq.DeadExchange, attune.KeyExecutionClaim),
			"read claims":                   consume(rabbitmq.QueueExecutionClaim),
			"read reports":                  consume(rabbitmq.QueueExecutionCompleted),
			"read dead letters":             consume(rabbitmq.QueueDead),
			"listen to claims":              listenAt(fromWorkers, of(attune.KeyExecutionClaim, "*")),
			"dead-letter to the requests":   deadLetterTo(to),
			"dead-letter to a queue":        deadLetterTo(""),
			"claim in the other exchange":   publish(to, of(attune.KeyExecutionClaim, "gpu")),
			"publish a claim of no pool":    publish(fromWorkers, attune.KeyExecutionClaim),
			"publish below a pool":          publish(fromWorkers, of(attune.KeyExecutionClaim, "gpu.x")),
			"listen to everything":          listen("#"),
			"declare a queue of attune":     declare,
			"delete a queue of attune":      remove,
			"declare a queue with another name": func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare("q", false, true, true, false, nil)
				return err
			},
		},
		poolWorker(t).Name: {
			"claim for another pool":                   publish(fromWorkers, of(attune.KeyExecutionClaim, "default")),
			"claim for a pool with a longer name":      publish(fromWorkers, of(attune.KeyExecutionClaim, "gpu-2")),
			"renew for another pool":                   publish(fromWorkers, of(attune.KeyExecutionRenew, "default")),
			"report for another pool":                  publish(fromWorkers, of(attune.KeyExecutionCompleted, "default")),
			"claim for every pool":                     publish(fromWorkers, of(attune.KeyExecutionClaim, "*")),
			"publish a request":                        publish(to, attune.KeyExecutionRequested("gpu")),
			"read requests of another pool":            consume(rabbitmq.QueueExecutionRequested("default")),
			"read requests of a pool with a long name": consume(rabbitmq.QueueExecutionRequested("gpu-2")),
			"purge requests of another pool":           purge(rabbitmq.QueueExecutionRequested("default")),
			"listen to requests":                       listen(attune.KeyExecutionRequested("gpu")),
			"read claims":                              consume(rabbitmq.QueueExecutionClaim),
			"purge claims":                             purge(rabbitmq.QueueExecutionClaim),
		},
		rabbitmq.UserBridge: {
			"publish a claim":   publish(fromWorkers, of(attune.KeyExecutionClaim, "gpu")),
			"publish a renewal": publish(fromWorkers, of(attune.KeyExecutionRenew, "gpu")),
			"publish a report":  publish(fromWorkers, of(attune.KeyExecutionCompleted, "gpu")),
		},
		rabbitmq.UserOrchestrator: {
			"publish a claim":      publish(fromWorkers, of(attune.KeyExecutionClaim, "gpu")),
			"publish a report":     publish(fromWorkers, of(attune.KeyExecutionCompleted, "gpu")),
			"publish a cancel":     publish(to, attune.KeyExecutionCancel),
			"write to a queue":     publish("", rabbitmq.QueueExecutionCompleted),
			"read claims":          consume(rabbitmq.QueueExecutionClaim),
			"read reports":         consume(rabbitmq.QueueExecutionCompleted),
			"listen to everything": listen("#"),
			"delete a queue":       remove,
		},
		rabbitmq.UserObserver: {
			"publish a report":          publish(fromWorkers, of(attune.KeyExecutionCompleted, "gpu")),
			"write to a queue":          publish("", rabbitmq.QueueExecutionCompleted),
			"read requests":             consume(rabbitmq.QueueExecutionRequested("default")),
			"listen to everything":      listen("#"),
			"declare a queue of attune": declare,
			"delete a queue":            remove,
		},
	} {
		connect := as
		if name == poolWorker(t).Name {
			connect = func(t *testing.T, address, _ string) string { t.Helper(); return asUser(t, address, poolWorker(t)) }
		}
		conn, err := amqp.Dial(connect(t, b.url, name))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		for what, try := range denied {
			t.Run(name+" may not "+what, func(t *testing.T) {
				t.Parallel()
				ch, err := conn.Channel()
				require.NoError(t, err)
				closed := ch.NotifyClose(make(chan *amqp.Error, 1))
				if err = try(ch); err == nil { // the broker refuses a publishing later
					err = receive(t, closed)
				}
				var refused *amqp.Error
				require.ErrorAs(t, err, &refused)
				require.Equal(t, amqp.AccessRefused, refused.Code, "%v", refused)
			})
		}
	}
	b.requireDepth(t, rabbitmq.QueueExecutionCompleted, 0)
}

// TestWorkerUser makes the rights of the workers of some pools.
func TestWorkerUser(t *testing.T) {
	t.Parallel()

	t.Run("the rights name the pools", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, rabbitmq.User{
			Name: "attune-worker-gpu", Configure: `^amq\.gen-.*$`, Write: `^(attune\.workers|amq\.gen-.*)$`,
			Read: `^(attune|attune\.execution\.requested\.(gpu|small)|amq\.gen-.*)$`,
			Topics: []rabbitmq.TopicRights{
				{Exchange: "attune", Write: `^$`, Read: `^execution\.cancel$`},
				{Exchange: "attune.workers", Write: `^execution\.(claim|renew|completed)\.(gpu|small)$`, Read: `^$`},
				{Exchange: "attune.dead", Write: `^$`, Read: `^$`},
			},
			Limits: rabbitmq.UserLimits{Connections: 500, Channels: 5000},
		}, poolWorker(t))
	})

	for name, pools := range map[string][]string{
		"a user without a pool is refused":         nil,
		"a pool with a dot is refused":             {"gpu.small"},
		"a pool that matches others is refused":    {".*"},
		"a pool with an alternative is refused":    {"gpu|default"},
		"an empty name of a pool is refused":       {""},
		"one wrong pool among others is refused":   {"gpu", "[a-z]+"},
		"a pool that ends with a line is refused":  {"gpu\n"},
		"a pool with a parenthesis is refused":     {"gpu)"},
		"a pool that is a wildcard key is refused": {"#"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rabbitmq.WorkerUser("attune-worker-gpu", pools...)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}
}

// TestUsers_Refused takes cancels with the user of the bridge, which may not create the queue of a worker. The log says as an error
// what to do.
func TestUsers_Refused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	logged, lines := io.Pipe()
	conn := rabbitmq.NewConnection(rabbitmq.Config{
		URL: as(t, b.url, rabbitmq.UserBridge), Name: t.Name(), Rights: "set worker.amqp_url", Logger: slog.New(slog.NewTextHandler(lines, nil)),
	})
	found := make(chan string, 1)
	go func() {
		for scanner := bufio.NewScanner(logged); scanner.Scan(); {
			if strings.Contains(scanner.Text(), "lacks a right") && len(found) == 0 {
				found <- scanner.Text()
			}
		}
	}()
	t.Cleanup(func() { _ = lines.Close() })
	b.run(t, conn.Run)
	b.run(t, rabbitmq.NewSubscriber(conn, attune.KeyExecutionCancel, func(context.Context, attune.ExecutionCancelMessage) {}).Run)
	select {
	case line := <-found:
		require.Contains(t, line, `level=ERROR msg="the user of the broker lacks a right: stopped consuming"`)
		require.Contains(t, line, "ACCESS_REFUSED")
		require.Contains(t, line, `do="set worker.amqp_url"`)
	case <-deadline(t).Done():
		require.FailNow(t, "no refusal was logged")
	}
}
