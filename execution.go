package attune

import (
	"encoding/json"
	"time"
)

// Execution is one run of an action, in one or more attempts. It exists only after its enforcement was granted.
type Execution struct {
	ID          ExecutionID     `json:"id"`
	Enforcement EnforcementID   `json:"enforcement_id"`
	Action      Ref             `json:"action"`
	ActionID    ActionID        `json:"action_id"`
	Queue       QueueKey        `json:"queue"`
	Sequence    int64           `json:"sequence"`
	Attempt     int             `json:"attempt"` // the fence: from 1; a report of another attempt changes nothing
	Status      ExecutionStatus `json:"status"`
	Reason      Reason          `json:"reason,omitempty"`
	Error       string          `json:"error,omitempty"` // the reason in words, for people
	// AttemptStatus is how the last attempt ended, while the execution is retrying; empty otherwise.
	AttemptStatus ExecutionStatus `json:"attempt_status,omitempty"`
	RetryAt       *time.Time      `json:"retry_at,omitempty"` // when the next attempt may start; set while a retry keeps its slot
	Pool          string          `json:"pool"`
	Worker        string          `json:"worker,omitempty"`
	Parameters    json.RawMessage `json:"parameters"`
	Timeout       Duration        `json:"timeout"`
	ExitCode      *int            `json:"exit_code,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"` // stdout as a JSON value; absent when stdout is no JSON
	Stdout        string          `json:"stdout,omitempty"`
	Stderr        string          `json:"stderr,omitempty"`
	Truncated     bool            `json:"truncated,omitempty"` // stdout or stderr was longer than the capture limit
	RequestedAt   time.Time       `json:"requested_at"`
	StartedAt     *time.Time      `json:"started_at,omitempty"`
	LeaseUntil    *time.Time      `json:"lease_until,omitempty"` // when the lease expires unless the worker renews it; set while running
	// CancelRequestedAt is when attune first asked the worker to stop the process; nil unless a cancel arrived while it ran.
	CancelRequestedAt *time.Time `json:"cancel_requested_at,omitempty"`
	FinishedAt        *time.Time `json:"finished_at,omitempty"`
}

// ExecutionAttempt records how an attempt ended after which the execution was retried.
type ExecutionAttempt struct {
	Attempt    int             `json:"attempt"`
	Status     ExecutionStatus `json:"status"` // failed, timed_out or abandoned
	Reason     Reason          `json:"reason,omitempty"`
	Error      string          `json:"error,omitempty"` // the reason in words, for people
	ExitCode   *int            `json:"exit_code,omitempty"`
	Worker     string          `json:"worker,omitempty"`
	StartedAt  *time.Time      `json:"started_at,omitempty"` // nil when no worker claimed the attempt
	FinishedAt time.Time       `json:"finished_at"`
}

// ExecutionChange is one manual change of an execution. Its record is kept for ever.
//
// From and To are statuses of the execution for a cancel, and of the enforcement for retry and give_up.
type ExecutionChange struct {
	At time.Time `json:"at"`
	Author
	Kind    ExecutionChangeKind `json:"kind"`
	Attempt int                 `json:"attempt"`
	From    string              `json:"from"`
	To      string              `json:"to"` // or [ExecutionCancelling]; never the same as From
}

// ExecutionCancelling is the value of [ExecutionChange].To after a cancel of a running execution. It is not a status: the
// execution stays running until its worker reports the end.
const ExecutionCancelling = "cancelling"

// ExecutionChangeKind says which change a person made to an execution.
type ExecutionChangeKind string

// The manual changes of an execution.
const (
	ExecutionCancelRequested ExecutionChangeKind = "cancel"  // a person asked for its end
	ExecutionRetried         ExecutionChangeKind = "retry"   // a person sent a parked enforcement back to its line
	ExecutionGivenUp         ExecutionChangeKind = "give_up" // a person ended a parked enforcement
)

// ExecutionStatus is the state of an execution:
//
//	requested ─► running ─► succeeded | failed | timed_out | cancelled | abandoned
//	    ▲           │
//	    └─ retrying ┘
//
// abandoned: the lease expired, so the worker counts as lost.
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

// ExecutionStatuses lists every status, in the order in which an execution can reach them.
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

// ExecutionRequest is what must follow a grant: publish a message, release the slot, or wait for another grant.
type ExecutionRequest struct {
	// Message is the message to publish; nil when the execution already runs or has ended, or must not start.
	Message *ExecutionRequestedMessage
	// Ended: the enforcement has ended (cancelled, expired, rejected or executed). The caller must release its slot.
	Ended bool
	// Fenced: the grant belongs to an earlier generation of the queue, or to a ticket that the enforcement no longer has. The
	// grant allows nothing and holds no slot. The enforcement waits for the grant that replaces it.
	Fenced bool
}

// Completion is the outcome of one report.
type Completion struct {
	Execution ExecutionID
	Queue     QueueKey
	Ticket    Ticket // for [CompletionRetrying] with the next attempt
	Effect    CompletionEffect
	NotBefore time.Time // when the next attempt may start; only for [CompletionRetrying]
}

// CompletionEffect says what a report changed.
type CompletionEffect string

// The effects of a report.
//
// The caller releases the ticket after finished, repeated and parked. After retrying, the caller asks the queue for the next
// attempt. Both are idempotent, and both must happen: otherwise the slot would be held for ever. After requeued, the caller
// admits the enforcement like a new one, which also frees its old slot.
const (
	CompletionFinished CompletionEffect = "finished" // the report ended the execution
	CompletionRepeated CompletionEffect = "repeated" // the execution had ended before the report
	CompletionRetrying CompletionEffect = "retrying" // the attempt has ended, and the next one keeps the slot
	CompletionRequeued CompletionEffect = "requeued" // the attempt has ended, and the enforcement went to the back of the line
	CompletionParked   CompletionEffect = "parked"   // the attempt has ended, and the enforcement waits for a person
	CompletionStale    CompletionEffect = "stale"    // the report is about an earlier attempt
	CompletionUnknown  CompletionEffect = "unknown"  // the execution does not exist
	CompletionForged   CompletionEffect = "forged"   // the reporting worker has not claimed the attempt; nothing was changed
	CompletionForeign  CompletionEffect = "foreign"  // the execution is one of another pool; nothing was changed
)
