package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// EnforcementWorkflow turns one granted enforcement into one published execution. See the package documentation.
func EnforcementWorkflow(ctx workflow.Context, input EnforcementInput) (EnforcementResult, error) {
	enforcement := &enforcement{
		id:     input.Enforcement,
		queue:  input.Queue,
		grants: signalChannel(ctx, SignalGrant, "The queue's permission to run."),
	}
	grant := input.Grant
	if grant == nil {
		var err error
		if grant, err = enforcement.waitForGrant(ctx); err != nil {
			return EnforcementResult{}, err
		}
	}
	if grant == nil {
		return EnforcementResult{ID: input.Enforcement, Queue: enforcement.queue, Outcome: OutcomeEnded}, nil
	}
	return enforcement.request(ctx, *grant)
}

// enforcement is one run of an EnforcementWorkflow.
type enforcement struct {
	id     attune.EnforcementID
	queue  attune.QueueKey
	ticket attune.Ticket
	grants workflow.ReceiveChannel
}

// waitForGrant acquires and waits, again and again, until the grant is there. It returns nil when the enforcement has
// ended without one.
func (e *enforcement) waitForGrant(ctx workflow.Context) (*attune.Grant, error) {
	for {
		var acquired AcquiredTicket
		if err := do(ctx, "acquire", ActivityAcquireTicket, e.id, &acquired); err != nil {
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
		if grants := drain[attune.Grant](e.grants); len(grants) > 0 {
			return &grants[0], nil
		}
	}
}

// cancel tells the queue that nobody waits here any more. Which of the two came first, the cancel or the grant, is the
// queue's decision.
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
	if err == nil && !requested.Ended {
		result.Execution = requested.Execution
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("grant %d of %s became execution %d",
			grant.Number, QueueWorkflowID(e.queue), requested.Execution))
		drain[attune.Grant](e.grants)
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
	drain[attune.Grant](e.grants)
	return result, nil
}
