package workflows

import (
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/semaphore"
)

// The types of this file are stored in Temporal's history: their JSON fields bind running workflows and recorded histories.

// QueueInput is the input of ActionQueueWorkflow.
//
// Stored in Temporal's history: the input of a workflow.
type QueueInput struct {
	Queue attune.QueueKey `json:"queue"`
	// State is the state of the previous run. Without it, the run rebuilds the queue from its rows.
	State *semaphore.State `json:"state,omitempty"`
	// Policy is a policy that the previous run received and did not adopt yet.
	Policy *attune.QueuePolicy `json:"policy,omitempty"`
}

// AcquireSignal adds tickets to a queue. It carries the policy, because the sender knows the newest one. A late signal cannot
// restore an old policy, because the policy has a revision.
//
// Stored in Temporal's history: the payload of signal [SignalAcquire].
type AcquireSignal struct {
	Policy  attune.QueuePolicy `json:"policy"`
	Tickets []attune.Ticket    `json:"tickets"`
}

// TicketsSignal names the tickets to release or to cancel.
//
// Stored in Temporal's history: the payload of signals [SignalRelease] and [SignalCancel].
type TicketsSignal struct {
	Tickets []attune.Ticket `json:"tickets"`
}

// RetriesSignal requests the next attempts of tickets that keep their slots.
//
// Stored in Temporal's history: the payload of signal [SignalRetry].
type RetriesSignal struct {
	Retries []attune.Retry `json:"retries"`
}

// GrantSignal delivers a grant to a waiting EnforcementWorkflow.
//
// Stored in Temporal's history: the payload of signal [SignalGrant].
type GrantSignal struct {
	Queue attune.QueueKey `json:"queue"`
	Grant attune.Grant    `json:"grant"`
}

// GapInput requests the waiting tickets in a range of sequences.
//
// Stored in Temporal's history: the input of [ActivityReadTickets].
type GapInput struct {
	Queue attune.QueueKey `json:"queue"`
	Gap   semaphore.Gap   `json:"gap"`
}

// GrantsInput names the grants to deliver, to inspect, or whose executions must end.
//
// Stored in Temporal's history: the input of [ActivityDeliverGrants], [ActivityInspectHolders] and [ActivityEndReplaced].
type GrantsInput struct {
	Queue  attune.QueueKey `json:"queue"`
	Grants []attune.Grant  `json:"grants"`
	Names  ActionNames     `json:"names,omitempty"` // of the actions of a shared queue, to start workflows
}

// ActionNames are the references of the actions of a shared queue. The queue that an action owns has none.
//
// Stored in Temporal's history: part of the inputs of [ActivityDeliverGrants] and [ActivityStartSleepers].
type ActionNames []ActionName

// ActionName is the reference of an action.
//
// Stored in Temporal's history: see [ActionNames].
type ActionName struct {
	Action attune.ActionID `json:"action"`
	Ref    attune.Ref      `json:"ref"`
}

// Of returns the reference of an action in a queue: the key of the queue if the names do not have it.
func (n ActionNames) Of(queue attune.QueueKey, action attune.ActionID) attune.Ref {
	for _, name := range n {
		if name.Action == action {
			return name.Ref
		}
	}
	return policy.OwnerOf(queue)
}

// DecisionsInput contains the decisions of a queue to record.
//
// Stored in Temporal's history: the input of [ActivityRecordDecisions].
type DecisionsInput struct {
	Queue attune.QueueKey `json:"queue"`
	attune.QueueDecisions
	// AsleepUpTo is the sequence up to which waiting tickets have a sleeping workflow. The activity wakes the workflows of
	// settled tickets.
	AsleepUpTo int64 `json:"asleep_up_to,omitempty"`
}

// DecisionsResult lists the settled tickets that were granted in fact; their settlements were not recorded.
//
// Stored in Temporal's history: the result of [ActivityRecordDecisions].
type DecisionsResult struct {
	Held []attune.Grant `json:"held,omitempty"` // the grants of these tickets, in the order of their numbers
}

// TicketsInput names tickets: waiting ones whose workflows must be started asleep, or ended ones whose rows must be read.
//
// Stored in Temporal's history: the input of [ActivityStartSleepers] and [ActivityStillWaiting].
type TicketsInput struct {
	Queue   attune.QueueKey `json:"queue"`
	Tickets []attune.Ticket `json:"tickets"`
	Names   ActionNames     `json:"names,omitempty"` // see [GrantsInput]
}

// InspectionResult lists the inspected holders that must not hold their slots. The others keep them.
//
// Stored in Temporal's history: the result of [ActivityInspectHolders].
type InspectionResult struct {
	Ended   []attune.Ticket `json:"ended,omitempty"`   // release their slots
	Waiting []attune.Ticket `json:"waiting,omitempty"` // deliver their grants again
}

// ChangesInput is the argument of [UpdateChange].
//
// Stored in Temporal's history: the argument of an update.
type ChangesInput struct {
	Changes []attune.ChangeRequest `json:"changes"` // 1 to [maxChanges], made in this order
}

// ChangesResult is the result of [UpdateChange].
//
// Stored in Temporal's history: the result of an update.
type ChangesResult struct {
	Status attune.QueueStatus `json:"status"` // after all changes
	// Failures has one element per change, in the order of the request.
	Failures []ChangeFailure `json:"failures"`
}

// ChangeFailure says why a change was not made. An empty code means that the change was made and recorded.
//
// Stored in Temporal's history: part of the result of an update.
type ChangeFailure struct {
	Code    attune.Code `json:"code,omitempty"`
	Message string      `json:"message,omitempty"`
}

// EnforcementInput is the input of EnforcementWorkflow. A person can start the workflow with the id only.
//
// Stored in Temporal's history: the input of a workflow.
type EnforcementInput struct {
	Enforcement attune.EnforcementID `json:"enforcement"`
	Queue       attune.QueueKey      `json:"queue,omitempty"`
	Grant       *attune.Grant        `json:"grant,omitempty"`
}

// EnforcementResult is the result of EnforcementWorkflow.
//
// Stored in Temporal's history: the result of a workflow.
type EnforcementResult struct {
	Queue       attune.QueueKey      `json:"queue"`
	Sequence    int64                `json:"sequence"`
	Grant       int64                `json:"grant,omitempty"`
	Execution   attune.ExecutionID   `json:"execution,omitempty"` // 0 if an earlier run published the execution
	Outcome     EnforcementOutcome   `json:"outcome"`
	Enforcement attune.EnforcementID `json:"enforcement"`
}

// EnforcementOutcome is the outcome of an EnforcementWorkflow.
//
// Stored in Temporal's history: part of the result of a workflow.
type EnforcementOutcome string

// The outcomes of an EnforcementWorkflow.
const (
	OutcomeRequested EnforcementOutcome = "requested" // the execution exists and its request is published
	OutcomeEnded     EnforcementOutcome = "ended"     // the enforcement ended before it could run
)

// AcquiredTicket is the current ticket of an enforcement.
//
// Stored in Temporal's history: the result of [ActivityAcquireTicket].
type AcquiredTicket struct {
	Queue  attune.QueueKey `json:"queue"`
	Ticket attune.Ticket   `json:"ticket"`
	Ended  bool            `json:"ended,omitempty"` // the enforcement has ended or is parked: do not wait for a grant
}

// RequestInput names the grant whose execution must be created and published.
//
// Stored in Temporal's history: the input of [ActivityRequestExecution].
type RequestInput struct {
	Queue attune.QueueKey `json:"queue"`
	Grant attune.Grant    `json:"grant"`
}

// RequestResult is the effect of a grant.
//
// Stored in Temporal's history: the result of [ActivityRequestExecution].
type RequestResult struct {
	Execution attune.ExecutionID `json:"execution,omitempty"` // 0 if nothing had to be published
	Ended     bool               `json:"ended,omitempty"`     // the enforcement has ended: release the slot
	Fenced    bool               `json:"fenced,omitempty"`    // the grant is void: wait for the next
}

// TicketInput names one ticket to release or to cancel.
//
// Stored in Temporal's history: the input of [ActivityReleaseTicket] and [ActivityCancelTicket].
type TicketInput struct {
	Queue  attune.QueueKey `json:"queue"`
	Ticket attune.Ticket   `json:"ticket"`
}

// WhyView is the result of [QueryWhy]: where a ticket waits, and what keeps it from its grant.
type WhyView struct {
	Position  int                  `json:"position"` // in the line: 1 is next, 0 means that the enforcement does not wait
	Ticket    *attune.Ticket       `json:"ticket,omitempty"`
	Obstacles []semaphore.Obstacle `json:"obstacles,omitempty"`
}

// QueueView is the result of [QueryQueue] and of every update that makes one change.
//
// Stored in Temporal's history: the result of an update.
type QueueView struct {
	attune.QueueStatus
	Policy   attune.QueuePolicy `json:"policy"`
	Oldest   *time.Time         `json:"oldest_enqueued_at,omitempty"`
	Holders  []semaphore.Holder `json:"holders"`
	Front    []attune.Ticket    `json:"front"` // the first [viewLength] waiting tickets
	Counters semaphore.Counters `json:"counters"`
	Missing  *semaphore.Gap     `json:"missing,omitempty"`
	// Problem says what the queue cannot do, and why. It is empty without a problem.
	Problem string `json:"problem,omitempty"`
}
