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

// Candidate is an enabled rule that listens to an event's trigger, with the action it names.
type Candidate struct {
	Rule   Rule
	Action Action
}

// RuleSwitch says whether a rule is switched on.
type RuleSwitch string

// The positions of a rule's switch.
const (
	RuleEnabled  RuleSwitch = "enabled"
	RuleDisabled RuleSwitch = "disabled"
)

// RuleChange is one turn of a rule's switch by hand. It is kept for ever.
type RuleChange struct {
	ID int64     `json:"id"` // rises with time
	At time.Time `json:"at"`
	Author
	From RuleSwitch `json:"from"`
	To   RuleSwitch `json:"to"` // never the same as From
}

// Decision is what one rule makes of one event: an enforcement, created or rejected from the start. A rule whose
// criteria say no decides nothing.
type Decision struct {
	RuleID     RuleID // 0 for a direct run
	ActionID   ActionID
	Parameters json.RawMessage
	Status     EnforcementStatus // created or rejected
	Reason     Reason
	Detail     string
	Queue      QueueKey // in which a created enforcement waits; empty for a rejected one
	Lane       string   // the text of the lane of that queue; empty in a queue without lanes
}

// Recorded is what accepting an event left behind.
type Recorded struct {
	Event        Event         `json:"event"`
	Enforcements []Enforcement `json:"enforcements"`
	Duplicate    bool          `json:"duplicate"` // an event with this dedup key was recorded before; this is that one
}
