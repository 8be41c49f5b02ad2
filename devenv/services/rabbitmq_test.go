package services

import (
	"net/http"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

func TestRabbitMQ(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T, config RabbitMQConfig) *RabbitMQ {
		t.Helper()
		if config.Dir == "" {
			config.Dir = serviceDir(t)
		}
		broker, err := StartRabbitMQ(t.Context(), config)
		require.NoError(t, err)
		stopAtEnd(t, broker.Stop)
		return broker
	}
	// withQueue runs do on the durable quorum queue "kept".
	withQueue := func(t *testing.T, broker *RabbitMQ, do func(*amqp.Channel)) {
		t.Helper()
		conn, err := amqp.Dial(broker.URL())
		require.NoError(t, err)
		defer conn.Close()
		channel, err := conn.Channel()
		require.NoError(t, err)
		_, err = channel.QueueDeclare("kept", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		require.NoError(t, err)
		do(channel)
	}
	publish := func(t *testing.T, broker *RabbitMQ, body string) {
		t.Helper()
		withQueue(t, broker, func(channel *amqp.Channel) {
			require.NoError(t, channel.Confirm(false))
			message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}
			confirmed, err := channel.PublishWithDeferredConfirm("", "kept", true, false, message)
			require.NoError(t, err)
			require.True(t, confirmed.Wait())
		})
	}
	requireMessage := func(t *testing.T, broker *RabbitMQ, body string) {
		t.Helper()
		withQueue(t, broker, func(channel *amqp.Channel) {
			deliveries, err := channel.ConsumeWithContext(t.Context(), "kept", "", true, false, false, false, nil)
			require.NoError(t, err)
			require.Equal(t, body, string((<-deliveries).Body))
		})
	}

	// A start takes some seconds of processor time, so one restart serves both.
	t.Run("messages survive a restart, and a user has its rights and no others before and after it", func(t *testing.T) {
		t.Parallel()
		broker := setup(t, RabbitMQConfig{Users: []RabbitMQUser{{
			Name: "reporter", Configure: "^$", Write: "^amq\\.topic$", Read: "^$",
			Topics: []RabbitMQTopicRights{{Exchange: "amq.topic", Write: "^report$", Read: "^$"}},
		}}})
		url := broker.URL()
		publish(t, broker, "one")
		try := func(exchange, key string) error {
			conn, err := amqp.Dial(broker.UserURL("reporter"))
			require.NoError(t, err)
			defer conn.Close()
			channel, err := conn.Channel()
			require.NoError(t, err)
			require.NoError(t, channel.Confirm(false))
			closed := channel.NotifyClose(make(chan *amqp.Error, 1))
			confirmed, err := channel.PublishWithDeferredConfirm(exchange, key, false, false, amqp.Publishing{})
			require.NoError(t, err)
			if confirmed.Wait() {
				return nil
			}
			return <-closed
		}
		requireRights := func() {
			require.NoError(t, try("amq.topic", "report"))
			require.ErrorContains(t, try("amq.topic", "other"), "ACCESS_REFUSED")
			require.ErrorContains(t, try("", "kept"), "ACCESS_REFUSED")
		}
		requireRights()
		require.NoError(t, broker.Restart(t.Context()))
		require.Equal(t, url, broker.URL())
		requireRights()
		requireMessage(t, broker, "one")
	})

	t.Run("messages survive a kill", func(t *testing.T) {
		t.Parallel()
		broker := setup(t, RabbitMQConfig{Ephemeral: true, Management: true})
		withQueue(t, broker, func(*amqp.Channel) {})
		require.NoError(t, broker.Restart(t.Context()), "the name of a new queue is not safe at once; see Kill")
		publish(t, broker, "one")
		require.NoError(t, broker.Kill())
		require.Empty(t, processesOf(t, broker.config.Dir))

		require.NoError(t, broker.Restart(t.Context()))
		requireMessage(t, broker, "one")
		page, err := http.Get(broker.ManagementURL() + "/api/overview")
		require.NoError(t, err)
		require.NoError(t, page.Body.Close())
		require.Equal(t, http.StatusOK, page.StatusCode)

		require.NoError(t, broker.Stop(t.Context()))
		require.Empty(t, processesOf(t, broker.config.Dir))
	})
}
