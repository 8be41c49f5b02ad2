package rabbitmq_test

import (
	"context"
	"errors"
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
		if user.Name != name {
			continue
		}
		rights := testenv.AMQPRights{Configure: user.Configure, Write: user.Write, Read: user.Read}
		for _, topic := range user.Topics {
			rights.Topics = append(rights.Topics, testenv.AMQPTopicRights(topic))
		}
		return testenv.AMQPUser(t, address, rights)
	}
	require.FailNow(t, "no user "+name)
	return ""
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

	worker := &testBundle{url: as(t, address, rabbitmq.UserWorker), logger: bridge.logger}
	consume := worker.connect(t, worker.url)
	worker.conn = worker.connect(t, worker.url)
	cancels := make(chan attune.ExecutionCancelMessage, 100)
	worker.run(t, rabbitmq.NewSubscriber(consume, attune.KeyExecutionCancel,
		func(_ context.Context, m attune.ExecutionCancelMessage) { cancels <- m }).Run)
	puller := rabbitmq.NewPuller[attune.ExecutionRequestedMessage](consume, rabbitmq.QueueExecutionRequested("gpu"))

	orchestrator := rabbitmq.NewPoolPublisher(worker.connect(t, as(t, address, rabbitmq.UserOrchestrator)))
	require.NoError(t, orchestrator.Publish(t.Context(), attune.ExecutionRequestedMessage{Execution: 7, Attempt: 1, Pool: "gpu"}))
	request, err := puller.Pull(deadline(t))
	require.NoError(t, err)
	require.EqualValues(t, 7, request.Message.Execution)
	var reply attune.ExecutionClaimReply
	require.NoError(t, rabbitmq.NewCaller(worker.conn).Call(deadline(t), claim(7), &reply))
	require.True(t, reply.Granted)
	require.NoError(t, request.Ack())
	report := attune.ExecutionCompletedMessage{Execution: 7, Attempt: 1, Status: attune.ExecutionSucceeded}
	require.NoError(t, rabbitmq.NewPublisher(worker.conn).Publish(t.Context(), report))
	reported.requireLen(t, 2)
	require.Eventually(t, func() bool { // a worker that has just connected may miss the first
		_ = bridge.publisher.Publish(t.Context(), attune.ExecutionCancelMessage{Execution: 7, Attempt: 1})
		return len(cancels) > 0
	}, testTimeout, tick)

	observer := worker.connect(t, as(t, address, rabbitmq.UserObserver))
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
	listen := func(key string) func(*amqp.Channel) error {
		return func(ch *amqp.Channel) error {
			own, err := ch.QueueDeclare("", false, true, true, false, nil)
			if err != nil {
				return err
			}
			return ch.QueueBind(own.Name, key, rabbitmq.Exchange, false, nil)
		}
	}
	to := rabbitmq.Exchange
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
			"listen to claims":              listen(attune.KeyExecutionClaim),
			"listen to everything":          listen("#"),
			"declare a queue of attune":     declare,
			"delete a queue of attune":      remove,
			"declare a queue with another name": func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare("q", false, true, true, false, nil)
				return err
			},
		},
		rabbitmq.UserBridge: {
			"publish a claim":   publish(to, attune.KeyExecutionClaim),
			"publish a renewal": publish(to, attune.KeyExecutionRenew),
			"publish a report":  publish(to, attune.KeyExecutionCompleted),
		},
		rabbitmq.UserOrchestrator: {
			"publish a claim":      publish(to, attune.KeyExecutionClaim),
			"publish a report":     publish(to, attune.KeyExecutionCompleted),
			"publish a cancel":     publish(to, attune.KeyExecutionCancel),
			"write to a queue":     publish("", rabbitmq.QueueExecutionCompleted),
			"read claims":          consume(rabbitmq.QueueExecutionClaim),
			"read reports":         consume(rabbitmq.QueueExecutionCompleted),
			"listen to everything": listen("#"),
			"delete a queue":       remove,
		},
		rabbitmq.UserObserver: {
			"publish a report":          publish(to, attune.KeyExecutionCompleted),
			"write to a queue":          publish("", rabbitmq.QueueExecutionCompleted),
			"read requests":             consume(rabbitmq.QueueExecutionRequested("default")),
			"listen to everything":      listen("#"),
			"declare a queue of attune": declare,
			"delete a queue":            remove,
		},
	} {
		conn, err := amqp.Dial(as(t, b.url, name))
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
