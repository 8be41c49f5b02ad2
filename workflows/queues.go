package workflows

import (
	"context"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
)

// maxSignalTickets bounds one signal: about 90 bytes a ticket, far under the payload limit of 2 MB.
const maxSignalTickets = 1000

// QueueClient talks to the queue workflows. Every call starts the queue if it does not run: SignalWithStart also cuts through
// the pause between two runs, which a plain signal would have to wait out.
type QueueClient struct {
	client  client.Client
	marked  bool
	changes *changer
}

// NewQueueClient returns a client for queues.
func NewQueueClient(c client.Client) *QueueClient {
	q := &QueueClient{client: c}
	q.changes = newChanger(q.update)
	return q
}

// Marked returns a client that marks the queues it starts; see [EnsureAttributes].
func (q *QueueClient) Marked() *QueueClient {
	marked := NewQueueClient(q.client)
	marked.marked = true
	return marked
}

// start is how to start a queue that does not run.
func (q *QueueClient) start(key attune.QueueKey) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		ID:                    QueueWorkflowID(key),
		TaskQueue:             QueueTaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}
	if q.marked {
		options.TypedSearchAttributes = MarkedBy(key)
	}
	return options
}

// Acquire puts accepted tickets into their queue. It returns once the queue has them durably.
func (q *QueueClient) Acquire(ctx context.Context, admission attune.Admission) error {
	return signalAll(ctx, q, admission.Queue, SignalAcquire, admission.Tickets, func(tickets []attune.Ticket) any {
		return AcquireSignal{Policy: admission.Policy, Tickets: tickets}
	})
}

// SetPolicy puts a policy in force, unless the queue knows a newer one.
func (q *QueueClient) SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error {
	return q.signal(ctx, key, SignalAcquire, AcquireSignal{Policy: policy})
}

// Release frees the slots of tickets that have ended.
func (q *QueueClient) Release(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error {
	return q.signalTickets(ctx, key, SignalRelease, tickets)
}

// Retry asks for the next attempts of tickets that keep their slots.
func (q *QueueClient) Retry(ctx context.Context, key attune.QueueKey, retries []attune.Retry) error {
	return signalAll(ctx, q, key, SignalRetry, retries, func(some []attune.Retry) any { return RetriesSignal{Retries: some} })
}

// Cancel takes waiting tickets out of the queue.
func (q *QueueClient) Cancel(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error {
	return q.signalTickets(ctx, key, SignalCancel, tickets)
}

// View asks a queue what it looks like. A queue that has never been used is [attune.CodeNotFound].
func (q *QueueClient) View(ctx context.Context, key attune.QueueKey) (QueueView, error) {
	var view QueueView
	value, err := q.client.QueryWorkflow(ctx, QueueWorkflowID(key), "", QueryQueue)
	if err != nil {
		return view, fmt.Errorf("query queue %q: %w", key, Translate(err))
	}
	if err := value.Get(&view); err != nil {
		return view, fmt.Errorf("read the view of queue %q: %w", key, err)
	}
	return view, nil
}

// ForceContinueAsNew asks a queue to continue as new, for example to pick up a new version of its code.
func (q *QueueClient) ForceContinueAsNew(ctx context.Context, key attune.QueueKey) error {
	return q.signal(ctx, key, SignalForceContinueAsNew, nil)
}

func (q *QueueClient) signalTickets(ctx context.Context, key attune.QueueKey, name string, tickets []attune.Ticket) error {
	return signalAll(ctx, q, key, name, tickets, func(some []attune.Ticket) any { return TicketsSignal{Tickets: some} })
}

// signalAll sends everything in as many signals as it takes, in order.
func signalAll[T any](
	ctx context.Context, q *QueueClient, key attune.QueueKey, name string, all []T, payload func(some []T) any,
) error {
	for some := range slices.Chunk(all, maxSignalTickets) {
		if err := q.signal(ctx, key, name, payload(some)); err != nil {
			return err
		}
	}
	return nil
}

func (q *QueueClient) signal(ctx context.Context, key attune.QueueKey, name string, payload any) error {
	options := q.start(key)
	_, err := q.client.SignalWithStartWorkflow(ctx, options.ID, name, payload, options, ActionQueueWorkflowName, QueueInput{Queue: key})
	if err != nil {
		return fmt.Errorf("signal %q to queue %q: %w", name, key, Translate(err))
	}
	return nil
}
