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
	// Record records what the queue has decided. It returns the grants of tickets that the queue has settled and that were
	// granted by their rows.
	Record(ctx context.Context, key attune.QueueKey, decisions attune.QueueDecisions) (held []attune.Grant, err error)
	// Rebuild begins a new generation of a queue and returns the snapshot that the queue starts from. The new generation
	// fences off the grants of earlier generations that were not acted upon.
	Rebuild(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error)
	Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error)
}

// HolderRows says what became of holders.
type HolderRows interface {
	// Inspect returns, of the holders asked about, the tickets that have ended and the tickets that still wait.
	Inspect(ctx context.Context, key attune.QueueKey, grants []attune.Grant) (ended, waiting []attune.Ticket, err error)
}

// QueueActivities holds the activities of ActionQueueWorkflow.
type QueueActivities struct {
	rows    QueueRows
	holders HolderRows
	client  client.Client
	config  QueuesConfig
}

// QueuesConfig says how queues and what they start are to be. The zero value is the usual.
type QueuesConfig struct {
	InspectAfter time.Duration // of the queues that are loaded from now on; 0 is [semaphore.InspectAfter]
	SleepAfter   time.Duration // likewise; 0 is [semaphore.SleepAfter]
	Marked       bool          // mark the workflows that are started; see [workflows.EnsureAttributes]
}

// NewQueueActivities returns the activities of queues. For enforcements to start without a detour over the server's task queues,
// the worker of enforcements must use the same client.
func NewQueueActivities(rows QueueRows, holders HolderRows, c client.Client, config QueuesConfig) *QueueActivities {
	config.InspectAfter = cmp.Or(config.InspectAfter, semaphore.InspectAfter)
	config.SleepAfter = cmp.Or(config.SleepAfter, semaphore.SleepAfter)
	return &QueueActivities{rows: rows, holders: holders, client: c, config: config}
}

// LoadQueue rebuilds a queue from its rows.
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

// ReadTickets returns the tickets of a gap that still wait.
func (a *QueueActivities) ReadTickets(ctx context.Context, input workflows.GapInput) ([]attune.Ticket, error) {
	tickets, err := a.rows.Tickets(ctx, input.Queue, input.Gap.From, input.Gap.To)
	if err != nil {
		return nil, workflows.ActivityError(fmt.Errorf("read tickets of queue %q: %w", input.Queue, err))
	}
	return tickets, nil
}

// RecordDecisions records how tickets ended that never ran and what was changed by hand. It wakes the sleeping workflows of the
// tickets: each finds out that its ticket has ended.
func (a *QueueActivities) RecordDecisions(ctx context.Context, input workflows.DecisionsInput) (workflows.DecisionsResult, error) {
	held, err := a.rows.Record(ctx, input.Queue, input.QueueDecisions)
	if err != nil {
		return workflows.DecisionsResult{}, workflows.ActivityError(fmt.Errorf("record decisions of queue %q: %w", input.Queue, err))
	}
	if err := a.wakeSleepers(ctx, input); err != nil {
		err = fmt.Errorf("wake sleeping enforcements of queue %q: %w", input.Queue, err)
		return workflows.DecisionsResult{}, workflows.ActivityError(err)
	}
	return workflows.DecisionsResult{Held: held}, nil
}

// InspectHolders asks the rows about holders that have held their slots for long.
func (a *QueueActivities) InspectHolders(ctx context.Context, input workflows.GrantsInput) (workflows.InspectionResult, error) {
	ended, waiting, err := a.holders.Inspect(ctx, input.Queue, input.Grants)
	if err != nil {
		return workflows.InspectionResult{}, workflows.ActivityError(fmt.Errorf("inspect holders of queue %q: %w", input.Queue, err))
	}
	return workflows.InspectionResult{Ended: ended, Waiting: waiting}, nil
}

// DeliverGrants starts the EnforcementWorkflow of every grant, with the grant. One that waits already gets it as a signal.
//
// A start is never cut off, neither by the end of the activity's time nor by the failure of another start: the server hands
// out the first task with its answer. If the client no longer receives that answer, the enforcement stands still until the
// task times out.
func (a *QueueActivities) DeliverGrants(ctx context.Context, input workflows.GrantsInput) error {
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
