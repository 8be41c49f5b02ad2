package rabbitmq

import (
	"context"
	"fmt"
	"sync"

	"github.com/attune-go/attune"
)

// PoolPublisher is a [Publisher] that declares a pool's queue before it publishes the first request to that pool, so that
// requests wait in the queue until the pool's workers start. It is safe for concurrent use.
type PoolPublisher struct {
	*Publisher
	declared sync.Map // pool → struct{}
}

// NewPoolPublisher returns a publisher on conn.
func NewPoolPublisher(conn *Connection) *PoolPublisher {
	return &PoolPublisher{Publisher: NewPublisher(conn)}
}

// Publish declares the pool queues that the messages need, then publishes like [Publisher.Publish]. The errors of the
// declaration are those of [Declare].
func (p *PoolPublisher) Publish(ctx context.Context, messages ...attune.Message) error {
	for _, message := range messages {
		if request, ok := message.(attune.ExecutionRequestedMessage); ok {
			if err := p.declare(ctx, request.Pool); err != nil {
				return err
			}
		}
	}
	return p.Publisher.Publish(ctx, messages...)
}

// Waiting returns how many requests wait in the queue of a pool. If the queue does not exist, the next request declares it.
func (p *PoolPublisher) Waiting(ctx context.Context, pool string) (int, error) {
	depth, err := Inspect(ctx, p.conn, QueueExecutionRequested(pool))
	if attune.CodeOf(err) == attune.CodeNotFound {
		p.declared.Delete(pool)
		return 0, nil
	}
	return depth.Ready, err
}

func (p *PoolPublisher) declare(ctx context.Context, pool string) error {
	if _, done := p.declared.Load(pool); done {
		return nil
	}
	topology, err := PoolTopology(pool)
	if err != nil {
		return err
	}
	if err := Declare(ctx, p.conn, topology); err != nil {
		return fmt.Errorf("declare the queue of pool %q: %w", pool, err)
	}
	p.declared.Store(pool, struct{}{})
	return nil
}
