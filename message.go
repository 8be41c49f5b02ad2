package attune

import "fmt"

// Message is a message on the broker. Each routing key has one Go type, which sender and receiver share.
type Message interface {
	// RoutingKey is the routing key with which the message is published.
	RoutingKey() string
	// MessageID is the same for every copy of a message.
	MessageID() string
}

// Routing keys. Those of claims, renewals and reports are followed by the pool of the worker: see [KeyOfPool].
const (
	KeyEnforcementCreated = "enforcement.created"
	KeyExecutionCompleted = "execution.completed"
	KeyExecutionEnded     = "execution.ended"
	KeyExecutionClaim     = "execution.claim"
	KeyExecutionRenew     = "execution.renew"
	KeyExecutionCancel    = "execution.cancel"
	keyExecutionRequested = "execution.requested"
)

// KeyOfPool is the routing key of messages of a type that belong to one pool. The broker bounds by it what the user of a worker may
// publish.
func KeyOfPool(key, pool string) string { return key + "." + pool }

// KeyExecutionRequested is the routing key of requests for the workers of a pool.
func KeyExecutionRequested(pool string) string { return KeyOfPool(keyExecutionRequested, pool) }

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

// ExecutionRequestedMessage tells the workers of a pool that an attempt of an execution waits for a claim. It is a hint and proves
// nothing: the worker takes the command from its own pack, and everything else from the reply to its claim.
type ExecutionRequestedMessage struct {
	Installation InstallationID `json:"installation"` // the database that the ids belong to
	Execution    ExecutionID    `json:"execution_id"`
	Enforcement  EnforcementID  `json:"enforcement_id"`
	Action       Ref            `json:"action"`
	Attempt      int            `json:"attempt"`
	Pool         string         `json:"pool"`
}

// RoutingKey implements [Message].
func (m ExecutionRequestedMessage) RoutingKey() string { return KeyExecutionRequested(m.Pool) }

// MessageID implements [Message].
func (m ExecutionRequestedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/requested", m.Execution, m.Attempt)
}

// AttemptID names one attempt of an execution. A restored database uses ids of executions again, under another installation.
type AttemptID struct {
	Installation InstallationID `json:"installation"`
	Execution    ExecutionID    `json:"execution_id"`
	Attempt      int            `json:"attempt"`
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

// ExecutionEndedMessage tells the bridge that attune itself has ended an attempt, without a report of its worker. It is a hint: the
// bridge reads the outcome from the row.
type ExecutionEndedMessage struct {
	Installation InstallationID  `json:"installation"`
	Execution    ExecutionID     `json:"execution_id"`
	Attempt      int             `json:"attempt"`
	Status       ExecutionStatus `json:"status"` // a terminal status, for metrics
}

// RoutingKey implements [Message].
func (ExecutionEndedMessage) RoutingKey() string { return KeyExecutionEnded }

// MessageID implements [Message].
func (m ExecutionEndedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/ended", m.Execution, m.Attempt)
}

// Validate returns a [CodeInvalid] error for a message without an execution, an attempt or a terminal status.
func (m ExecutionEndedMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || !m.Status.Terminal() {
		return Errorf(CodeInvalid, "execution.ended needs an execution, an attempt and a terminal status; got %d, %d, %q",
			m.Execution, m.Attempt, m.Status)
	}
	return nil
}

// OutboxRow is a message that waits to be published. It was written in the transaction of the change that it reports.
type OutboxRow struct {
	ID         int64
	RoutingKey string
	MessageID  string
	Body       []byte
}
