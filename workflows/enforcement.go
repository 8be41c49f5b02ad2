package workflows

import (
	"cmp"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// EnforcementWorkflow turns one granted enforcement into one published execution. See the package documentation.
func EnforcementWorkflow(ctx workflow.Context, input EnforcementInput) (EnforcementResult, error) {
	e := &enforcement{
		id:     input.Enforcement,
		queue:  input.Queue,
		grants: signalChannel(ctx, SignalGrant, "The queue's permission to run."),
	}
	grant := input.Grant
	for {
		if grant == nil {
			var err error
			if grant, err = e.waitForGrant(ctx); err != nil {
				return EnforcementResult{}, err
			}
		}
		if grant == nil {
			return EnforcementResult{ID: e.id, Queue: e.queue, Outcome: OutcomeEnded}, nil
		}
		result, err := e.request(ctx, *grant)
		next := e.newest()
		switch {
		case err != nil:
			return result, err
		case next != nil && supersedes(*next, *grant):
			grant = next // the new grant came while the request for the old one was under way
		case result.Outcome == outcomeFenced:
			grant = nil // a replacement is on its way
		default:
			return result, nil
		}
	}
}

// enforcement is one run of an EnforcementWorkflow.
type enforcement struct {
	id     attune.EnforcementID
	queue  attune.QueueKey
	ticket attune.Ticket
	grants workflow.ReceiveChannel
}

// waitForGrant acquires a ticket and waits, again and again, until the grant has come. A grant may also be the signal that woke
// a sleeping workflow. waitForGrant returns nil when the enforcement has ended.
func (e *enforcement) waitForGrant(ctx workflow.Context) (*attune.Grant, error) {
	if grant := e.newest(); grant != nil {
		return grant, nil
	}
	// A workflow that is cancelled meanwhile, or woken by a cancel, must know its ticket to take it out of the line.
	acquireCtx, _ := workflow.NewDisconnectedContext(ctx)
	for {
		var acquired AcquiredTicket
		if err := do(acquireCtx, "acquire", ActivityAcquireTicket, e.id, &acquired); err != nil {
			return nil, fmt.Errorf("acquire a ticket: %w", err)
		}
		e.queue, e.ticket = acquired.Queue, acquired.Ticket
		if acquired.Ended {
			return nil, nil
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("waiting in %s with sequence %d", QueueWorkflowID(e.queue), e.ticket.Sequence))
		_, err := workflow.AwaitWithTimeout(ctx, grantWatchdog, func() bool { return e.grants.Len() > 0 })
		if temporal.IsCanceledError(err) {
			return nil, e.cancel(ctx, err)
		}
		if grant := e.newest(); grant != nil {
			return grant, nil
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return nil, workflow.NewContinueAsNewError(ctx, EnforcementWorkflowName,
				EnforcementInput{Enforcement: e.id, Queue: e.queue})
		}
	}
}

// newest receives all grants that have come and returns the newest, or nil.
func (e *enforcement) newest() *attune.Grant {
	var newest *attune.Grant
	for _, signal := range drain[GrantSignal](e.grants) {
		if newest == nil || supersedes(signal.Grant, *newest) {
			newest, e.queue = &signal.Grant, signal.Queue
		}
	}
	return newest
}

// supersedes reports whether a grant allows more than another of the same enforcement: it is for a later attempt, or of a
// later generation of the queue.
func supersedes(grant, other attune.Grant) bool {
	return cmp.Or(cmp.Compare(grant.Attempt, other.Attempt), cmp.Compare(grant.Generation, other.Generation)) > 0
}

// cancel tells the queue that this enforcement no longer waits. The queue decides which came first, the cancel or the grant.
func (e *enforcement) cancel(ctx workflow.Context, cause error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := do(ctx, "cancel", ActivityCancelTicket, TicketInput{Queue: e.queue, Ticket: e.ticket}, nil); err != nil {
		return fmt.Errorf("cancel the ticket: %w", err)
	}
	return cause
}

// request has the execution created and published. It is not stopped by a cancel: from the grant on, it is the execution
// that is cancelled.
func (e *enforcement) request(ctx workflow.Context, grant attune.Grant) (EnforcementResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	result := EnforcementResult{ID: e.id, Queue: e.queue, Sequence: grant.Sequence, Grant: grant.Number, Outcome: OutcomeRequested}
	var requested RequestResult
	err := do(ctx, "request execution", ActivityRequestExecution, RequestInput{Queue: e.queue, Grant: grant}, &requested)
	switch {
	case err == nil && requested.Fenced:
		result.Outcome = outcomeFenced
		return result, nil
	case err == nil && !requested.Ended:
		result.Execution = requested.Execution
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("grant %d of %s became execution %d",
			grant.Number, QueueWorkflowID(e.queue), requested.Execution))
		return result, nil
	}
	// There is no execution whose report would free the slot.
	if releaseErr := do(ctx, "release", ActivityReleaseTicket, TicketInput{Queue: e.queue, Ticket: grant.Ticket}, nil); releaseErr != nil {
		return result, fmt.Errorf("release the ticket: %w", releaseErr)
	}
	if err != nil {
		return result, fmt.Errorf("request the execution: %w", err)
	}
	result.Outcome = OutcomeEnded
	return result, nil
}
