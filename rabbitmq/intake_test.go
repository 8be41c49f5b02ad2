package rabbitmq

import (
	"context"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

func TestIntake_Gather(t *testing.T) {
	t.Parallel()
	pending := make(chan amqp.Delivery, 120)
	for tag := range 120 {
		pending <- amqp.Delivery{DeliveryTag: uint64(tag)}
	}
	in := &intake{maxBatch: 50}
	next := uint64(0)
	for _, want := range []int{50, 50, 20} { // what is there, and no waiting for a full batch
		batch := in.gather(t.Context(), pending)
		require.Len(t, batch, want)
		for _, delivery := range batch {
			require.Equal(t, next, delivery.DeliveryTag)
			next++
		}
	}

	pending <- amqp.Delivery{}
	close(pending)
	require.Len(t, in.gather(t.Context(), pending), 1)
	require.Empty(t, in.gather(t.Context(), pending), "the subscription has ended")
}

func TestIntake_GatherAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // whichever of the two is looked at first
		pending := make(chan amqp.Delivery, 1)
		pending <- amqp.Delivery{}
		require.Empty(t, (&intake{maxBatch: 50}).gather(ctx, pending), "what a lost channel delivered comes again")
	}
}
