package rabbitmq_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
)

func TestConnection(t *testing.T) {
	t.Parallel()

	t.Run("an invalid URL is refused without its password", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"amqp://attune:s3cret@host:port/", "http://attune:s3cret@host/", "amqp://attune:s3c%ret@host/"} {
			conn := rabbitmq.NewConnection(rabbitmq.Config{URL: address})
			for _, err := range []error{conn.Run(t.Context()), conn.WaitReady(t.Context()), conn.Ping(t.Context())} {
				require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
				require.ErrorContains(t, err, "amqp://user:password@host:port/vhost")
				require.NotContains(t, err.Error(), "s3c")
			}
		}
	})

	t.Run("a refused login names the user", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, err := url.Parse(b.url)
		require.NoError(t, err)
		address.User = url.UserPassword("attune", "s3cret")
		conn := rabbitmq.NewConnection(rabbitmq.Config{URL: address.String(), Logger: b.logger})
		b.run(t, conn.Run)
		var last error
		require.Eventually(t, func() bool {
			last = conn.Ping(t.Context())
			return last != nil && strings.Contains(last.Error(), "refuses")
		}, testTimeout, tick, "last: %v", &last)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(last))
		require.ErrorContains(t, last, "RabbitMQ at "+address.Host+` refuses user "attune" on vhost "`)
		require.NotContains(t, last.Error(), "s3cret")
	})

	t.Run("a connection is ready until its end", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		conn := rabbitmq.NewConnection(rabbitmq.Config{URL: b.url})
		require.ErrorContains(t, conn.Ping(t.Context()), "not connected to RabbitMQ at 127.0.0.1:")
		stop := b.run(t, conn.Run)
		require.NoError(t, conn.WaitReady(deadline(t)))
		require.NoError(t, conn.Ping(t.Context()))
		stop()
		require.Error(t, conn.Ping(t.Context()))
		err := conn.WaitReady(t.Context())
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, "the connection was stopped")
	})

	t.Run("a lost connection is replaced", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		for range 3 {
			proxy.Cut()
			require.Eventually(t, func() bool { return conn.Ping(t.Context()) == nil }, testTimeout, tick)
		}
	})

	t.Run("a ping does not wait for a silent broker", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		defer proxy.Freeze()()
		ctx, cancel := context.WithTimeout(t.Context(), quickRetry)
		defer cancel()
		err := conn.Ping(ctx)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestBrokerRestart kills the broker. Published messages survive, every loop continues by itself, and the errors in
// between name the cause.
func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	broker := testenv.Own(t, services.Config{RabbitMQ: &services.RabbitMQConfig{}}).RabbitMQ
	b := setupAt(t, broker.URL())

	published := make(chan attune.EnforcementID, 1<<16)
	retried := make(chan error, 1<<16)
	stop := b.run(t, func(ctx context.Context) error {
		for id := attune.EnforcementID(1); ctx.Err() == nil; id++ {
			for ctx.Err() == nil {
				err := b.publisher.Publish(ctx, created(id)...)
				if err == nil {
					published <- id
					break
				}
				retried <- err
			}
		}
		return nil
	})
	for range 50 {
		receive(t, published)
	}
	require.NoError(t, broker.Kill())
	failure := receive(t, retried)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(failure))
	var down error
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), quickRetry)
		defer cancel()
		down = b.conn.WaitReady(ctx)
		return down != nil && strings.Contains(down.Error(), "is not reachable") && strings.Contains(down.Error(), "connection refused")
	}, testTimeout, tick, "last: %v", &down)
	require.ErrorContains(t, down, "RabbitMQ at 127.0.0.1:")
	require.NotContains(t, down.Error(), "guest")

	require.NoError(t, broker.Restart(t.Context()))
	require.NoError(t, b.conn.WaitReady(deadline(t)))
	for len(published) > 0 { // published before the kill
		<-published
	}
	last := receive(t, published)
	stop()

	got := map[attune.EnforcementID]int{}
	done := make(chan struct{}, 1)
	stop = b.consume(t, b.conn, 100, func(_ context.Context, batch []attune.EnforcementCreatedMessage) error {
		for _, id := range ids(batch) {
			got[id]++
			if id == last && got[id] == 1 {
				done <- struct{}{}
			}
		}
		return nil
	})
	receive(t, done)
	stop()
	for id := attune.EnforcementID(1); id <= last; id++ {
		require.Positive(t, got[id], "enforcement %d was reported as published", id)
	}
}
