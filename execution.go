package attune

import (
	"encoding/json"
	"time"
)

// Execution is one run of an action. It exists only after its enforcement was granted.
type Execution struct {
	ID          ExecutionID     `json:"id"`
	Enforcement EnforcementID   `json:"enforcement_id"`
	Action      Ref             `json:"action"`
	ActionID    ActionID        `json:"action_id"`
	Queue       QueueKey        `json:"queue"`
	Sequence    int64           `json:"sequence"`
	Attempt     int             `json:"attempt"` // the fence: from 1; a report with another attempt is dropped
	Status      ExecutionStatus `json:"status"`
	Reason      Reason          `json:"reason,omitempty"`
	Error       string          `json:"error,omitempty"` // the reason for a person
	// AttemptStatus is how the attempt before has ended, while the next one is still to come; empty otherwise.
	AttemptStatus ExecutionStatus `json:"attempt_status,omitempty"`
	RetryAt       *time.Time      `json:"retry_at,omitempty"` // when the next attempt may start, while it keeps its slot
	Pool          string          `json:"pool"`
	Worker        string          `json:"worker,omitempty"`
	Parameters    json.RawMessage `json:"parameters"`
	Timeout       Duration        `json:"timeout"`
	ExitCode      *int            `json:"exit_code,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"` // the JSON value the process wrote to stdout, if it is one
	Stdout        string          `json:"stdout,omitempty"`
	Stderr        string          `json:"stderr,omitempty"`
	Truncated     bool            `json:"truncated,omitempty"` // stdout or stderr was longer than the capture limit
	RequestedAt   time.Time       `json:"requested_at"`
	StartedAt     *time.Time      `json:"started_at,omitempty"`
	LeaseUntil    *time.Time      `json:"lease_until,omitempty"` // while it runs: when it counts as lost unless its worker renews it
	// CancelRequestedAt is when its worker was first asked to stop it; nil unless a cancel came while it ran.
	CancelRequestedAt *time.Time `json:"cancel_requested_at,omitempty"`
	FinishedAt        *time.Time `json:"finished_at,omitempty"`
}

// ExecutionAttempt is how an attempt of an execution has ended that was to be followed by another.
type ExecutionAttempt struct {
	Attempt    int             `json:"attempt"`
	Status     ExecutionStatus `json:"status"` // failed, timed_out or abandoned
	Reason     Reason          `json:"reason,omitempty"`
	Error      string          `json:"error,omitempty"` // the reason for a person
	ExitCode   *int            `json:"exit_code,omitempty"`
	Worker     string          `json:"worker,omitempty"`
	StartedAt  *time.Time      `json:"started_at,omitempty"` // nil: no worker has claimed it
	FinishedAt time.Time       `json:"finished_at"`
}

// ExecutionChange is a change that a person made to an execution by hand. It is kept for ever.
type ExecutionChange struct {
	At time.Time `json:"at"`
	Author
	Kind    ExecutionChangeKind `json:"kind"`
	Attempt int                 `json:"attempt"`
	From    string              `json:"from"` // the status before: of the execution, for retry and give_up of the enforcement
	To      string              `json:"to"`   // the status after, or [ExecutionCancelling]; never the same as From
}

// ExecutionCancelling is what a cancel makes of an execution that runs: its worker is asked to stop it. It is no status: the
// execution is running until its worker reports the end.
const ExecutionCancelling = "cancelling"

// ExecutionChangeKind says which change a person made to an execution.
type ExecutionChangeKind string

// What can be done to an execution by hand.
const (
	ExecutionCancelAsked ExecutionChangeKind = "cancel"  // its end was asked for
	ExecutionRetried     ExecutionChangeKind = "retry"   // parked, it was put at the end of its line again
	ExecutionGivenUp     ExecutionChangeKind = "give_up" // parked, it was ended
)

// ExecutionStatus is where an execution stands:
//
//	requested ─► running ─► succeeded | failed | timed_out | cancelled | abandoned
//	    ▲           │
//	    └─ retrying ┘
//
// abandoned means that its worker was lost.
type ExecutionStatus string

// The statuses of an execution.
const (
	ExecutionRequested ExecutionStatus = "requested"
	ExecutionRunning   ExecutionStatus = "running"
	ExecutionRetrying  ExecutionStatus = "retrying"
	ExecutionSucceeded ExecutionStatus = "succeeded"
	ExecutionFailed    ExecutionStatus = "failed"
	ExecutionTimedOut  ExecutionStatus = "timed_out"
	ExecutionCancelled ExecutionStatus = "cancelled"
	ExecutionAbandoned ExecutionStatus = "abandoned"
)

// ExecutionStatuses lists every status, in the order of a life.
func ExecutionStatuses() []ExecutionStatus {
	return []ExecutionStatus{
		ExecutionRequested, ExecutionRunning, ExecutionRetrying,
		ExecutionSucceeded, ExecutionFailed, ExecutionTimedOut, ExecutionCancelled, ExecutionAbandoned,
	}
}

// Terminal reports whether the execution has ended.
func (s ExecutionStatus) Terminal() bool {
	switch s {
	case ExecutionSucceeded, ExecutionFailed, ExecutionTimedOut, ExecutionCancelled, ExecutionAbandoned:
		return true
	default:
		return false
	}
}

// ExecutionRequest is the answer to "this ticket was granted": what must be published, or that nothing must run.
type ExecutionRequest struct {
	// Message is what to publish; nil when the execution is already running or ended, or must not start.
	Message *ExecutionRequestedMessage
	// Ended says that the enforcement will not run any more (cancelled, expired, rejected, or already executed), so its
	// slot must be released.
	Ended bool
	// Fenced says that the grant is of an earlier generation of the queue, or of a place that the enforcement no longer has:
	// it allows nothing, and holds nothing. The enforcement has to wait for the grant that replaces it.
	Fenced bool
}

// Completion is what finishing an execution did.
type Completion struct {
	Execution ExecutionID
	Queue     QueueKey
	Ticket    Ticket
	Effect    CompletionEffect
	NotBefore time.Time // of [CompletionRetrying]: when the next attempt, which Ticket then names, may start
}

// CompletionEffect says what a report changed.
type CompletionEffect string

// The effects of a report. Finished, repeated and parked ones release the ticket, retrying ones ask the queue for the next
// attempt: doing either twice is harmless, not doing it once would hold a slot for ever. A requeued enforcement is accepted
// like a new one, which gives its old slot back.
const (
	CompletionFinished CompletionEffect = "finished" // the row was changed by this report
	CompletionRepeated CompletionEffect = "repeated" // the execution had ended before
	CompletionRetrying CompletionEffect = "retrying" // the attempt has ended, and the next one keeps the slot
	CompletionRequeued CompletionEffect = "requeued" // the attempt has ended, and the enforcement has gone to the back
	CompletionParked   CompletionEffect = "parked"   // the attempt has ended, and the enforcement waits for a person
	CompletionStale    CompletionEffect = "stale"    // the report is about an attempt that is no longer the current one
	CompletionUnknown  CompletionEffect = "unknown"  // there is no such execution
)
