package workflows

import (
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// QueueInput starts an ActionQueueWorkflow or continues it.
type QueueInput struct {
	Queue attune.QueueKey `json:"queue"`
	// State is carried from the run before; without it the queue is rebuilt from its rows.
	State *semaphore.State `json:"state,omitempty"`
}

// AcquireSignal puts tickets into a queue. The signal carries the policy: the sender, which accepts the tickets, knows the
// newest one. The revision of the policy keeps a late signal from bringing an old policy back.
type AcquireSignal struct {
	Policy  attune.QueuePolicy `json:"policy"`
	Tickets []attune.Ticket    `json:"tickets"`
}

// TicketsSignal names tickets: to release, or to cancel.
type TicketsSignal struct {
	Tickets []attune.Ticket `json:"tickets"`
}

// RetriesSignal asks for the next attempts of tickets that keep their slots.
type RetriesSignal struct {
	Retries []attune.Retry `json:"retries"`
}

// GrantSignal tells a waiting EnforcementWorkflow that its queue has granted its ticket.
type GrantSignal struct {
	Queue attune.QueueKey `json:"queue"`
	Grant attune.Grant    `json:"grant"`
}

// GapInput asks for the tickets of a gap that still wait.
type GapInput struct {
	Queue attune.QueueKey `json:"queue"`
	Gap   semaphore.Gap   `json:"gap"`
}

// GrantsInput asks to deliver grants of a queue.
type GrantsInput struct {
	Queue  attune.QueueKey `json:"queue"`
	Grants []attune.Grant  `json:"grants"`
}

// DecisionsInput asks to record what a queue has decided.
type DecisionsInput struct {
	Queue attune.QueueKey `json:"queue"`
	attune.QueueDecisions
	// AsleepUpTo is the sequence up to which tickets have a workflow that sleeps: the workflows of settled tickets are woken.
	AsleepUpTo int64 `json:"asleep_up_to,omitempty"`
}

// DecisionsResult says which of the settlements were not recorded, because their tickets had been granted by then.
type DecisionsResult struct {
	Held []attune.Grant `json:"held,omitempty"` // their grants, in the order of their numbers
}

// SleepersInput asks to start the workflows of waiting tickets asleep.
type SleepersInput struct {
	Queue   attune.QueueKey `json:"queue"`
	Tickets []attune.Ticket `json:"tickets"`
}

// InspectionResult says what the rows say about holders: the rest of those asked about is running.
type InspectionResult struct {
	Ended   []attune.Ticket `json:"ended,omitempty"`
	Waiting []attune.Ticket `json:"waiting,omitempty"`
}

// ChangeInput is the argument of the updates [UpdatePause], [UpdateResume], [UpdateDrain] and [UpdateClearLimit], which people
// send with Temporal's own tools. The id of the update is the id of the request. Without a principal, the principal is
// "temporal".
type ChangeInput struct {
	attune.Author
}

// LimitInput is the argument of [UpdateSetLimit].
type LimitInput struct {
	ChangeInput
	attune.LimitOverride
}

// CancelInput is the argument of [UpdateCancel].
type CancelInput struct {
	ChangeInput
	Ticket attune.Ticket `json:"ticket"` // its enforcement and its sequence
}

// ChangesInput is the argument of [UpdateChange].
type ChangesInput struct {
	Changes []attune.ChangeRequest `json:"changes"` // 1 to [maxChanges], made in this order
}

// ChangesResult is the answer of [UpdateChange].
type ChangesResult struct {
	Status attune.QueueStatus `json:"status"` // after all of the changes
	// Failures says for each of the changes, in the order asked, why it was not made.
	Failures []ChangeFailure `json:"failures"`
}

// ChangeFailure is why a change was not made; without a code it was made and is recorded.
type ChangeFailure struct {
	Code    attune.Code `json:"code,omitempty"`
	Message string      `json:"message,omitempty"`
}

// EnforcementInput starts an EnforcementWorkflow. Started by hand, the enforcement's id is enough.
type EnforcementInput struct {
	Enforcement attune.EnforcementID `json:"enforcement"`
	Queue       attune.QueueKey      `json:"queue,omitempty"`
	Grant       *attune.Grant        `json:"grant,omitempty"`
}

// EnforcementResult is what became of an enforcement.
type EnforcementResult struct {
	Queue     attune.QueueKey      `json:"queue"`
	Sequence  int64                `json:"sequence"`
	Grant     int64                `json:"grant,omitempty"`
	Execution attune.ExecutionID   `json:"execution,omitempty"` // 0 when the execution was already under way
	Outcome   EnforcementOutcome   `json:"outcome"`
	ID        attune.EnforcementID `json:"enforcement"`
}

// EnforcementOutcome says how far an EnforcementWorkflow brought its enforcement.
type EnforcementOutcome string

// The outcomes.
const (
	OutcomeRequested EnforcementOutcome = "requested" // its execution exists and workers know of it
	OutcomeEnded     EnforcementOutcome = "ended"     // it ended before it could run

	outcomeFenced EnforcementOutcome = "fenced" // its grant allows nothing: it goes on waiting
)

// AcquiredTicket is the answer of [ActivityAcquireTicket].
type AcquiredTicket struct {
	Queue  attune.QueueKey `json:"queue"`
	Ticket attune.Ticket   `json:"ticket"`
	Ended  bool            `json:"ended,omitempty"` // nothing to wait for: the enforcement has ended, or waits for a person
}

// RequestInput asks to create and publish the execution that a grant allows.
type RequestInput struct {
	Queue attune.QueueKey `json:"queue"`
	Grant attune.Grant    `json:"grant"`
}

// RequestResult is the answer of [ActivityRequestExecution].
type RequestResult struct {
	Execution attune.ExecutionID `json:"execution,omitempty"` // 0 when nothing had to be published
	Ended     bool               `json:"ended,omitempty"`     // the enforcement will not run any more: release the slot
	Fenced    bool               `json:"fenced,omitempty"`    // the grant allows nothing: wait for its replacement
}

// TicketInput names one ticket of a queue: to release, or to cancel.
type TicketInput struct {
	Queue  attune.QueueKey `json:"queue"`
	Ticket attune.Ticket   `json:"ticket"`
}

// QueueView answers [QueryQueue].
type QueueView struct {
	attune.QueueStatus
	Policy   attune.QueuePolicy `json:"policy"`
	Oldest   *time.Time         `json:"oldest_enqueued_at,omitempty"`
	Holders  []semaphore.Holder `json:"holders"`
	Front    []attune.Ticket    `json:"front"` // the first [viewLength] waiting
	Counters semaphore.Counters `json:"counters"`
	Missing  *semaphore.Gap     `json:"missing,omitempty"`
	// Problem says what the queue cannot get done, and why; empty when everything is fine.
	Problem string `json:"problem,omitempty"`
}
