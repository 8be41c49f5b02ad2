package attune

import (
	"encoding/json"
	"time"
)

// ids are assigned by PostgreSQL: one authority, dense enough to be small in a workflow's state, and readable.
type (
	// EventID identifies an [Event].
	EventID int64
	// EnforcementID identifies an [Enforcement]. It is the ticket id everywhere before an execution exists.
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

// MaxPayloadBytes bounds an event's payload and an action's rendered parameters. It keeps a message far under the
// broker's and a workflow's limits; larger things belong in storage, with a reference in the payload.
const MaxPayloadBytes = 512 << 10

// MaxDedupKey bounds a dedup key that a caller chooses, in bytes.
const MaxDedupKey = 255

// Event is one immutable thing that happened.
type Event struct {
	ID         EventID         `json:"id"`
	Trigger    Ref             `json:"trigger"`
	Payload    json.RawMessage `json:"payload"` // a JSON object, at most [MaxPayloadBytes]
	Source     Source          `json:"source"`
	DedupKey   string          `json:"dedup_key,omitempty"` // the same key for the same trigger is the same event
	Author     *Author         `json:"author,omitempty"`    // nil when no principal was authenticated: webhooks, timers
	ReceivedAt time.Time       `json:"received_at"`
}

// Source says how an event came in.
type Source string

// The ways an event comes in.
const (
	SourceAPI     Source = "api"
	SourceWebhook Source = "webhook"
	SourceTimer   Source = "timer"
	SourceManual  Source = "manual" // a caller ran an action directly; the event's trigger is [ManualTrigger]
)

// ManualTrigger is the trigger of events that record a caller's request to run an action directly. It belongs to the
// built-in core pack and no rule can listen to it.
const ManualTrigger Ref = "core.manual"

// Trigger declares a kind of event.
type Trigger struct {
	ID          TriggerID       `json:"id"`
	Ref         Ref             `json:"ref"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`  // JSON Schema of the payload; empty accepts any object
	Webhook     *Webhook        `json:"webhook,omitempty"` // nil: the trigger has no webhook
}

// Webhook lets a trigger be fed by POST /api/v1/webhooks/{key}.
type Webhook struct {
	Key string `json:"key"`
	// SecretEnv names the environment variable of the API process that holds the HMAC-SHA256 secret. The secret itself
	// is in no pack, database or message.
	SecretEnv string `json:"secret_env"`
	// DedupHeader names the request header that identifies a delivery ("X-GitHub-Delivery"). Optional.
	DedupHeader string `json:"dedup_header,omitempty"`
}
