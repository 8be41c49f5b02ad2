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
	Pool        string          `json:"pool"`
	Worker      string          `json:"worker,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
	Timeout     Duration        `json:"timeout"`
	ExitCode    *int            `json:"exit_code,omitempty"`
	Result      json.RawMessage `json:"result,omitempty"` // the JSON value the process wrote to stdout, if it is one
	Stdout      string          `json:"stdout,omitempty"`
	Stderr      string          `json:"stderr,omitempty"`
	Truncated   bool            `json:"truncated,omitempty"` // stdout or stderr was longer than the capture limit
	RequestedAt time.Time       `json:"requested_at"`
	StartedAt   *time.Time      `json:"started_at,omitempty"`
	FinishedAt  *time.Time      `json:"finished_at,omitempty"`
}

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
}

// Completion is what finishing an execution did.
type Completion struct {
	Execution ExecutionID
	Queue     QueueKey
	Ticket    Ticket
	Effect    CompletionEffect
}

// CompletionEffect says what a report changed.
type CompletionEffect string

// The effects of a report. Finished and repeated ones release the ticket: releasing twice is harmless, not releasing
// once would hold a slot for ever.
const (
	CompletionFinished CompletionEffect = "finished" // the row was changed by this report
	CompletionRepeated CompletionEffect = "repeated" // the attempt had ended before
	CompletionStale    CompletionEffect = "stale"    // the report is about an attempt that is no longer the current one
	CompletionUnknown  CompletionEffect = "unknown"  // there is no such execution
)
