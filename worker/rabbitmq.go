package worker

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"sync/atomic"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// Broker implements [Requests], [Claims] and [Reports] over RabbitMQ. It signs every message with a key that it makes itself and
// keeps in memory only, so each Broker is another worker in the eyes of the bridge. It waits for a reply that a bridge has signed, and
// takes no other one.
type Broker struct {
	puller    *rabbitmq.Puller[attune.ExecutionRequestedMessage]
	caller    *rabbitmq.Caller
	publisher *rabbitmq.Publisher
	bridges   *Bridges
	pool      string
	key       ed25519.PrivateKey
	serial    atomic.Int64 // of the last claim or renewal
}

// NewBroker takes the requests of a pool on connections.Consume, and sends claims, renewals and reports on connections.Publish.
func NewBroker(connections *rabbitmq.Connections, pool string, bridges *Bridges) (*Broker, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make the key of the worker: %w", err)
	}
	queue := rabbitmq.QueueExecutionRequested(pool)
	return &Broker{
		puller:    rabbitmq.NewPuller[attune.ExecutionRequestedMessage](connections.Consume, queue),
		caller:    rabbitmq.NewCaller(connections.Publish),
		publisher: rabbitmq.NewPublisher(connections.Publish),
		bridges:   bridges,
		pool:      pool,
		key:       key,
	}, nil
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
func (b *Broker) Claim(ctx context.Context, claim attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
	replyKey, err := attune.NewReplyKey()
	if err != nil {
		return attune.ClaimDecision{}, err
	}
	claim.Serial, claim.ReplyKey, claim.Key, claim.Pool = b.serial.Add(1), replyKey.Public(), attune.WorkerKeyOf(b.key), b.pool
	var d attune.ClaimDecision
	if err := call(ctx, b, claim, &d.Reply); err != nil || !d.Reply.Granted {
		return d, err
	}
	if d.Input, err = replyKey.Decrypt(claim, d.Reply.EncryptedInput); err != nil {
		// A bridge has signed what it cannot have encrypted for this claim. The next claim may get the right reply, but each claim renews
		// the lease, so this is an error of the reply and not the lack of one: the worker repeats the claim a few times only.
		return attune.ClaimDecision{}, attune.WrapError(attune.CodeInternal, err, "decrypt the reply to the claim")
	}
	return d, nil
}

// Renew implements [Claims].
func (b *Broker) Renew(ctx context.Context, renewal attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	renewal.Serial, renewal.Pool = b.serial.Add(1), b.pool
	var reply attune.ExecutionRenewReply
	err := call(ctx, b, renewal, &reply)
	return reply, err
}

// Report implements [Reports].
func (b *Broker) Report(ctx context.Context, report attune.ExecutionCompletedMessage) error {
	report.Pool = b.pool
	signed, err := attune.Sign(b.key, report)
	if err != nil {
		return err
	}
	return b.publisher.Publish(ctx, signed)
}

// call signs a request and waits for a reply that a bridge has signed for it.
func call[M attune.WorkerMessage[M]](ctx context.Context, b *Broker, request M, reply any) error {
	signed, err := attune.Sign(b.key, request)
	if err != nil {
		return err
	}
	var failure error
	err = b.caller.Ask(ctx, signed, func(body []byte, unsigned error) (believed bool) {
		believed, failure = verifyReply(ctx, b.bridges, signed, body, unsigned, reply)
		return believed
	})
	return cmp.Or(err, failure)
}
