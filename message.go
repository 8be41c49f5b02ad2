package attune

import (
	"encoding/json"
	"fmt"
	"time"
)

// MaxWorkerName bounds the name of a worker, in bytes.
const MaxWorkerName = 100

// Message is what travels over the broker. One Go type per routing key, used by the sender and the receiver.
type Message interface {
	// RoutingKey is where the message goes.
	RoutingKey() string
	// MessageID is the same for every copy of the same message.
	MessageID() string
}

// Routing keys.
const (
	KeyEnforcementCreated = "enforcement.created"
	KeyExecutionCompleted = "execution.completed"
	KeyExecutionClaim     = "execution.claim"
	KeyExecutionRenew     = "execution.renew"
	KeyExecutionCancel    = "execution.cancel"
	keyExecutionRequested = "execution.requested."
)

// KeyExecutionRequested is the routing key of requests for the workers of a pool.
func KeyExecutionRequested(pool string) string { return keyExecutionRequested + pool }

// EnforcementCreatedMessage asks the bridge to accept an enforcement. The row says everything else.
type EnforcementCreatedMessage struct {
	Enforcement EnforcementID `json:"enforcement_id"`
}

// RoutingKey implements [Message].
func (EnforcementCreatedMessage) RoutingKey() string { return KeyEnforcementCreated }

// MessageID implements [Message].
func (m EnforcementCreatedMessage) MessageID() string {
	return fmt.Sprintf("enforcement/%d/created", m.Enforcement)
}

// ExecutionRequestedMessage asks a worker to claim and run one attempt of an execution. It carries all that the worker
// needs, because workers have no database.
type ExecutionRequestedMessage struct {
	Execution   ExecutionID     `json:"execution_id"`
	Enforcement EnforcementID   `json:"enforcement_id"`
	ActionID    ActionID        `json:"action_id"`
	Action      Ref             `json:"action"`
	Attempt     int             `json:"attempt"`
	Pool        string          `json:"pool"`
	Command     []string        `json:"command"`
	Env         []string        `json:"env,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
	Timeout     Duration        `json:"timeout"`
}

// RoutingKey implements [Message].
func (m ExecutionRequestedMessage) RoutingKey() string { return KeyExecutionRequested(m.Pool) }

// MessageID implements [Message].
func (m ExecutionRequestedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/requested", m.Execution, m.Attempt)
}

// ExecutionClaimMessage is a worker's question "may I run this attempt?". The answer is an [ExecutionClaimReply].
type ExecutionClaimMessage struct {
	Execution ExecutionID `json:"execution_id"`
	Attempt   int         `json:"attempt"`
	Worker    string      `json:"worker"`
}

// RoutingKey implements [Message].
func (ExecutionClaimMessage) RoutingKey() string { return KeyExecutionClaim }

// MessageID implements [Message].
func (m ExecutionClaimMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/claim/%s", m.Execution, m.Attempt, m.Worker)
}

// Validate reports what a receiver could not act upon.
func (m ExecutionClaimMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || m.Worker == "" {
		return Errorf(CodeInvalid, "execution.claim needs an execution, an attempt and a worker; got %d, %d, %q",
			m.Execution, m.Attempt, m.Worker)
	}
	return CheckText("worker", m.Worker, MaxWorkerName)
}

// ExecutionClaimReply answers an [ExecutionClaimMessage]. The same worker asking again about the same attempt gets the
// same answer, so a lost reply costs a repeated question and nothing else.
type ExecutionClaimReply struct {
	Execution ExecutionID     `json:"execution_id"`
	Attempt   int             `json:"attempt"`
	Granted   bool            `json:"granted"`
	Status    ExecutionStatus `json:"status,omitempty"` // where the execution stands; empty if it does not exist
	// Lease is how long the attempt may run, from the moment of the question on, unless the worker renews it; 0 if it may not.
	Lease Duration `json:"lease,omitempty"`
}

// AttemptID names one attempt of an execution.
type AttemptID struct {
	Execution ExecutionID `json:"execution_id"`
	Attempt   int         `json:"attempt"`
}

// ExecutionRenewMessage is how a worker says that it lives, and asks to go on with the attempts that it runs. The answer is
// an [ExecutionRenewReply].
type ExecutionRenewMessage struct {
	Worker   string      `json:"worker"`
	Attempts []AttemptID `json:"attempts"`
}

// RoutingKey implements [Message].
func (ExecutionRenewMessage) RoutingKey() string { return KeyExecutionRenew }

// MessageID implements [Message].
func (m ExecutionRenewMessage) MessageID() string { return fmt.Sprintf("worker/%s/renew", m.Worker) }

// Validate reports what a receiver could not act upon.
func (m ExecutionRenewMessage) Validate() error {
	if m.Worker == "" {
		return Errorf(CodeInvalid, "execution.renew needs a worker: it has none, and %d attempts", len(m.Attempts))
	}
	for _, id := range m.Attempts {
		if id.Execution <= 0 || id.Attempt <= 0 {
			return Errorf(CodeInvalid, "execution.renew of worker %q needs executions and attempts above 0; got %d, %d",
				m.Worker, id.Execution, id.Attempt)
		}
	}
	return CheckText("worker", m.Worker, MaxWorkerName)
}

// ExecutionRenewReply answers an [ExecutionRenewMessage]. What is lost is no longer the worker's to run: its lease has run
// out, or it has ended. A lease that has run out is never renewed.
type ExecutionRenewReply struct {
	Lease Duration    `json:"lease"` // of the others, from the moment of the question on
	Lost  []AttemptID `json:"lost,omitempty"`
}

// ExecutionCompletedMessage reports how one attempt ended. There is exactly one per attempt that was claimed.
type ExecutionCompletedMessage struct {
	Execution   ExecutionID     `json:"execution_id"`
	Enforcement EnforcementID   `json:"enforcement_id"`
	ActionID    ActionID        `json:"action_id"`
	Attempt     int             `json:"attempt"`
	Worker      string          `json:"worker"`
	Status      ExecutionStatus `json:"status"` // a terminal one
	Reason      Reason          `json:"reason,omitempty"`
	Error       string          `json:"error,omitempty"`
	ExitCode    *int            `json:"exit_code,omitempty"`
	Result      json.RawMessage `json:"result,omitempty"`
	Stdout      string          `json:"stdout,omitempty"`
	Stderr      string          `json:"stderr,omitempty"`
	Truncated   bool            `json:"truncated,omitempty"`
	StartedAt   time.Time       `json:"started_at"`  // the worker's clock
	FinishedAt  time.Time       `json:"finished_at"` // the worker's clock
}

// RoutingKey implements [Message].
func (ExecutionCompletedMessage) RoutingKey() string { return KeyExecutionCompleted }

// MessageID implements [Message].
func (m ExecutionCompletedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/completed", m.Execution, m.Attempt)
}

// Validate reports what a receiver could not act upon.
func (m ExecutionCompletedMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || !m.Status.Terminal() {
		return Errorf(CodeInvalid, "execution.completed needs an execution, an attempt and a terminal status; got %d, %d, %q",
			m.Execution, m.Attempt, m.Status)
	}
	return nil
}

// ExecutionCancelMessage asks every worker to end the process of an execution, if it runs it. The worker that does
// reports it as cancelled; the others ignore it.
type ExecutionCancelMessage struct {
	Execution ExecutionID `json:"execution_id"`
	Attempt   int         `json:"attempt"`
}

// RoutingKey implements [Message].
func (ExecutionCancelMessage) RoutingKey() string { return KeyExecutionCancel }

// MessageID implements [Message].
func (m ExecutionCancelMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/cancel", m.Execution, m.Attempt)
}

// OutboxRow is a message that was written together with the change it speaks of and waits to be published.
type OutboxRow struct {
	ID         int64
	RoutingKey string
	MessageID  string
	Body       []byte
}
