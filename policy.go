package attune

import (
	"fmt"
	"slices"
	"time"
)

// Policy is a policy document of one scope: an action, a queue, a pack, or the whole installation. A nil field takes its value
// from the next wider scope. Package policy lists the fields with their bounds, defaults and meanings.
type Policy struct {
	Limit           *int            `json:"limit,omitempty"`
	Key             *string         `json:"key,omitempty"`
	LimitPerKey     *int            `json:"limit_per_key,omitempty"`
	Across          *Across         `json:"across,omitempty"`
	Queue           *QueueKey       `json:"queue,omitempty"`
	WhenBusy        *WhenBusy       `json:"when_busy,omitempty"`
	MaxQueued       *int            `json:"max_queued,omitempty"`
	MaxQueuedPerKey *int            `json:"max_queued_per_key,omitempty"`
	Overflow        *Overflow       `json:"overflow,omitempty"`
	QueueTimeout    *Duration       `json:"queue_timeout,omitempty"`
	MaxAttempts     *int            `json:"max_attempts,omitempty"`
	RetryDelay      *Duration       `json:"retry_delay,omitempty"`
	RetryPlacement  *RetryPlacement `json:"retry_placement,omitempty"`
	RetryOn         *RetryOn        `json:"retry_on,omitempty"`

	// The rates and the quotas of all scopes apply. Of one scope, the list of a person replaces the list of a pack; an empty list
	// removes its rates or quotas.
	Rate  []Rate  `json:"rate,omitzero"`  // up to [MaxGates]
	Quota []Quota `json:"quota,omitzero"` // up to [MaxGates]
}

// EffectivePolicy is the policy in force for one action: every field has a value, or the meaning that its comment gives to its
// absence.
type EffectivePolicy struct {
	Limit           int            `json:"limit"`              // executions at once, 0 (none) to [MaxLimit]
	Key             *string        `json:"key"`                // a CEL expression over parameters and event; nil: no lanes
	LimitPerKey     *int           `json:"limit_per_key"`      // executions at once per lane, 0 (none) to [MaxLimit]; nil: any number
	Across          Across         `json:"across"`             // what other lanes do while the first ticket cannot be granted
	Queue           *QueueKey      `json:"queue"`              // the shared queue of the action; nil: the action owns its queue
	WhenBusy        WhenBusy       `json:"when_busy"`          // what happens to an enforcement that cannot start at once
	MaxQueued       int            `json:"max_queued"`         // waiting enforcements, 1 to [MaxQueuedLimit]
	MaxQueuedPerKey *int           `json:"max_queued_per_key"` // waiting enforcements per lane, from 1; nil: any number
	Overflow        Overflow       `json:"overflow"`           // which enforcement leaves a line that is longer than MaxQueued
	QueueTimeout    Duration       `json:"queue_timeout"`      // how long an enforcement may wait; 0 means for ever
	MaxAttempts     int            `json:"max_attempts"`       // attempts including the first, 1 (no retry) to [MaxAttempts]
	RetryDelay      Duration       `json:"retry_delay"`        // delay before the second attempt, 0 to [MaxRetryDelay]
	RetryPlacement  RetryPlacement `json:"retry_placement"`
	RetryOn         *RetryOn       `json:"retry_on"` // which attempts are retried; nil: all that [ActionPolicy.Retries] allows
}

// QueuePolicy is what one queue obeys. The zero value has the limit 0, so it allows no execution.
//
// Stored in Temporal's history: in signals, and in the carried state of a queue.
type QueuePolicy struct {
	Revision int64 `json:"revision"` // grows with every change; an older revision never replaces a newer one

	Limit        int         `json:"limit"`            // see [EffectivePolicy], for this field and the next four
	Across       Across      `json:"across,omitempty"` // empty means [AcrossStrict]
	MaxQueued    int         `json:"max_queued"`
	Overflow     Overflow    `json:"overflow"`
	QueueTimeout Duration    `json:"queue_timeout"`
	Rates        []StartRate `json:"rates,omitempty"` // of the starts of all actions, up to [MaxStartRates]
	// Actions are the policies of the actions that use the queue, in the order of their ids. An action without an entry has no
	// limits but those of the queue, and no retries.
	Actions []ActionPolicy `json:"actions,omitempty"`
}

// RefOf returns the reference of an action that uses the queue with a key, or an empty reference if the policy has none.
func (p QueuePolicy) RefOf(queue QueueKey, action ActionID) Ref {
	for _, one := range p.Actions {
		if one.Action == action && one.Ref == "" {
			return Ref(queue)
		}
		if one.Action == action {
			return one.Ref
		}
	}
	return ""
}

// Of returns the policy of one action in the queue.
func (p QueuePolicy) Of(action ActionID) ActionPolicy {
	for _, one := range p.Actions {
		if one.Action == action {
			return one
		}
	}
	return ActionPolicy{Action: action}
}

// ActionPolicy is the policy of one action in its queue, in addition to that of the queue. The zero value has no limits, and
// allows no retry.
//
// Stored in Temporal's history: part of a [QueuePolicy].
type ActionPolicy struct {
	Action          ActionID       `json:"action"`
	Ref             Ref            `json:"ref,omitempty"`                // of the action, in a shared queue; empty in its own queue
	Limit           *int           `json:"limit,omitempty"`              // executions of the action at once; nil: bounded by the queue only
	LimitPerKey     *int           `json:"limit_per_key,omitempty"`      // holders of a lane at once, of all actions; nil: any number
	MaxQueuedPerKey *int           `json:"max_queued_per_key,omitempty"` // waiting tickets of a lane; nil: bounded by the queue only
	Rates           []StartRate    `json:"rates,omitempty"`              // of the starts of the action, up to [MaxStartRates]
	WhenBusy        WhenBusy       `json:"when_busy,omitempty"`          // empty means [BusyWait]
	MaxAttempts     int            `json:"max_attempts,omitempty"`       // see [EffectivePolicy], for this field and the next two
	RetryDelay      Duration       `json:"retry_delay,omitempty"`
	RetryPlacement  RetryPlacement `json:"retry_placement,omitempty"`
	RetryOn         *RetryOn       `json:"retry_on,omitempty"`
}

// StartRate bounds how often attempts start: in each window (t-Window, t] at most Limit of them.
//
// Stored in Temporal's history: part of a [QueuePolicy].
type StartRate struct {
	Name   string   `json:"name"`   // unique among the rates of the same level
	Limit  int      `json:"limit"`  // 1 to [MaxStartRateLimit]
	Window Duration `json:"window"` // above 0
}

// Leaves returns when a start leaves the window of the rate. A start is a time in milliseconds of Unix time.
func (r StartRate) Leaves(start int64) time.Time {
	return time.UnixMilli(start).Add(time.Duration(r.Window)).UTC()
}

// OpensAt returns when the rate allows the next start, by the latest starts in their order; zero if these are fewer than the limit.
func (r StartRate) OpensAt(starts []int64) time.Time {
	if len(starts) < r.Limit {
		return time.Time{}
	}
	return r.Leaves(starts[len(starts)-r.Limit])
}

// Bounds of the rates of starts. A queue carries the times of the latest starts in its state.
const (
	MaxStartRates     = 4
	MaxStartRateLimit = 1_000
)

// Bounds of a shared queue. With [MaxLimit] and [MaxQueuedLimit] they keep its carried state below Temporal's payload limit of 2 MB.
const (
	MaxQueueActions    = 1_000   // actions that join the queue
	MaxQueueStarts     = 20_000  // the sum of the limits of its rates of starts
	MaxQueuePolicySize = 128_000 // bytes of its policy as JSON, which is also part of each signal with tickets
)

// Across says what other lanes do while the first ticket of the line cannot be granted.
type Across string

// The choices of Across.
const (
	AcrossSkip   Across = "skip"   // the queue grants the lowest sequence that is eligible
	AcrossStrict Across = "strict" // the queue grants only the first ticket of the line
)

// WhenBusy says what happens to an enforcement that cannot start at once.
type WhenBusy string

// The choices of WhenBusy.
const (
	BusyWait    WhenBusy = "wait"    // the enforcement waits for its turn
	BusySkip    WhenBusy = "skip"    // the enforcement is rejected, unless it is granted in the turn in which it arrives
	BusyReplace WhenBusy = "replace" // the enforcement takes the place of all others of its lane: see [ReasonReplaced]
)

// Bounds of a policy. They keep the carried state of a queue below Temporal's payload limit of 2 MB.
const (
	MaxLimit       = 5_000
	MaxQueuedLimit = 100_000
)

// Bounds of retries.
const (
	MaxAttempts   = 100
	MaxRetryDelay = 24 * time.Hour
)

// Overflow says which enforcement leaves a full queue.
type Overflow string

// The overflow choices.
const (
	OverflowReject     Overflow = "reject"      // the new enforcement
	OverflowDropOldest Overflow = "drop_oldest" // the enforcement that has waited longest
)

// RetryPlacement says where an enforcement waits for its next attempt, and whether it keeps its slot.
type RetryPlacement string

// The retry placements.
const (
	RetryHold RetryPlacement = "hold" // the enforcement keeps its slot during the delay: no other enforcement gets the slot
	RetryBack RetryPlacement = "back" // the enforcement frees its slot and goes to the back of the line, without the delay
	RetryPark RetryPlacement = "park" // the enforcement frees its slot and waits until a person retries it or gives it up
)

// RetryOn says which ended attempts are followed by another one.
//
// Stored in Temporal's history: part of a [QueuePolicy].
type RetryOn struct {
	// Statuses are the ends that are retried: failed, timed_out, abandoned. Empty means all three.
	Statuses []ExecutionStatus `json:"statuses,omitempty"`
	// ExitCodes are the exit codes, 1 to 255, with which a failed attempt is retried. A failed attempt without an exit code is not
	// retried then. Empty means every failed attempt.
	ExitCodes []int `json:"exit_codes,omitempty"`
}

// Retries reports whether the policy allows another attempt after one that ended like this. It does not count attempts.
func (p ActionPolicy) Retries(status ExecutionStatus, exitCode *int) bool {
	on := RetryOn{}
	if p.RetryOn != nil {
		on = *p.RetryOn
	}
	switch status {
	case ExecutionFailed:
		if len(on.ExitCodes) > 0 && (exitCode == nil || !slices.Contains(on.ExitCodes, *exitCode)) {
			return false
		}
	case ExecutionTimedOut, ExecutionAbandoned:
	default:
		return false
	}
	return len(on.Statuses) == 0 || slices.Contains(on.Statuses, status)
}

// DelayBefore is the delay between the end of an attempt and the start of the next one. attempt is the number of the next
// attempt, 2 or more. The delay doubles with each further attempt, up to [MaxRetryDelay].
func (p ActionPolicy) DelayBefore(attempt int) time.Duration {
	delay := time.Duration(p.RetryDelay)
	for range attempt - 2 {
		delay = min(2*delay, MaxRetryDelay)
	}
	return delay
}

// Duration is a time.Duration that reads and writes as text ("90s", "1h30m") in JSON and YAML.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration the way time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: use a number with a unit, such as 30s, 5m or 1h30m", text)
	}
	*d = Duration(parsed)
	return nil
}
