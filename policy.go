package attune

import (
	"fmt"
	"slices"
	"time"
)

// Policy is what one scope (an action, a pack, or everything) says about how its work may run. A nil field says
// nothing and leaves the decision to the next wider scope.
type Policy struct {
	Limit        *int      `json:"limit,omitempty"`         // executions at once; 0 pauses the queue
	MaxQueued    *int      `json:"max_queued,omitempty"`    // waiting enforcements; 1 or more
	Overflow     *Overflow `json:"overflow,omitempty"`      // what happens to one too many
	QueueTimeout *Duration `json:"queue_timeout,omitempty"` // how long an enforcement may wait; 0 is for ever

	MaxAttempts    *int            `json:"max_attempts,omitempty"`    // attempts in all; 1 is no retry
	RetryDelay     *Duration       `json:"retry_delay,omitempty"`     // before the second attempt; doubles with each further one
	RetryPlacement *RetryPlacement `json:"retry_placement,omitempty"` // where an enforcement waits for its next attempt
}

// Overflow says who loses when a queue is full.
type Overflow string

// The overflow choices.
const (
	OverflowReject     Overflow = "reject"      // the newcomer
	OverflowDropOldest Overflow = "drop_oldest" // the one that has waited longest
)

// QueuePolicy is the effective policy of one queue: every field decided.
type QueuePolicy struct {
	Revision     int64    `json:"revision"` // grows with every change; an older one never replaces a newer one
	Limit        int      `json:"limit"`
	MaxQueued    int      `json:"max_queued"`
	Overflow     Overflow `json:"overflow"`
	QueueTimeout Duration `json:"queue_timeout"`

	Retry RetryPolicy `json:"retry,omitzero"`
}

// RetryPolicy says whether an execution that failed, timed out or lost its worker is tried again. The zero value is no
// retry. One that somebody has cancelled is never tried again.
type RetryPolicy struct {
	MaxAttempts int            `json:"max_attempts"` // in all, 1 to [MaxAttempts]; 1 is no retry
	Delay       Duration       `json:"delay"`        // before the second attempt, 0 to [MaxRetryDelay]
	Placement   RetryPlacement `json:"placement"`
}

// RetryPlacement says where an enforcement waits for its next attempt, and what becomes of its slot.
type RetryPlacement string

// The placements. People want opposite things for a head that failed, so each queue says its own.
const (
	RetryHold RetryPlacement = "hold" // it keeps its slot for the delay: nobody overtakes it
	RetryBack RetryPlacement = "back" // it gives its slot up and goes to the back of the line, without the delay
	RetryPark RetryPlacement = "park" // it gives its slot up and waits for a person to retry it or to give it up
)

// DelayBefore is how long an attempt (2 or more) waits after the end of the one before.
func (p RetryPolicy) DelayBefore(attempt int) time.Duration {
	delay := time.Duration(p.Delay)
	for range attempt - 2 {
		delay = min(2*delay, MaxRetryDelay)
	}
	return delay
}

// Bounds of retries.
const (
	MaxAttempts   = 100
	MaxRetryDelay = 24 * time.Hour
)

// Bounds of a policy. Together they keep the carried state of a queue under the engine's 2 MB payload limit.
const (
	MaxLimit       = 5_000
	MaxQueuedLimit = 100_000
)

// DefaultQueuePolicy is what a queue has when no scope says anything: one at a time, in order.
func DefaultQueuePolicy() QueuePolicy {
	return QueuePolicy{
		Limit: 1, MaxQueued: 10_000, Overflow: OverflowReject,
		Retry: RetryPolicy{MaxAttempts: 1, Delay: Duration(10 * time.Second), Placement: RetryHold},
	}
}

// Validate reports the first field that is out of its range.
func (p Policy) Validate() error {
	switch {
	case p.Limit != nil && (*p.Limit < 0 || *p.Limit > MaxLimit):
		return Errorf(CodeInvalid, "policy limit %d: use 0 (paused) to %d", *p.Limit, MaxLimit)
	case p.MaxQueued != nil && (*p.MaxQueued < 1 || *p.MaxQueued > MaxQueuedLimit):
		return Errorf(CodeInvalid, "policy max_queued %d: use 1 to %d", *p.MaxQueued, MaxQueuedLimit)
	case p.Overflow != nil && *p.Overflow != OverflowReject && *p.Overflow != OverflowDropOldest:
		return Errorf(CodeInvalid, "policy overflow %q: use %q or %q", *p.Overflow, OverflowReject, OverflowDropOldest)
	case p.QueueTimeout != nil && *p.QueueTimeout < 0:
		return Errorf(CodeInvalid, "policy queue_timeout %s: use 0 (for ever) or more", *p.QueueTimeout)
	}
	return p.validateRetry()
}

func (p Policy) validateRetry() error {
	switch {
	case p.MaxAttempts != nil && (*p.MaxAttempts < 1 || *p.MaxAttempts > MaxAttempts):
		return Errorf(CodeInvalid, "policy max_attempts %d: use 1 (no retry) to %d", *p.MaxAttempts, MaxAttempts)
	case p.RetryDelay != nil && (*p.RetryDelay < 0 || time.Duration(*p.RetryDelay) > MaxRetryDelay):
		return Errorf(CodeInvalid, "policy retry_delay %s: use 0s to %s", *p.RetryDelay, MaxRetryDelay)
	case p.RetryPlacement != nil && !slices.Contains([]RetryPlacement{RetryHold, RetryBack, RetryPark}, *p.RetryPlacement):
		return Errorf(CodeInvalid, "policy retry_placement %q: use %q, %q or %q", *p.RetryPlacement, RetryHold, RetryBack, RetryPark)
	}
	return nil
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
