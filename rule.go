package attune

import (
	"encoding/json"
	"time"
)

// Rule says which action an event must run. A disabled rule creates nothing.
type Rule struct {
	ID          RuleID `json:"id"`
	Ref         Ref    `json:"ref"`
	Description string `json:"description,omitempty"`
	Enabled     bool   `json:"enabled"`
	Trigger     Ref    `json:"trigger"`
	Action      Ref    `json:"action"`
	// Criteria is a CEL expression over `event` that yields a bool. Empty matches every event of the trigger.
	Criteria string `json:"criteria,omitempty"`
	// Parameters is a JSON object whose strings may hold {{ CEL }} templates.
	Parameters json.RawMessage `json:"parameters,omitempty"`
}

// Candidate is an enabled rule for the trigger of an event, with the rule's action.
type Candidate struct {
	Rule   Rule
	Action Action
	// Key is the key of the policy in force for the action: see [EffectivePolicy]. nil: the action's queue has no lanes.
	Key *string
	// Gates are the rates and quotas that judge the enforcement at its admission.
	Gates []Gate
}

// RuleSwitch says whether a rule is enabled.
type RuleSwitch string

// The positions of the switch.
const (
	RuleEnabled  RuleSwitch = "enabled"
	RuleDisabled RuleSwitch = "disabled"
)

// RuleChange records that a person enabled or disabled a rule. It is kept for ever.
type RuleChange struct {
	ID int64     `json:"id"` // rises with time
	At time.Time `json:"at"`
	Author
	From RuleSwitch `json:"from"`
	To   RuleSwitch `json:"to"` // never the same as From
}

// DisabledRule is a declared rule that a person has disabled since its pack was last installed.
type DisabledRule struct {
	Rule   Ref
	Change RuleChange // the change that disabled it
}

// Decision is an enforcement that is not yet recorded: a rule matched an event, or its criteria or templates failed. A rule
// with criteria that yield false makes no decision.
type Decision struct {
	RuleID     RuleID // 0 for a direct run
	ActionID   ActionID
	Parameters json.RawMessage
	Status     EnforcementStatus // created or rejected
	Reason     Reason
	Detail     string
	Queue      QueueKey // queue of a created enforcement; empty for a rejected enforcement
	Lane       LaneName // lane in that queue; empty in a queue without lanes
	Charges    []Charge // what a created enforcement costs at its gates

	// Secrets are the secret parameters. Parameters has [SecretMask] in their places. Encrypted has them encrypted, for the database.
	Secrets   []SecretField
	Encrypted string
}

// DecideFunc makes the decisions for an event. The candidates are the enabled rules of its trigger.
type DecideFunc func(event Event, candidates []Candidate) []Decision

// Recorded is an event in the database, with its enforcements.
type Recorded struct {
	Event        Event         `json:"event"`
	Enforcements []Enforcement `json:"enforcements"`
	Duplicate    bool          `json:"duplicate"` // the event was recorded before, by an arrival with the same dedup key
}
