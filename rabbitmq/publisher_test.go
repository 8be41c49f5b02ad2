package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func TestPublisher(t *testing.T) {
	t.Parallel()

	t.Run("messages are persistent JSON with their ids, in order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var messages []attune.Message
		for id := range 3000 { // more than one window
			messages = append(messages, claim(id))
		}
		require.NoError(t, b.publisher.Publish(t.Context(), messages...))
		raw := b.raw(t)
		for id := range 3000 {
			delivery, found, err := raw.Get(rabbitmq.QueueExecutionClaim, true)
			require.NoError(t, err)
			require.True(t, found)
			require.JSONEq(t, fmt.Sprintf(`{"execution_id":%d,"attempt":1,"worker":"w"}`, id), string(delivery.Body))
			require.Equal(t, fmt.Sprintf("execution/%d/1/claim/w", id), delivery.MessageId)
			require.Equal(t, "application/json", delivery.ContentType)
			require.Equal(t, uint8(2), delivery.DeliveryMode)
		}
	})

	t.Run("an envelope is sent unchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.publisher.PublishRaw(t.Context(), rabbitmq.Envelope{
			RoutingKey: attune.KeyOfPool(attune.KeyExecutionCompleted, "gpu"), MessageID: "m", Body: []byte(`{}`),
		}))
		delivery, found, err := b.raw(t).Get(rabbitmq.QueueExecutionCompleted, true)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "m", delivery.MessageId)
		require.JSONEq(t, `{}`, string(delivery.Body))
	})

	t.Run("an unroutable message is reported", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		err := b.publisher.Publish(t.Context(), attune.ExecutionRequestedMessage{Execution: 7, Attempt: 1, Pool: "gpu"})
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, `1 of 1 messages were not published: no queue takes "execution.requested.gpu"`)
	})

	t.Run("the unroutable messages of a batch are named, and the others published", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var messages []attune.Message
		var want []rabbitmq.FailedMessage
		for i := range 2500 {
			if i%1000 == 7 {
				lost := attune.ExecutionRequestedMessage{Execution: attune.ExecutionID(i), Attempt: 1, Pool: "gpu"}
				want = append(want, rabbitmq.FailedMessage{Index: i, RoutingKey: lost.RoutingKey(), MessageID: lost.MessageID()})
				messages = append(messages, lost)
				continue
			}
			messages = append(messages, attune.EnforcementCreatedMessage{Enforcement: attune.EnforcementID(i)})
		}
		err := b.publisher.Publish(t.Context(), messages...)
		detail, ok := errors.AsType[*rabbitmq.PublishError](err)
		require.True(t, ok, "%v", err)
		require.True(t, detail.Unroutable)
		require.Equal(t, 2500, detail.Total)
		require.Equal(t, want, detail.Failed)
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 2500-len(want))
	})

	t.Run("a call never receives the return of another call", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var wg sync.WaitGroup
		failures := make(chan string, 200*10)
		for caller := range 200 { // far more than channels
			wg.Go(func() {
				for id := range 10 {
					lost := caller%2 == 1
					err := b.publisher.Publish(t.Context(), message(caller*10+id+1, lost))
					if lost != (err != nil) {
						failures <- fmt.Sprintf("caller %d: lost %t, error %v", caller, lost, err)
					}
				}
			})
		}
		wg.Wait()
		close(failures)
		for failure := range failures {
			require.Fail(t, failure)
		}
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 1000)
	})

	t.Run("an envelope beyond the AMQP limits is refused, and the connection survives", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		long := strings.Repeat("x", 256)
		for _, envelope := range []rabbitmq.Envelope{
			{RoutingKey: ""}, {RoutingKey: long}, {RoutingKey: "k", MessageID: long},
		} {
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(b.publisher.PublishRaw(t.Context(), envelope)))
		}
		b.publish(t, 1)
	})

	t.Run("a missing exchange is reported", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.raw(t).ExchangeDelete(rabbitmq.Exchange, false, false))
		err := b.publisher.Publish(t.Context(), created(1)...)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, "no exchange 'attune'")
		require.NoError(t, rabbitmq.Declare(t.Context(), b.conn, topology(t)))
		b.publish(t, 2)
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 1)
	})

	t.Run("a call returns when its context ends", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		publisher := rabbitmq.NewPublisher(b.connect(t, address))
		require.NoError(t, publisher.Publish(t.Context(), created(1)...))
		thaw := proxy.Freeze()
		defer thaw()
		for range 40 { // more than channels
			ctx, cancel := context.WithTimeout(t.Context(), tick)
			err := publisher.Publish(ctx, created(2)...)
			cancel()
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		thaw()
		require.NoError(t, publisher.Publish(t.Context(), created(3)...))
	})

	t.Run("a call never receives the return of an abandoned try", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		publisher := rabbitmq.NewPublisher(conn)
		require.NoError(t, publisher.Publish(t.Context(), created(1)...))
		thaw := proxy.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), tick)
		defer cancel()
		require.ErrorIs(t, publisher.Publish(ctx, message(2, true)), context.DeadlineExceeded)
		thaw()
		require.NoError(t, conn.Ping(deadline(t)), "the return has arrived, late")
		gpu, err := rabbitmq.PoolTopology("gpu")
		require.NoError(t, err)
		require.NoError(t, rabbitmq.Declare(t.Context(), b.conn, gpu))
		require.NoError(t, publisher.Publish(t.Context(), message(2, true)))
	})

	t.Run("unconfirmed messages of a lost connection are reported", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		publisher := rabbitmq.NewPublisher(conn)
		require.NoError(t, publisher.Publish(t.Context(), created(1)...))
		thaw := proxy.Freeze()
		failed := make(chan error, 1)
		go func() { failed <- publisher.Publish(t.Context(), created(2, 3)...) }()
		proxy.Cut()
		thaw()
		err := receive(t, failed)
		if err == nil { // the connection was replaced before the call
			return
		}
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		detail, ok := errors.AsType[*rabbitmq.PublishError](err)
		require.True(t, ok)
		require.False(t, detail.Unroutable)
		require.Len(t, detail.Failed, 2)
		require.NoError(t, conn.WaitReady(deadline(t)))
		require.NoError(t, publisher.Publish(t.Context(), created(2, 3)...), "the caller's retry")
	})

	t.Run("a missing broker is reported with its address", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		proxy.Close()
		require.Eventually(t, func() bool { return conn.Ping(t.Context()) != nil }, testTimeout, tick)
		err := rabbitmq.NewPublisher(conn).Publish(deadline(t), created(1)...) // returns before the deadline
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, `1 of 1 messages were not published ("enforcement.created")`)
		require.ErrorContains(t, err, proxy.Address())
	})
}

// message returns a routable message, or an unroutable one if lost is true.
func message(id int, lost bool) attune.Message {
	if lost {
		return attune.ExecutionRequestedMessage{Execution: attune.ExecutionID(id), Attempt: 1, Pool: "gpu"}
	}
	return attune.EnforcementCreatedMessage{Enforcement: attune.EnforcementID(id)}
}
