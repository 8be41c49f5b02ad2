package workflows

import (
	"context"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// maxSignalTickets bounds one signal. A ticket takes about 90 bytes, so a signal is far below the payload limit of 2 MB.
const maxSignalTickets = 1000

// QueueClient sends signals, updates and queries to queue workflows. Signals and updates start the workflow if it does not run.
type QueueClient struct {
	client     client.Client
	attributes bool // set search attributes on the workflows that the client starts
	changer    *changer
}

// NewQueueClient returns a client for queue workflows.
func NewQueueClient(c client.Client) *QueueClient {
	q := &QueueClient{client: c}
	q.changer = newChanger(q.update)
	return q
}

// WithSearchAttributes returns a client that sets search attributes on the workflows that it starts: see [EnsureAttributes].
func (q *QueueClient) WithSearchAttributes() *QueueClient {
	with := NewQueueClient(q.client)
	with.attributes = true
	return with
}

// start returns the options to start the workflow of a queue.
func (q *QueueClient) start(key attune.QueueKey) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		ID:                    QueueWorkflowID(key),
		TaskQueue:             QueueTaskQueue,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}
	if q.attributes {
		options.TypedSearchAttributes = SearchAttributes(key, policy.OwnerOf(key))
	}
	return options
}

// Acquire sends accepted tickets to their queue. When Acquire returns, the signal is durable.
func (q *QueueClient) Acquire(ctx context.Context, admission attune.Admission) error {
	return signalAll(ctx, q, admission.Queue, SignalAcquire, admission.Tickets, func(tickets []attune.Ticket) any {
		return AcquireSignal{Policy: admission.Policy, Tickets: tickets}
	})
}

// SetPolicy sends a policy to a queue, in an acquire signal without tickets. A queue with a newer policy ignores it.
func (q *QueueClient) SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error {
	return q.signal(ctx, key, SignalAcquire, AcquireSignal{Policy: policy})
}

// Release frees the slots of ended tickets.
func (q *QueueClient) Release(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error {
	return q.signalTickets(ctx, key, SignalRelease, tickets)
}

// Retry requests the next attempts of tickets that keep their slots.
func (q *QueueClient) Retry(ctx context.Context, key attune.QueueKey, retries []attune.Retry) error {
	return signalAll(ctx, q, key, SignalRetry, retries, func(chunk []attune.Retry) any { return RetriesSignal{Retries: chunk} })
}

// CancelByWorkflow cancels waiting tickets, as their own cancelled workflows do. For a person's cancel see [QueueClient.CancelByPerson].
func (q *QueueClient) CancelByWorkflow(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error {
	return q.signalTickets(ctx, key, SignalCancel, tickets)
}

// View queries the state of a queue. A queue that has never been used is [attune.CodeNotFound].
func (q *QueueClient) View(ctx context.Context, key attune.QueueKey) (QueueView, error) {
	return query[QueueView](ctx, q, key, QueryQueue)
}

// Why queries where an enforcement waits, and what keeps it from its grant. A queue that has never been used is
// [attune.CodeNotFound].
func (q *QueueClient) Why(ctx context.Context, key attune.QueueKey, id attune.EnforcementID) (WhyView, error) {
	return query[WhyView](ctx, q, key, QueryWhy, id)
}

// query asks a queue, and decodes its answer.
func query[T any](ctx context.Context, q *QueueClient, key attune.QueueKey, name string, arguments ...any) (answer T, err error) {
	value, err := q.client.QueryWorkflow(ctx, QueueWorkflowID(key), "", name, arguments...)
	if err != nil {
		return answer, fmt.Errorf("query %q of queue %q: %w", name, key, Translate(err))
	}
	if err := value.Get(&answer); err != nil {
		return answer, fmt.Errorf("decode the answer to query %q of queue %q: %w", name, key, err)
	}
	return answer, nil
}

// ForceContinueAsNew makes a queue continue as new, for example to use a new version of its code.
func (q *QueueClient) ForceContinueAsNew(ctx context.Context, key attune.QueueKey) error {
	return q.signal(ctx, key, SignalForceContinueAsNew, nil)
}

func (q *QueueClient) signalTickets(ctx context.Context, key attune.QueueKey, name string, tickets []attune.Ticket) error {
	return signalAll(ctx, q, key, name, tickets, func(chunk []attune.Ticket) any { return TicketsSignal{Tickets: chunk} })
}

// signalAll sends values in order, in signals of at most maxSignalTickets values.
func signalAll[T any](
	ctx context.Context, q *QueueClient, key attune.QueueKey, name string, all []T, payload func(chunk []T) any,
) error {
	for chunk := range slices.Chunk(all, maxSignalTickets) {
		if err := q.signal(ctx, key, name, payload(chunk)); err != nil {
			return err
		}
	}
	return nil
}

// signal sends one signal, and starts the workflow if it does not run. SignalWithStart also starts the next run of a queue at
// once, while a plain signal would wait for the server's minimum interval between runs.
func (q *QueueClient) signal(ctx context.Context, key attune.QueueKey, name string, payload any) error {
	options := q.start(key)
	_, err := q.client.SignalWithStartWorkflow(ctx, options.ID, name, payload, options, ActionQueueWorkflowName, QueueInput{Queue: key})
	if err != nil {
		return fmt.Errorf("signal %q to queue %q: %w", name, key, Translate(err))
	}
	return nil
}
