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
			return EnforcementResult{Enforcement: e.id, Queue: e.queue, Outcome: OutcomeEnded}, nil
		}
		result, fenced, err := e.request(ctx, *grant)
		next := e.newest()
		switch {
		case err != nil:
			return result, err
		case next != nil && supersedes(*next, *grant):
			grant = next // the new grant arrived during the request for the old one
		case fenced:
			grant = nil // the rebuilt queue sends another grant
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

// waitForGrant acquires the ticket and waits for the grant. It repeats both until the grant arrives. If a grant woke a sleeping
// workflow, waitForGrant returns that grant at once. It returns nil when the enforcement has ended.
func (e *enforcement) waitForGrant(ctx workflow.Context) (*attune.Grant, error) {
	if grant := e.newest(); grant != nil {
		return grant, nil
	}
	// A cancelled workflow must know its ticket to cancel it. So a cancel does not stop the acquire.
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

// newest receives all arrived grants and returns the newest, or nil.
func (e *enforcement) newest() *attune.Grant {
	var newest *attune.Grant
	for _, signal := range drain[GrantSignal](e.grants) {
		if newest == nil || supersedes(signal.Grant, *newest) {
			newest, e.queue = &signal.Grant, signal.Queue
		}
	}
	return newest
}

// supersedes reports whether a grant is newer than another grant of the enforcement: for a later attempt, or for the same
// attempt from a later generation of the queue.
func supersedes(grant, other attune.Grant) bool {
	return cmp.Or(cmp.Compare(grant.Attempt, other.Attempt), cmp.Compare(grant.Generation, other.Generation)) > 0
}

// cancel cancels the ticket in the queue. The queue decides whether the cancel or the grant came first.
func (e *enforcement) cancel(ctx workflow.Context, cause error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := do(ctx, "cancel", ActivityCancelTicket, TicketInput{Queue: e.queue, Ticket: e.ticket}, nil); err != nil {
		return fmt.Errorf("cancel the ticket: %w", err)
	}
	return cause
}

// request creates and publishes the execution. A cancel does not stop it: after the grant, people cancel the execution instead.
// A fenced grant is void, and the result has no meaning.
func (e *enforcement) request(ctx workflow.Context, grant attune.Grant) (result EnforcementResult, fenced bool, err error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	result = EnforcementResult{Enforcement: e.id, Queue: e.queue, Sequence: grant.Sequence, Grant: grant.Number, Outcome: OutcomeRequested}
	var requested RequestResult
	err = do(ctx, "request execution", ActivityRequestExecution, RequestInput{Queue: e.queue, Grant: grant}, &requested)
	switch {
	case err == nil && requested.Fenced:
		return result, true, nil
	case err == nil && !requested.Ended:
		result.Execution = requested.Execution
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("grant %d of %s became execution %d",
			grant.Number, QueueWorkflowID(e.queue), requested.Execution))
		return result, false, nil
	}
	// The row refused the grant for good, so no execution exists whose report would free the slot. An error after the row was
	// written is never final.
	if releaseErr := do(ctx, "release", ActivityReleaseTicket, TicketInput{Queue: e.queue, Ticket: grant.Ticket}, nil); releaseErr != nil {
		return result, false, fmt.Errorf("release the ticket: %w", releaseErr)
	}
	if err != nil {
		return result, false, fmt.Errorf("request the execution: %w", err)
	}
	result.Outcome = OutcomeEnded
	return result, false, nil
}
