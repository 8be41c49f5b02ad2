package worker

import (
	"context"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// Broker implements [Requests] and [Claims] over RabbitMQ.
type Broker struct {
	puller *rabbitmq.Puller[attune.ExecutionRequestedMessage]
	caller *rabbitmq.Caller
}

// NewBroker takes the requests of a pool on connections.Consume and sends claims and renewals on connections.Publish.
func NewBroker(connections *rabbitmq.Connections, pool string) *Broker {
	queue := rabbitmq.QueueExecutionRequested(pool)
	return &Broker{
		puller: rabbitmq.NewPuller[attune.ExecutionRequestedMessage](connections.Consume, queue),
		caller: rabbitmq.NewCaller(connections.Publish),
	}
}

// Pull implements [Requests].
func (b *Broker) Pull(ctx context.Context) (Request, error) {
	delivery, err := b.puller.Pull(ctx)
	if err != nil {
		return Request{}, err
	}
	return Request{Message: delivery.Message, Ack: delivery.Ack, Reject: delivery.Reject}, nil
}

// Claim implements [Claims].
func (b *Broker) Claim(ctx context.Context, claim attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
	var reply attune.ExecutionClaimReply
	err := b.caller.Call(ctx, claim, &reply)
	return reply, err
}

// Renew implements [Claims].
func (b *Broker) Renew(ctx context.Context, renewal attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	var reply attune.ExecutionRenewReply
	err := b.caller.Call(ctx, renewal, &reply)
	return reply, err
}
