package fxmodules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api/doctor"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// newDoctor lets the checks look at the services of this process.
func newDoctor(cfg config.Config, s stores, both brokers, c client.Client, ns namespace, version Version) *doctor.Doctor {
	broker := brokerSight{url: cfg.AMQPURL.Reveal(), conn: both.publish, packs: s.Packs}
	engine := engineSight{client: c, namespace: string(ns)}
	return doctor.New(string(version),
		doctor.Database(s.DB.Schema),
		doctor.Broker(broker.version),
		doctor.Temporal(engine.look),
		doctor.TaskQueue(workflows.QueueTaskQueue, engine.pollers(workflows.QueueTaskQueue)),
		doctor.TaskQueue(workflows.EnforcementTaskQueue, engine.pollers(workflows.EnforcementTaskQueue)),
		doctor.Topology(broker.queues),
		doctor.Dead(broker.deadLetters),
		doctor.Outbox(s.Outbox.Backlog),
		doctor.Stalls(s.Queues.Stalls),
		doctor.Leaks(s.Queues.Leaks),
		doctor.Holders(s.Queues.Overdue),
		doctor.Control(s.Queues.SetByHand),
		doctor.ParkedOnes(s.Queues.Parked),
	)
}

// brokerSight looks at the broker.
type brokerSight struct {
	url   string
	conn  *rabbitmq.Connection
	packs *postgres.Packs
}

// version is what the server says of itself. The connection is a new one: that the broker takes them is part of its health.
func (b brokerSight) version(ctx context.Context) (string, error) {
	link, err := amqp.DialConfig(b.url, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if deadline, ok := ctx.Deadline(); ok && err == nil {
			err = conn.SetDeadline(deadline) // of the handshake; the library lifts it afterwards
		}
		return conn, err
	}})
	if err != nil {
		return "", attune.WrapError(attune.CodeUnavailable, err, "RabbitMQ takes no new connection")
	}
	defer func() { _ = link.CloseDeadline(time.Now().Add(time.Second)) }() // a broker that takes its time over that is well
	version, _ := link.Properties["version"].(string)
	return version, nil
}

// queues looks at what attune declares on the broker, with a queue for every pool that an action runs in.
func (b brokerSight) queues(ctx context.Context) ([]doctor.Queue, error) {
	pools, err := b.packs.Pools(ctx)
	if err != nil {
		return nil, err
	}
	topology, err := rabbitmq.NewTopology(pools...)
	if err != nil {
		return nil, err
	}
	var queues []doctor.Queue
	for _, spec := range topology.Queues {
		queue := readerOf(spec.Name)
		depth, err := rabbitmq.Inspect(ctx, b.conn, spec.Name)
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

// readerOf says who has to consume a queue.
func readerOf(name string) doctor.Queue {
	queue := doctor.Queue{Name: name}
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

func (b brokerSight) deadLetters(ctx context.Context) (doctor.DeadLetters, error) {
	depth, err := rabbitmq.Inspect(ctx, b.conn, rabbitmq.QueueDead)
	if err != nil || depth.Ready == 0 {
		return doctor.DeadLetters{}, err
	}
	dead := doctor.DeadLetters{Count: depth.Ready}
	if letters, err := rabbitmq.DeadLetters(ctx, b.conn, 1); err == nil && len(letters) > 0 {
		l := letters[0]
		dead.Oldest = fmt.Sprintf("message %q of queue %q, %s %s", l.MessageID, l.Queue, l.Reason, l.Error)
	}
	return dead, nil
}

// engineSight looks at Temporal.
type engineSight struct {
	client    client.Client
	namespace string
}

func (e engineSight) look(ctx context.Context) (doctor.Engine, error) {
	service := e.client.WorkflowService()
	system, err := service.GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return doctor.Engine{}, fmt.Errorf("ask Temporal for its version: %w", workflows.Translate(err))
	}
	described, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: e.namespace})
	if _, missing := errors.AsType[*serviceerror.NamespaceNotFound](err); missing {
		return doctor.Engine{}, attune.WrapError(attune.CodeNotFound, err,
			"Temporal has no namespace %q: create it, or set TEMPORAL_NAMESPACE", e.namespace)
	}
	if err != nil {
		return doctor.Engine{}, fmt.Errorf("look at the namespace %q of Temporal: %w", e.namespace, workflows.Translate(err))
	}
	return doctor.Engine{
		Server: system.GetServerVersion(), Namespace: e.namespace,
		Retention: described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(),
	}, nil
}

// pollers asks who has polled a task queue lately.
func (e engineSight) pollers(queue string) func(context.Context) (workflows, activities []doctor.Poller, err error) {
	return func(ctx context.Context) (forWorkflows, forActivities []doctor.Poller, err error) {
		if forWorkflows, err = e.pollersOf(ctx, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW); err != nil {
			return nil, nil, err
		}
		forActivities, err = e.pollersOf(ctx, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		return forWorkflows, forActivities, err
	}
}

func (e engineSight) pollersOf(ctx context.Context, queue string, kind enumspb.TaskQueueType) ([]doctor.Poller, error) {
	described, err := e.client.DescribeTaskQueue(ctx, queue, kind)
	if err != nil {
		return nil, fmt.Errorf("ask who polls the task queue %q: %w", queue, workflows.Translate(err))
	}
	var pollers []doctor.Poller
	for _, p := range described.GetPollers() {
		pollers = append(pollers, doctor.Poller{Identity: p.GetIdentity(), LastSeen: p.GetLastAccessTime().AsTime()})
	}
	return pollers, nil
}
