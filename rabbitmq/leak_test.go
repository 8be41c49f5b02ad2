package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// TestNoLeaks stops every kind of loop, some of them at work, and finds no goroutine left. The test is not parallel: it
// would count the goroutines of other tests.
func TestNoLeaks(t *testing.T) {
	b := setup(t)
	before := goleak.IgnoreCurrent()
	conn := rabbitmq.NewConnection(rabbitmq.Config{URL: b.url, Logger: b.logger})
	stopConn := b.run(t, conn.Run)
	require.NoError(t, conn.WaitReady(deadline(t)))
	b.publisher = rabbitmq.NewPublisher(conn)
	b.publish(t, 1)

	entered := make(chan struct{}, 1)
	stops := []func(){
		b.consume(t, conn, 5, func(ctx context.Context, _ createdBatch) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}),
		b.respond(t, conn, grantAll),
		b.run(t, rabbitmq.NewSubscriber(conn, attune.KeyExecutionCancel, func(context.Context, attune.ExecutionCancelMessage) {}).Run),
		b.run(t, func(ctx context.Context) error {
			_, _ = rabbitmq.NewPuller[requested](conn, poolQueue).Pull(ctx)
			return nil
		}),
	}
	receive(t, entered)
	b.requireLogged(t, "consuming", 3)
	var reply attune.ExecutionClaimReply
	require.NoError(t, rabbitmq.NewCaller(conn).Call(deadline(t), claim(1), &reply))
	for _, stop := range stops {
		stop()
	}
	stopConn()
	for begun := time.Now(); goleak.Find(before) != nil && time.Since(begun) < testTimeout; { // each Find waits a while
	}
	goleak.VerifyNone(t, before)
}
