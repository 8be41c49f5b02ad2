package activities

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// Admitter admits enforcements to their queues. A repeated Admit returns the same ticket.
type Admitter interface {
	Admit(ctx context.Context, ids []attune.EnforcementID) ([]attune.Admission, error)
	Get(ctx context.Context, id attune.EnforcementID) (attune.Enforcement, error)
}

// Requester turns a grant into an execution.
type Requester interface {
	Request(ctx context.Context, key attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error)
}

// Publisher publishes messages. It returns when the broker has confirmed and routed them.
type Publisher interface {
	Publish(ctx context.Context, messages ...attune.Message) error
}

// QueueSignals sends signals to queues.
type QueueSignals interface {
	Acquire(ctx context.Context, admission attune.Admission) error
	Release(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error
	CancelByWorkflow(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error
}

// EnforcementActivities holds the activities of EnforcementWorkflow.
type EnforcementActivities struct {
	admitter  Admitter
	requester Requester
	publisher Publisher
	queues    QueueSignals
}

// NewEnforcementActivities returns the activities of enforcements.
func NewEnforcementActivities(admitter Admitter, requester Requester, publisher Publisher, queues QueueSignals) *EnforcementActivities {
	return &EnforcementActivities{admitter: admitter, requester: requester, publisher: publisher, queues: queues}
}

// AcquireTicket implements [workflows.ActivityAcquireTicket]: it admits the enforcement if necessary, and sends its ticket to
// the queue. If the ticket holds a slot, the queue delivers its grant again.
func (a *EnforcementActivities) AcquireTicket(ctx context.Context, id attune.EnforcementID) (workflows.AcquiredTicket, error) {
	admissions, err := a.admitter.Admit(ctx, []attune.EnforcementID{id})
	if err != nil {
		return workflows.AcquiredTicket{}, workflows.ActivityError(fmt.Errorf("admit enforcement %d: %w", id, err))
	}
	enforcement, err := a.admitter.Get(ctx, id)
	if err != nil {
		return workflows.AcquiredTicket{}, workflows.ActivityError(fmt.Errorf("read enforcement %d: %w", id, err))
	}
	acquired := workflows.AcquiredTicket{
		Queue:  enforcement.Queue,
		Ticket: attune.Ticket{Enforcement: id, Sequence: enforcement.Sequence, Lane: enforcement.Lane, Action: enforcement.ActionID},
		Ended:  enforcement.Status.Terminal() || enforcement.Status == attune.EnforcementParked,
	}
	if acquired.Ended {
		return acquired, nil
	}
	if enforcement.QueuedAt != nil {
		acquired.Ticket.EnqueuedAt = *enforcement.QueuedAt
	}
	// Admit skips a ticket that no longer waits. The signal then makes the queue deliver the grant again. It has no policy: its
	// revision is 0, and the queue ignores every revision that is not above its own.
	admission := attune.Admission{Queue: enforcement.Queue, Tickets: []attune.Ticket{acquired.Ticket}}
	if len(admissions) > 0 {
		admission = admissions[0]
		acquired.Ticket = admission.Tickets[0]
	}
	if err := a.queues.Acquire(ctx, admission); err != nil {
		return acquired, workflows.ActivityError(fmt.Errorf("acquire ticket of enforcement %d: %w", id, err))
	}
	return acquired, nil
}

// RequestExecution implements [workflows.ActivityRequestExecution]: it creates the execution of a grant, and then publishes its
// request to the workers. After a crash in between, the message is published again; a claim lets only one worker run the
// attempt.
func (a *EnforcementActivities) RequestExecution(ctx context.Context, input workflows.RequestInput) (workflows.RequestResult, error) {
	request, err := a.requester.Request(ctx, input.Queue, input.Grant)
	if err != nil {
		err = fmt.Errorf("create execution of enforcement %d: %w", input.Grant.Enforcement, err)
		return workflows.RequestResult{}, workflows.ActivityError(err)
	}
	if request.Message == nil {
		return workflows.RequestResult{Ended: request.Ended, Fenced: request.Fenced}, nil
	}
	if err := a.publisher.Publish(ctx, *request.Message); err != nil {
		return workflows.RequestResult{}, workflows.ActivityError(publishError(request.Message.Execution, err))
	}
	return workflows.RequestResult{Execution: request.Message.Execution}, nil
}

// publishError makes every error of a publish retryable, whatever its code. The execution exists and holds its slot, so giving up
// would leave it requested forever. An operator can correct the broker: for example, delete a queue with other settings.
func publishError(execution attune.ExecutionID, err error) error {
	return attune.WrapError(attune.CodeUnavailable, err, "publish execution %d", execution)
}

// ReleaseTicket implements [workflows.ActivityReleaseTicket]: it frees the slot of a ticket without an execution.
func (a *EnforcementActivities) ReleaseTicket(ctx context.Context, input workflows.TicketInput) error {
	if err := a.queues.Release(ctx, input.Queue, []attune.Ticket{input.Ticket}); err != nil {
		return workflows.ActivityError(fmt.Errorf("release enforcement %d: %w", input.Ticket.Enforcement, err))
	}
	return nil
}

// CancelTicket implements [workflows.ActivityCancelTicket]: it cancels a waiting ticket.
func (a *EnforcementActivities) CancelTicket(ctx context.Context, input workflows.TicketInput) error {
	if err := a.queues.CancelByWorkflow(ctx, input.Queue, []attune.Ticket{input.Ticket}); err != nil {
		return workflows.ActivityError(fmt.Errorf("cancel enforcement %d: %w", input.Ticket.Enforcement, err))
	}
	return nil
}
