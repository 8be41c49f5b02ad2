// Package activities contains the activities of attune's workflows. Every activity is idempotent: it can run again with the
// same input after a success. Errors keep their [attune.Code]: see [workflows.ActivityError]. Temporal retries an activity
// unless its error is final.
package activities

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
	"github.com/attune-go/attune/workflows"
)

// startsInParallel bounds the parallel starts of one batch. That many keep several history shards of Temporal busy, and leave
// room for other queues.
const startsInParallel = 16

// deliverTimeout bounds one call of DeliverGrants, which can outlive its activity.
const deliverTimeout = 25 * time.Second

// QueueRows reads and writes the rows of a queue.
type QueueRows interface {
	// Record records decisions. It returns the grants of settled tickets whose rows were granted.
	Record(ctx context.Context, key attune.QueueKey, decisions attune.QueueDecisions) (granted []attune.Grant, err error)
	// Rebuild begins a new generation of a queue and returns its snapshot. Grants of earlier generations that were not acted
	// upon are void from then on.
	Rebuild(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error)
	// Tickets returns the waiting tickets with sequences from from to to, both included.
	Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error)
	// StillWaiting returns those of the tickets that wait.
	StillWaiting(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) ([]attune.Ticket, error)
}

// HolderRows reads the rows of holders.
type HolderRows interface {
	// Inspect returns the holders that have ended and the holders whose rows still wait.
	Inspect(ctx context.Context, key attune.QueueKey, grants []attune.Grant) (ended, waiting []attune.Ticket, err error)
}

// Canceller cancels executions for a queue.
type Canceller interface {
	// CancelReplaced asks the holders of grants to end. A repeated call asks again.
	CancelReplaced(ctx context.Context, key attune.QueueKey, grants []attune.Grant) error
}

// QueueActivities holds the activities of ActionQueueWorkflow.
type QueueActivities struct {
	rows    QueueRows
	holders HolderRows
	cancels Canceller
	client  client.Client
	config  QueuesConfig
}

// QueuesConfig configures [QueueActivities]. The zero value has the defaults.
type QueuesConfig struct {
	InspectAfter     time.Duration // for queues loaded from now on; 0 means [semaphore.InspectAfter]
	SleepAfter       time.Duration // for queues loaded from now on; 0 means [semaphore.SleepAfter]
	SearchAttributes bool          // set search attributes on started workflows: see [workflows.EnsureAttributes]
}

// NewQueueActivities returns the activities of queues. The temporal worker of enforcements must use the same client: then
// enforcements start eagerly, without the server's task queues.
func NewQueueActivities(
	rows QueueRows, holders HolderRows, cancels Canceller, c client.Client, config QueuesConfig,
) *QueueActivities {
	config.InspectAfter = cmp.Or(config.InspectAfter, semaphore.InspectAfter)
	config.SleepAfter = cmp.Or(config.SleepAfter, semaphore.SleepAfter)
	return &QueueActivities{rows: rows, holders: holders, cancels: cancels, client: c, config: config}
}

// LoadQueue implements [workflows.ActivityLoadQueue]: it rebuilds a queue from its rows.
func (a *QueueActivities) LoadQueue(ctx context.Context, key attune.QueueKey) (*semaphore.State, error) {
	snapshot, err := a.rows.Rebuild(ctx, key)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("load queue %q: %w", key, err))
	}
	state := semaphore.New(snapshot)
	state.SetInspectAfter(a.config.InspectAfter)
	state.SetSleepAfter(a.config.SleepAfter)
	return state, nil
}

// ReadTickets implements [workflows.ActivityReadTickets]: it returns the waiting tickets in a range of sequences.
func (a *QueueActivities) ReadTickets(ctx context.Context, input workflows.GapInput) ([]attune.Ticket, error) {
	tickets, err := a.rows.Tickets(ctx, input.Queue, input.Gap.From, input.Gap.To)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("read tickets of queue %q: %w", input.Queue, err))
	}
	return tickets, nil
}

// StillWaiting implements [workflows.ActivityStillWaiting]: it returns those of the tickets that wait.
func (a *QueueActivities) StillWaiting(ctx context.Context, input workflows.TicketsInput) ([]attune.Ticket, error) {
	waiting, err := a.rows.StillWaiting(ctx, input.Queue, input.Tickets)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("read waiting tickets of queue %q: %w", input.Queue, err))
	}
	return waiting, nil
}

// RecordDecisions implements [workflows.ActivityRecordDecisions]: it records settlements and manual changes. It then wakes the
// sleeping workflows of settled tickets, so that they end.
func (a *QueueActivities) RecordDecisions(ctx context.Context, input workflows.DecisionsInput) (workflows.DecisionsResult, error) {
	granted, err := a.rows.Record(ctx, input.Queue, input.QueueDecisions)
	if err != nil {
		return workflows.DecisionsResult{}, workflows.ActivityError(fmt.Errorf("record decisions of queue %q: %w", input.Queue, err))
	}
	if err := a.wakeSleepers(ctx, input); err != nil {
		err = fmt.Errorf("wake sleeping enforcements of queue %q: %w", input.Queue, err)
		return workflows.DecisionsResult{}, workflows.ActivityError(err)
	}
	return workflows.DecisionsResult{Held: granted}, nil
}

// InspectHolders implements [workflows.ActivityInspectHolders]: it compares holders with their rows.
func (a *QueueActivities) InspectHolders(ctx context.Context, input workflows.GrantsInput) (workflows.InspectionResult, error) {
	ended, waiting, err := a.holders.Inspect(ctx, input.Queue, input.Grants)
	if err != nil {
		return workflows.InspectionResult{}, workflows.ActivityError(fmt.Errorf("inspect holders of queue %q: %w", input.Queue, err))
	}
	return workflows.InspectionResult{Ended: ended, Waiting: waiting}, nil
}

// EndReplaced implements [workflows.ActivityEndReplaced]: it asks replaced holders to end.
func (a *QueueActivities) EndReplaced(ctx context.Context, input workflows.GrantsInput) error {
	if err := a.cancels.CancelReplaced(ctx, input.Queue, input.Grants); err != nil {
		return workflows.ActivityError(fmt.Errorf("end replaced executions of queue %q: %w", input.Queue, err))
	}
	return nil
}

// DeliverGrants implements [workflows.ActivityDeliverGrants]: it starts the EnforcementWorkflow of every grant. A workflow that
// runs or sleeps gets its grant as a signal.
//
// Neither the timeout of the activity nor the failure of another start interrupts a start. The server sends the workflow's
// first task with its reply to the start. If the client did not receive that reply, the enforcement would wait until the task
// times out.
func (a *QueueActivities) DeliverGrants(ctx context.Context, input workflows.GrantsInput) error {
	var group errgroup.Group
	group.SetLimit(startsInParallel)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	for _, grant := range input.Grants {
		group.Go(func() error { return a.deliver(ctx, input.Queue, input.Names.Of(input.Queue, grant.Action), grant) })
	}
	if err := group.Wait(); err != nil {
		return workflows.ActivityError(fmt.Errorf("deliver grants of queue %q: %w", input.Queue, err))
	}
	return nil
}
