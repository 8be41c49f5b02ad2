package attune

import "time"

// QuotaCharge is what an enforcement has used of a quota.
type QuotaCharge struct {
	Usage int64 `json:"usage"` // id of the [QuotaUsage]
	Cost  int64 `json:"cost"`
	Used  int64 `json:"used"`  // units used after the charge
	Limit int64 `json:"limit"` // in force at the charge
}

// RateCharge is what an enforcement was charged at a rate: the units of a [Limiter] from Last-Units+1 to Last.
type RateCharge struct {
	Limiter int64 `json:"limiter"` // id
	Last    int64 `json:"last"`
	Units   int64 `json:"units"` // from 1
}

// QuotaUsage counts the units that were used of one quota, for one value of its key, in one period.
type QuotaUsage struct {
	ID int64 `json:"id"`
	GateID
	Key       *string     `json:"key,omitempty"` // text of the key's value; absent without a key
	Period    QuotaPeriod `json:"period"`
	Timezone  string      `json:"timezone,omitempty"` // empty means UTC
	StartsAt  time.Time   `json:"starts_at"`
	EndsAt    time.Time   `json:"ends_at"`
	Used      int64       `json:"used"`       // units charged and not given back
	MostLimit int64       `json:"most_limit"` // the highest limit in force at a charge
	// UpdatedAt is the time of the last charge, or of the last return of units.
	UpdatedAt time.Time `json:"updated_at"`
}

// GateProbe is what an enforcement would meet at one rate or quota. Count is what is used now. RetryAt is absent if the gate allows the
// cost now, or never will.
type GateProbe struct {
	GateRefusal
	Allowed bool `json:"allowed"`
}

// Limiter is the log of one rate for one value of its key.
type Limiter struct {
	ID int64 `json:"id"`
	GateID
	Key      *string   `json:"key,omitempty"` // text of the key's value; absent without a key
	LastUnit int64     `json:"last_unit"`     // units are numbered from 1 without gaps
	LastAt   time.Time `json:"last_at"`       // when the last unit was charged, by the database's clock
}

// LimiterCharge is the units that one admission of a batch charged to a rate.
type LimiterCharge struct {
	ID      int64     `json:"id"`
	Limiter int64     `json:"limiter"` // id
	Last    int64     `json:"last"`    // the last of the units
	Units   int64     `json:"units"`   // how many units, from 1
	At      time.Time `json:"at"`      // by the database's clock; rises with the units
	Limit   int64     `json:"limit"`   // the rate in force at the charge
	Window  Duration  `json:"window"`
}

// Start is one attempt that a queue let start, in a queue with rates of starts.
type Start struct {
	ID      int64     `json:"id"`
	Number  int64     `json:"number"` // of the grant
	Attempt int       `json:"attempt"`
	Action  ActionID  `json:"action_id"`
	At      time.Time `json:"at"` // by the queue's clock
}

// StartProbe is what an attempt would meet at one rate of starts now.
type StartProbe struct {
	Count   int64      `json:"count"`              // starts in the window that ends now
	OpensAt *time.Time `json:"opens_at,omitempty"` // when the rate allows the next start; absent if it does now
}

// ActionState is how much of an action runs in a queue, and what its next start would meet.
type ActionState struct {
	Active            int64        // slots held
	OfQueue, OfAction []StartProbe // of the rates of the queue and of the action, in their order
}

// GateFilter selects the rates or quotas of the documents of one scope. The zero value selects all.
type GateFilter struct {
	Scope string // global, pack, queue or action
	Ref   string // empty for the global scope
}
