package attune

import (
	"encoding/json"
	"time"
)

// PostgreSQL assigns every id. So ids are unique, short enough for a workflow's state, and readable.
type (
	// EventID identifies an [Event].
	EventID int64
	// EnforcementID identifies an [Enforcement], and its [Ticket] in a queue.
	EnforcementID int64
	// ExecutionID identifies an [Execution].
	ExecutionID int64
	// ActionID identifies an [Action].
	ActionID int64
	// RuleID identifies a [Rule].
	RuleID int64
	// TriggerID identifies a [Trigger].
	TriggerID int64
	// QueueID identifies a queue; its [QueueKey] names it for people. Lists of queues are in the order of their ids.
	QueueID int64
)

// MaxPayloadBytes bounds an event's payload and an action's parameters, in bytes as they were sent or rendered. Only the payload of
// a direct run's event may be larger, by the reference of the action. The bound keeps a message far below the limits of RabbitMQ and
// Temporal. Larger data belongs in other storage, with a reference in the payload.
const MaxPayloadBytes = 512 << 10

// MaxDedupKey bounds a dedup key that a caller chooses, in bytes.
const MaxDedupKey = 255

// Event is one immutable thing that happened.
type Event struct {
	ID         EventID         `json:"id"`
	Trigger    Ref             `json:"trigger"`
	Payload    json.RawMessage `json:"payload"` // a JSON object: see [MaxPayloadBytes]
	Source     Source          `json:"source"`
	DedupKey   string          `json:"dedup_key,omitempty"` // two arrivals of a trigger with the same key are the same event
	Author     *Author         `json:"author,omitempty"`    // nil without an authenticated principal: webhooks, timers
	ReceivedAt time.Time       `json:"received_at"`

	// Secrets are the secret fields of the payload, in which [SecretMask] is in their places. They exist from the arrival of the event
	// until it is recorded. Encrypted has them encrypted, for the database.
	Secrets   []SecretField `json:"-"`
	Encrypted string        `json:"-"`
}

// Source says how attune received an event.
type Source string

// The sources of events.
const (
	SourceAPI     Source = "api"
	SourceWebhook Source = "webhook"
	SourceTimer   Source = "timer"
	SourceManual  Source = "manual" // a caller ran an action directly; the event's trigger is [ManualTrigger]
)

// ManualTrigger is the trigger of direct runs: a caller requests one run of an action without a rule. The built-in core pack
// declares it. No rule can listen to it.
const ManualTrigger Ref = "core.manual"

// Trigger declares a kind of event.
type Trigger struct {
	ID          TriggerID       `json:"id"`
	Ref         Ref             `json:"ref"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`  // JSON Schema of the payload; empty accepts any object
	Webhook     *Webhook        `json:"webhook,omitempty"` // nil: the trigger has no webhook
}

// Webhook makes POST /api/v1/webhooks/{key} a source of events for a trigger.
type Webhook struct {
	Key string `json:"key"`
	// SecretEnv names the environment variable of the API process that holds the HMAC-SHA256 secret. No pack, database or
	// message contains the secret itself.
	SecretEnv string `json:"secret_env"`
	// DedupHeader names the request header that identifies a delivery ("X-GitHub-Delivery"). Optional.
	DedupHeader string `json:"dedup_header,omitempty"`
}
