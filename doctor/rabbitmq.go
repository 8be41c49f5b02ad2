package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// PoolReader lists the pools that enabled actions run in.
type PoolReader interface {
	Pools(ctx context.Context) ([]string, error)
}

// RabbitMQ reads from the broker. All fields are required.
type RabbitMQ struct {
	URL   string // URL of the broker, with its password
	Conn  *rabbitmq.Connection
	Pools PoolReader
}

func (r RabbitMQ) version(ctx context.Context) (string, error) {
	return rabbitmq.ServerVersion(ctx, r.URL)
}

// queues reads every queue that attune declares on the broker, including one for each pool of an enabled action.
func (r RabbitMQ) queues(ctx context.Context) ([]Queue, error) {
	pools, err := r.Pools.Pools(ctx)
	if err != nil {
		return nil, err
	}
	topology, err := rabbitmq.NewTopology(pools...)
	if err != nil {
		return nil, err
	}
	var queues []Queue
	for _, spec := range topology.Queues {
		queue := queueNamed(spec.Name)
		depth, err := rabbitmq.Inspect(ctx, r.Conn, spec.Name)
		switch {
		case attune.CodeOf(err) == attune.CodeNotFound:
			queue.Missing = true
		case err != nil:
			return nil, err
		}
		queue.Ready, queue.Consumers = depth.Ready, depth.Consumers
		queues = append(queues, queue)
	}
	return queues, nil
}

// queueNamed returns a queue with the consumer that it needs.
func queueNamed(name string) Queue {
	queue := Queue{Name: name}
	switch name {
	case rabbitmq.QueueEnforcementCreated, rabbitmq.QueueExecutionCompleted, rabbitmq.QueueExecutionClaim,
		rabbitmq.QueueExecutionRenew:
		queue.Reader = "a process with the role bridge"
	default:
		if pool, found := strings.CutPrefix(name, rabbitmq.QueueExecutionRequested("")); found {
			queue.Reader, queue.Pool = "a worker", pool
		}
	}
	return queue
}

func (r RabbitMQ) deadLetters(ctx context.Context) (DeadLetters, error) {
	depth, err := rabbitmq.Inspect(ctx, r.Conn, rabbitmq.QueueDead)
	if err != nil || depth.Ready == 0 {
		return DeadLetters{}, err
	}
	dead := DeadLetters{Count: depth.Ready, Full: depth.Ready >= rabbitmq.MaxDeadLetters}
	if letters, err := rabbitmq.DeadLetters(ctx, r.Conn, 1); err == nil && len(letters) > 0 {
		l := letters[0]
		dead.Oldest = fmt.Sprintf("message %q of queue %q, %s %s", l.MessageID, l.Queue, l.Reason, l.Error)
	}
	return dead, nil
}
