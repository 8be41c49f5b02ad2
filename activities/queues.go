// Package activities is what the workflows do to the world. Every activity is idempotent: it may run again at any time,
// with the same input, after it has succeeded. Errors keep their [attune.Code]; what will never work is final for the
// workflow, everything else is retried.
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

// startsInParallel bounds the starts under way for one batch: enough to keep several history shards busy, few enough not to
// crowd out other queues.
const startsInParallel = 16

// deliverTimeout bounds one call of DeliverGrants, which outlives its activity.
const deliverTimeout = 25 * time.Second

// QueueRows is a queue as PostgreSQL has it.
type QueueRows interface {
	RecordControl(ctx context.Context, key attune.QueueKey, control attune.QueueControl) error
	// Rebuild begins a new generation of a queue, which fences off what earlier ones have granted and nobody has acted upon,
	// and returns what the queue starts from.
	Rebuild(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error)
	Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error)
}

// Settler records how tickets ended that never ran, and knows how others ended.
type Settler interface {
	// Ended returns, of the holders asked about, those that have ended and those that still wait.
	Ended(ctx context.Context, key attune.QueueKey, grants []attune.Grant) (ended, waiting []attune.Ticket, err error)
	// Settle records settlements, but for those whose tickets have been granted by their rows: it returns these grants.
	Settle(ctx context.Context, key attune.QueueKey, settlements []attune.Settlement) (held []attune.Grant, err error)
}

// Queues holds the activities of ActionQueueWorkflow.
type Queues struct {
	rows    QueueRows
	settler Settler
	client  client.Client
	config  QueuesConfig
}

// QueuesConfig says how queues and what they start are to be. The zero value is the usual.
type QueuesConfig struct {
	InspectAfter time.Duration // of the queues that are loaded from now on; 0 is [semaphore.InspectAfter]
	ParkAfter    time.Duration // likewise; 0 is [semaphore.ParkAfter]
	Marked       bool          // mark the workflows that are started; see [workflows.EnsureAttributes]
}

// NewQueues returns the activities of queues. For enforcements to start without a detour over the server's task queues,
// the client must be the one that the worker of enforcements uses.
func NewQueues(rows QueueRows, settler Settler, c client.Client, config QueuesConfig) *Queues {
	config.InspectAfter = cmp.Or(config.InspectAfter, semaphore.InspectAfter)
	config.ParkAfter = cmp.Or(config.ParkAfter, semaphore.ParkAfter)
	return &Queues{rows: rows, settler: settler, client: c, config: config}
}

// LoadQueue rebuilds a queue from its rows.
func (a *Queues) LoadQueue(ctx context.Context, key attune.QueueKey) (*semaphore.State, error) {
	snapshot, err := a.rows.Rebuild(ctx, key)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("load queue %q: %w", key, err))
	}
	state := semaphore.New(snapshot)
	state.SetInspectAfter(a.config.InspectAfter)
	state.SetParkAfter(a.config.ParkAfter)
	return state, nil
}

// ReadTickets returns the tickets of a gap that still wait.
func (a *Queues) ReadTickets(ctx context.Context, input workflows.GapInput) ([]attune.Ticket, error) {
	tickets, err := a.rows.Tickets(ctx, input.Queue, input.Gap.From, input.Gap.To)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("read tickets of queue %q: %w", input.Queue, err))
	}
	return tickets, nil
}

// RecordSettlements records how tickets ended that never ran, and wakes those that were parked: they find out that there is
// nothing left to wait for.
func (a *Queues) RecordSettlements(
	ctx context.Context, input workflows.SettlementsInput,
) (workflows.SettlementsResult, error) {
	held, err := a.settler.Settle(ctx, input.Queue, input.Settlements)
	if err != nil {
		err = fmt.Errorf("settle tickets of queue %q: %w", input.Queue, err)
		return workflows.SettlementsResult{}, workflows.ActivityError(err)
	}
	if err := a.wakeParked(ctx, input); err != nil {
		err = fmt.Errorf("wake parked tickets of queue %q: %w", input.Queue, err)
		return workflows.SettlementsResult{}, workflows.ActivityError(err)
	}
	return workflows.SettlementsResult{Held: held}, nil
}

// RecordControl records how the queue is set by hand, and who changed what.
func (a *Queues) RecordControl(ctx context.Context, input workflows.ControlInput) error {
	if err := a.rows.RecordControl(ctx, input.Queue, input.Control); err != nil {
		return workflows.ActivityError(fmt.Errorf("record changes of queue %q: %w", input.Queue, err))
	}
	return nil
}

// InspectHolders asks the rows about holders that have held their slots for long.
func (a *Queues) InspectHolders(ctx context.Context, input workflows.GrantsInput) (workflows.InspectionResult, error) {
	ended, waiting, err := a.settler.Ended(ctx, input.Queue, input.Grants)
	if err != nil {
		return workflows.InspectionResult{}, workflows.ActivityError(fmt.Errorf("inspect holders of queue %q: %w", input.Queue, err))
	}
	return workflows.InspectionResult{Ended: ended, Waiting: waiting}, nil
}

// DeliverGrants starts the EnforcementWorkflow of every grant, with the grant. One that waits already gets it as a signal.
//
// A start is never cut off, not by the end of the activity's time and not by the failure of another: the server hands the
// first task out with its answer, and if nobody is there to receive it, the enforcement stands still until that task times
// out.
func (a *Queues) DeliverGrants(ctx context.Context, input workflows.GrantsInput) error {
	var group errgroup.Group
	group.SetLimit(startsInParallel)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	for _, grant := range input.Grants {
		group.Go(func() error { return a.deliver(ctx, input.Queue, grant) })
	}
	if err := group.Wait(); err != nil {
		return workflows.ActivityError(fmt.Errorf("deliver grants of queue %q: %w", input.Queue, err))
	}
	return nil
}
