package attune

import (
	"fmt"
	"time"
)

// Rate bounds how much an action may do in any window of time. The rates of all scopes apply: the global scope, the pack, the queue
// and the action.
type Rate struct {
	Name   string     `json:"name"`             // unique among the rates and quotas of the document: see [ValidateName]
	Limit  int        `json:"limit"`            // units in a window; 1 to [MaxRateLimit], or with delay to [MaxStartRateLimit]
	Window Duration   `json:"window"`           // above 0, up to [MaxRateWindow], or with delay up to [MaxStartWindow]
	Method RateMethod `json:"method,omitempty"` // empty means reject
	// Key is a CEL expression over parameters and event: each of its values has the limit for itself. Empty: all enforcements together.
	Key string `json:"key,omitempty"`
	// Cost is a CEL expression over parameters and event that yields the units of an enforcement, 0 to [MaxCost]. Empty means 1.
	Cost string `json:"cost,omitempty"`
}

// RateMethod says what happens to an enforcement that a rate does not allow.
type RateMethod string

// The methods of a rate.
const (
	RateReject RateMethod = "reject" // the enforcement is rejected when it is admitted: see [ReasonRateLimited]
	RateDelay  RateMethod = "delay"  // the enforcement waits in its queue until the rate allows its start: see [StartRate]
)

// Quota bounds how much an action may do in a period of the calendar. The quotas of all scopes apply. An enforcement that never ran
// gives its units back.
type Quota struct {
	Name     string      `json:"name"`               // unique among the rates and quotas of the document: see [ValidateName]
	Limit    int         `json:"limit"`              // units in a period; 0 (none) to [MaxQuotaLimit]
	Period   QuotaPeriod `json:"period"`             // hour, day, week (from Monday) or month
	Timezone string      `json:"timezone,omitempty"` // name of the IANA database: "Europe/Berlin"; empty means UTC
	Key      string      `json:"key,omitempty"`      // see [Rate]
	Cost     string      `json:"cost,omitempty"`     // see [Rate]
}

// QuotaPeriod is a period of the calendar.
type QuotaPeriod string

// The periods of a quota. A week begins on Monday. In a time zone with daylight saving time, a day has 23 to 25 hours.
const (
	PeriodHour  QuotaPeriod = "hour"
	PeriodDay   QuotaPeriod = "day"
	PeriodWeek  QuotaPeriod = "week"
	PeriodMonth QuotaPeriod = "month"
)

// Bounds of rates and quotas.
const (
	MaxGates       = 16        // rates of a document, and likewise its quotas
	MaxRateLimit   = 1_000_000 // the log of a rate keeps no more units
	MaxRateWindow  = 24 * time.Hour
	MaxStartWindow = 31 * 24 * time.Hour
	MaxQuotaLimit  = 1_000_000_000
	MaxCost        = 1_000_000
)

// GateKind says what a gate is.
type GateKind string

// The kinds of gates.
const (
	GateRate  GateKind = "rate" // with the method reject: see [RateReject]
	GateQuota GateKind = "quota"
	GateQueue GateKind = "queue" // a bound of the queue, only in refusals: its name is a [BoundName]
)

// GateID identifies a rate or a quota, whatever its limit is.
type GateID struct {
	Kind  GateKind `json:"kind"`
	Scope string   `json:"scope"`         // scope of the document: global, pack, queue or action
	Ref   string   `json:"ref,omitempty"` // the pack, queue or action; empty for the global scope
	Name  string   `json:"name"`
}

// String returns the gate in words: "rate tenants of action demo.deploy", "quota daily of global".
func (g GateID) String() string {
	words := string(g.Kind) + " " + g.Name + " of " + g.Scope
	if g.Ref != "" {
		words += " " + g.Ref
	}
	return words
}

// Gate is a rate or a quota that judges an enforcement at its admission. An event decides its key and its cost.
type Gate struct {
	GateID
	Key  string // a CEL expression; empty: without a key
	Cost string // a CEL expression; empty means 1
}

// Charge is what one enforcement costs at one gate. It is decided when the event is recorded. [Charge].Key names the value of the
// gate's key as [LaneName] names a lane: missing and null are a key of their own.
type Charge struct {
	GateID
	Key  LaneName `json:"key,omitempty"`
	Cost int64    `json:"cost"` // 0 to [MaxCost]
}

// GateRefusal says which rate, quota or bound of a queue refused an enforcement, and when it would allow the enforcement.
type GateRefusal struct {
	GateID
	Key      *string     `json:"key,omitempty"`      // text of the key's value; absent without a key
	Limit    int         `json:"limit"`              // units allowed in a window or period, or what a bound of a queue allows
	Window   *Duration   `json:"window,omitempty"`   // of a rate
	Period   QuotaPeriod `json:"period,omitempty"`   // of a quota
	Timezone string      `json:"timezone,omitempty"` // of a quota
	Count    int64       `json:"count"`              // units that were used, or the [Bound].Count
	Cost     int64       `json:"cost"`               // units that the enforcement needed
	// RetryAt is when the gate allows the cost if nothing else is admitted. It is absent for never, and for a bound of a queue that
	// depends on how long executions take.
	RetryAt *time.Time `json:"retry_at,omitempty"`
}

// Reason returns the reason of an enforcement that a rate or a quota rejected.
func (r GateRefusal) Reason() Reason {
	if r.Kind == GateQuota {
		return ReasonQuotaExceeded
	}
	return ReasonRateLimited
}

// String returns the refusal in words, for people.
func (r GateRefusal) String() string {
	if r.Kind == GateQueue {
		return r.ofQueue()
	}
	allows := fmt.Sprintf("%d per %s", r.Limit, r.Period)
	if r.Window != nil {
		allows = fmt.Sprintf("%d in %s", r.Limit, r.Window)
	}
	words := fmt.Sprintf("%s allows %s%s: %d are used, and this enforcement costs %d", r.GateID, allows, r.forKey(), r.Count, r.Cost)
	if r.RetryAt == nil {
		return words + ", more than ever fits"
	}
	return words + "; try again at " + r.RetryAt.UTC().Format(time.RFC3339Nano)
}

func (r GateRefusal) forKey() string {
	if r.Key == nil {
		return ""
	}
	return fmt.Sprintf(" for the key %q", EscapeText(*r.Key))
}

// ofQueue returns the refusal by a bound of a queue in words.
func (r GateRefusal) ofQueue() string {
	switch name := BoundName(r.Name); name {
	case BoundDraining, BoundPaused:
		return fmt.Sprintf("queue %s is %s", r.Ref, name)
	case BoundLine:
		return fmt.Sprintf("in queue %s, %d wait in front", r.Ref, r.Count)
	default:
		return fmt.Sprintf("%s of queue %s allows %d%s, and there are %d", name, r.Ref, r.Limit, r.forKey(), r.Count)
	}
}
