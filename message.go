package attune

import (
	"encoding/json"
	"fmt"
	"time"
)

// MaxWorkerName bounds the name of a worker, in bytes.
const MaxWorkerName = 100

// Message is a message on the broker. Each routing key has one Go type, which sender and receiver share.
type Message interface {
	// RoutingKey is the routing key with which the message is published.
	RoutingKey() string
	// MessageID is the same for every copy of a message.
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

// EnforcementCreatedMessage asks the bridge to admit an enforcement to its queue. The bridge reads the rest from the row.
type EnforcementCreatedMessage struct {
	Enforcement EnforcementID `json:"enforcement_id"`
}

// RoutingKey implements [Message].
func (EnforcementCreatedMessage) RoutingKey() string { return KeyEnforcementCreated }

// MessageID implements [Message].
func (m EnforcementCreatedMessage) MessageID() string {
	return fmt.Sprintf("enforcement/%d/created", m.Enforcement)
}

// ExecutionRequestedMessage asks a worker to claim and run one attempt of an execution. It carries everything that the worker
// needs, because workers have no access to the database.
type ExecutionRequestedMessage struct {
	Installation InstallationID  `json:"installation"` // the database that the ids belong to
	Execution    ExecutionID     `json:"execution_id"`
	Enforcement  EnforcementID   `json:"enforcement_id"`
	ActionID     ActionID        `json:"action_id"`
	Action       Ref             `json:"action"`
	Attempt      int             `json:"attempt"`
	Pool         string          `json:"pool"`
	Command      []string        `json:"command"`
	Env          []string        `json:"env,omitempty"`
	Parameters   json.RawMessage `json:"parameters"`
	Timeout      Duration        `json:"timeout"`
}

// RoutingKey implements [Message].
func (m ExecutionRequestedMessage) RoutingKey() string { return KeyExecutionRequested(m.Pool) }

// MessageID implements [Message].
func (m ExecutionRequestedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/requested", m.Execution, m.Attempt)
}

// ExecutionClaimMessage is a worker's claim of one attempt. The bridge replies with an [ExecutionClaimReply].
type ExecutionClaimMessage struct {
	Installation InstallationID `json:"installation"` // from the request
	Execution    ExecutionID    `json:"execution_id"`
	Attempt      int            `json:"attempt"`
	Worker       string         `json:"worker"`
}

// RoutingKey implements [Message].
func (ExecutionClaimMessage) RoutingKey() string { return KeyExecutionClaim }

// MessageID implements [Message].
func (m ExecutionClaimMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/claim/%s", m.Execution, m.Attempt, m.Worker)
}

// Validate returns a [CodeInvalid] error for a claim without an execution, an attempt or a valid worker name.
func (m ExecutionClaimMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || m.Worker == "" {
		return Errorf(CodeInvalid, "execution.claim needs an execution, an attempt and a worker; got %d, %d, %q",
			m.Execution, m.Attempt, m.Worker)
	}
	return CheckText("worker", m.Worker, MaxWorkerName)
}

// ExecutionClaimReply answers an [ExecutionClaimMessage]. A worker that repeats a claim gets the same reply, so a lost reply
// costs one repeated claim.
type ExecutionClaimReply struct {
	Execution ExecutionID     `json:"execution_id"`
	Attempt   int             `json:"attempt"`
	Granted   bool            `json:"granted"`          // the worker may run the attempt
	Status    ExecutionStatus `json:"status,omitempty"` // status of the execution; empty when it does not exist
	// Lease is how long the attempt may run unless the worker renews the lease. It counts from the moment at which the worker
	// sent the claim. 0 when the claim was refused.
	Lease Duration `json:"lease,omitempty"`
}

// AttemptID names one attempt of an execution. A restored database uses ids of executions again, under another installation.
type AttemptID struct {
	Installation InstallationID `json:"installation"`
	Execution    ExecutionID    `json:"execution_id"`
	Attempt      int            `json:"attempt"`
}

// ExecutionRenewMessage asks to renew the leases of all attempts that a worker runs. The bridge replies with an
// [ExecutionRenewReply].
type ExecutionRenewMessage struct {
	Worker   string      `json:"worker"`
	Attempts []AttemptID `json:"attempts"`
}

// RoutingKey implements [Message].
func (ExecutionRenewMessage) RoutingKey() string { return KeyExecutionRenew }

// MessageID implements [Message].
func (m ExecutionRenewMessage) MessageID() string { return fmt.Sprintf("worker/%s/renew", m.Worker) }

// Validate returns a [CodeInvalid] error for a message without a valid worker name, or with an id that is not above 0.
func (m ExecutionRenewMessage) Validate() error {
	if m.Worker == "" {
		return Errorf(CodeInvalid, "execution.renew needs a worker: a message with %d attempts has none", len(m.Attempts))
	}
	for _, id := range m.Attempts {
		if id.Execution <= 0 || id.Attempt <= 0 {
			return Errorf(CodeInvalid, "execution.renew of worker %q needs executions and attempts above 0; got %d, %d",
				m.Worker, id.Execution, id.Attempt)
		}
	}
	return CheckText("worker", m.Worker, MaxWorkerName)
}

// ExecutionRenewReply answers an [ExecutionRenewMessage]. An expired lease is never renewed.
type ExecutionRenewReply struct {
	// Lease is the new lease of all attempts that are not in Lost. It counts from the moment at which the worker sent the request.
	Lease Duration `json:"lease"`
	// Lost lists the attempts that the worker must stop: the lease expired, the attempt ended, another worker owns it, or it is
	// of another installation.
	Lost []AttemptID `json:"lost,omitempty"`
}

// ExecutionCompletedMessage reports how one attempt ended. Each claimed attempt has exactly one report.
type ExecutionCompletedMessage struct {
	Installation InstallationID  `json:"installation"` // from the request
	Execution    ExecutionID     `json:"execution_id"`
	Enforcement  EnforcementID   `json:"enforcement_id"`
	ActionID     ActionID        `json:"action_id"`
	Attempt      int             `json:"attempt"`
	Worker       string          `json:"worker"`
	Status       ExecutionStatus `json:"status"` // a terminal status
	Reason       Reason          `json:"reason,omitempty"`
	Error        string          `json:"error,omitempty"`
	ExitCode     *int            `json:"exit_code,omitempty"`
	Result       json.RawMessage `json:"result,omitempty"`
	Stdout       string          `json:"stdout,omitempty"`
	Stderr       string          `json:"stderr,omitempty"`
	Truncated    bool            `json:"truncated,omitempty"`
	StartedAt    time.Time       `json:"started_at"`  // by the worker's clock
	FinishedAt   time.Time       `json:"finished_at"` // by the worker's clock
}

// RoutingKey implements [Message].
func (ExecutionCompletedMessage) RoutingKey() string { return KeyExecutionCompleted }

// MessageID implements [Message].
func (m ExecutionCompletedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/completed", m.Execution, m.Attempt)
}

// Validate returns a [CodeInvalid] error for a report without an execution, an attempt or a terminal status.
func (m ExecutionCompletedMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || !m.Status.Terminal() {
		return Errorf(CodeInvalid, "execution.completed needs an execution, an attempt and a terminal status; got %d, %d, %q",
			m.Execution, m.Attempt, m.Status)
	}
	return nil
}

// ExecutionCancelMessage goes to every worker. The worker that runs the execution ends the process and reports the attempt as
// cancelled. The other workers ignore the message.
type ExecutionCancelMessage struct {
	Installation InstallationID `json:"installation"`
	Execution    ExecutionID    `json:"execution_id"`
	Attempt      int            `json:"attempt"`
}

// RoutingKey implements [Message].
func (ExecutionCancelMessage) RoutingKey() string { return KeyExecutionCancel }

// MessageID implements [Message].
func (m ExecutionCancelMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/cancel", m.Execution, m.Attempt)
}

// OutboxRow is a message that waits to be published. It was written in the transaction of the change that it reports.
type OutboxRow struct {
	ID         int64
	RoutingKey string
	MessageID  string
	Body       []byte
}
