package attune

import (
	"encoding/json"
	"fmt"
	"time"
)

// MaxWorkerName bounds the name of a worker, in bytes.
const MaxWorkerName = 100

// MaxRenewed bounds the attempts of one renewal. A worker with more attempts sends several renewals.
const MaxRenewed = 250

// The largest bodies of messages of honest workers, in bytes. The bridge drops larger ones unread.
const (
	// MaxRequestBody bounds a signed claim or renewal. The largest legal renewal has [MaxRenewed] attempts.
	MaxRequestBody = 64 << 10
	// MaxReportBody bounds a signed report. The broker accepts no larger message.
	MaxReportBody = 16 << 20
)

// ExecutionClaimMessage is a worker's claim of one attempt, sent as [Signed]. The bridge replies with an [ExecutionClaimReply]. The
// first claim of an attempt pins its key: later messages about the attempt count only with the same key.
type ExecutionClaimMessage struct {
	Installation InstallationID `json:"installation"` // from the request
	Execution    ExecutionID    `json:"execution_id"`
	Attempt      int            `json:"attempt"`
	Worker       string         `json:"worker"`
	Serial       int64          `json:"serial"`    // above 0; rises with every claim and renewal that the worker sends
	ReplyKey     []byte         `json:"reply_key"` // the input in the reply is encrypted for this key: see [ReplyKey]
	Pool         string         `json:"-"`         // of the routing key
	Key          WorkerKey      `json:"-"`         // of the verified signature
}

// RoutingKey implements [Message].
func (m ExecutionClaimMessage) RoutingKey() string { return KeyOfPool(KeyExecutionClaim, m.Pool) }

// MessageID implements [Message].
func (m ExecutionClaimMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/claim/%s", m.Execution, m.Attempt, m.Worker)
}

func (ExecutionClaimMessage) baseKey() string { return KeyExecutionClaim }

func (m ExecutionClaimMessage) signedBy(key WorkerKey, pool string) ExecutionClaimMessage {
	m.Key, m.Pool = key, pool
	return m
}

// Validate returns a [CodeInvalid] error for a claim without an execution, an attempt, a serial, a valid worker name or a valid
// reply key.
func (m ExecutionClaimMessage) Validate() error {
	if m.Key == (WorkerKey{}) {
		return Errorf(CodeInvalid, "execution.claim of worker %q has no verified key", m.Worker)
	}
	if m.Execution <= 0 || m.Attempt <= 0 || m.Serial <= 0 || m.Worker == "" {
		return Errorf(CodeInvalid, "execution.claim needs an execution, an attempt, a serial and a worker; got %d, %d, %d, %q",
			m.Execution, m.Attempt, m.Serial, m.Worker)
	}
	if _, err := parseReplyKey(m.ReplyKey); err != nil {
		return err
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
	// EncryptedInput is the [ExecutionInput] of a granted claim, encrypted for the claim's reply key.
	EncryptedInput []byte `json:"encrypted_input,omitempty"`
}

// ExecutionInput is what only the worker that runs an attempt may read.
type ExecutionInput struct {
	Enforcement EnforcementID `json:"enforcement_id"`
	Action      Ref           `json:"action"`
	// ActionDigest is the [Action.Digest] of the action when the attempt was requested. A worker whose pack has another digest
	// runs nothing.
	ActionDigest string          `json:"action_digest"`
	Parameters   json.RawMessage `json:"parameters"`
	// Secrets are the values of the secrets that the action asks for, by name.
	Secrets map[string]string `json:"secrets,omitempty"`
	// SecretParameters are the JSON pointers of the secret values in Parameters.
	SecretParameters []string `json:"secret_parameters,omitempty"`
	// SecretsError says why the action cannot have its secrets; empty if it has them. The worker then runs nothing and reports
	// [ReasonSecretUnavailable].
	SecretsError string `json:"secrets_error,omitempty"`
}

// SecretDemand is what a claimed attempt needs decrypted.
type SecretDemand struct {
	Names     []string // the secrets that the action asks for
	Encrypted string   // the secret parameters of the enforcement, encrypted; empty without any
	Event     EventID
	Rule      RuleID // 0 for a direct run
}

// ClaimDecision is the answer to a claim with its input in clear text.
type ClaimDecision struct {
	Reply ExecutionClaimReply
	Input ExecutionInput // empty unless the claim is granted; secret parameters are masked until the bridge decrypts them
	// Demand is what the input of a granted claim still lacks. Only the bridge sees it.
	Demand SecretDemand
	// OtherKey: a worker with another key has claimed the attempt. It is no sign of a forgery: a request that is delivered twice
	// leads to two claims.
	OtherKey bool
	// OtherPool: the attempt waits for a worker of another pool. Only a forger sends such a claim.
	OtherPool bool
}

// ExecutionRenewMessage asks to renew the leases of attempts that a worker runs, sent as [Signed]. The bridge replies with an
// [ExecutionRenewReply].
type ExecutionRenewMessage struct {
	Worker   string      `json:"worker"`
	Attempts []AttemptID `json:"attempts"` // at most [MaxRenewed]
	Serial   int64       `json:"serial"`   // as in [ExecutionClaimMessage]; only a higher one than the last renews
	Pool     string      `json:"-"`        // of the routing key
	Key      WorkerKey   `json:"-"`        // of the verified signature
}

// RoutingKey implements [Message].
func (m ExecutionRenewMessage) RoutingKey() string { return KeyOfPool(KeyExecutionRenew, m.Pool) }

// MessageID implements [Message].
func (m ExecutionRenewMessage) MessageID() string { return fmt.Sprintf("worker/%s/renew", m.Worker) }

func (ExecutionRenewMessage) baseKey() string { return KeyExecutionRenew }

func (m ExecutionRenewMessage) signedBy(key WorkerKey, pool string) ExecutionRenewMessage {
	m.Key, m.Pool = key, pool
	return m
}

// Validate returns a [CodeInvalid] error for a message without a valid worker name or a serial, with more than [MaxRenewed] attempts, or
// with an id that is not above 0.
func (m ExecutionRenewMessage) Validate() error {
	if m.Key == (WorkerKey{}) {
		return Errorf(CodeInvalid, "execution.renew of worker %q has no verified key", m.Worker)
	}
	if m.Worker == "" || m.Serial <= 0 {
		return Errorf(CodeInvalid, "execution.renew needs a worker and a serial above 0: a message with %d attempts has %q, %d",
			len(m.Attempts), m.Worker, m.Serial)
	}
	if len(m.Attempts) > MaxRenewed {
		return Errorf(CodeInvalid, "execution.renew of worker %q has %d attempts: send at most %d in one message",
			m.Worker, len(m.Attempts), MaxRenewed)
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
	// Lease is the new lease of all attempts that are neither in Lost nor in Late. It counts from the moment at which the worker sent
	// the request.
	Lease Duration `json:"lease"`
	// Lost lists the attempts that the worker must stop: the lease expired, the attempt ended, another worker owns it, or it is
	// of another installation.
	Lost []AttemptID `json:"lost,omitempty"`
	// Late lists the attempts that this request did not renew, because a request with the same or a higher serial came before. They
	// are not lost, and their leases stay as they are.
	Late []AttemptID `json:"late,omitempty"`
}

// Renewal is the answer to a renewal. Attempts in OtherPool and Forged were not renewed, and are not lost either.
type Renewal struct {
	Reply     ExecutionRenewReply
	OtherPool []AttemptID // the attempt is one of another pool
	Forged    []AttemptID // another key has claimed the attempt, or none has
}

// ExecutionCompletedMessage reports how one attempt ended, sent as [Signed]. Each claimed attempt has exactly one report.
type ExecutionCompletedMessage struct {
	Installation InstallationID  `json:"installation"` // from the request
	Execution    ExecutionID     `json:"execution_id"`
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
	Pool         string          `json:"-"`           // of the routing key; empty in a report of attune itself
	Key          WorkerKey       `json:"-"`           // of the verified signature; zero in a report of attune itself
}

// RoutingKey implements [Message].
func (m ExecutionCompletedMessage) RoutingKey() string {
	return KeyOfPool(KeyExecutionCompleted, m.Pool)
}

// MessageID implements [Message].
func (m ExecutionCompletedMessage) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/completed", m.Execution, m.Attempt)
}

func (ExecutionCompletedMessage) baseKey() string { return KeyExecutionCompleted }

func (m ExecutionCompletedMessage) signedBy(key WorkerKey, pool string) ExecutionCompletedMessage {
	m.Key, m.Pool = key, pool
	return m
}

// Validate returns a [CodeInvalid] error for a report without an execution, an attempt or a terminal status.
func (m ExecutionCompletedMessage) Validate() error {
	if m.Execution <= 0 || m.Attempt <= 0 || !m.Status.Terminal() {
		return Errorf(CodeInvalid, "execution.completed needs an execution, an attempt and a terminal status; got %d, %d, %q",
			m.Execution, m.Attempt, m.Status)
	}
	return nil
}
