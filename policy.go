package attune

import (
	"fmt"
	"time"
)

// Policy is a policy document: what one scope (an action, a queue, a pack, or everything) says about how its work may run.
// A nil field says nothing and leaves the decision to the next wider scope. Package policy lists the fields with their
// bounds, defaults and meanings.
type Policy struct {
	Limit          *int            `json:"limit,omitempty"`
	MaxQueued      *int            `json:"max_queued,omitempty"`
	Overflow       *Overflow       `json:"overflow,omitempty"`
	QueueTimeout   *Duration       `json:"queue_timeout,omitempty"`
	MaxAttempts    *int            `json:"max_attempts,omitempty"`
	RetryDelay     *Duration       `json:"retry_delay,omitempty"`
	RetryPlacement *RetryPlacement `json:"retry_placement,omitempty"`
}

// QueuePolicy is the effective policy of one queue: the same document with every field decided. The zero value allows
// nothing to run and nothing to be tried again.
type QueuePolicy struct {
	Revision int64 `json:"revision"` // grows with every change; an older one never replaces a newer one

	Limit          int            `json:"limit"`         // executions at once, 0 (none) to [MaxLimit]
	MaxQueued      int            `json:"max_queued"`    // waiting enforcements, 1 to [MaxQueuedLimit]
	Overflow       Overflow       `json:"overflow"`      // which enforcement gives way when there are more
	QueueTimeout   Duration       `json:"queue_timeout"` // how long an enforcement may wait; 0 is for ever
	MaxAttempts    int            `json:"max_attempts"`  // in all, 1 (no retry) to [MaxAttempts]
	RetryDelay     Duration       `json:"retry_delay"`   // before the second attempt, 0 to [MaxRetryDelay]
	RetryPlacement RetryPlacement `json:"retry_placement"`
}

// Bounds of a policy. Together they keep the carried state of a queue under the engine's 2 MB payload limit.
const (
	MaxLimit       = 5_000
	MaxQueuedLimit = 100_000
)

// Bounds of retries.
const (
	MaxAttempts   = 100
	MaxRetryDelay = 24 * time.Hour
)

// Overflow says which enforcement gives way when a queue is full.
type Overflow string

// The overflow choices.
const (
	OverflowReject     Overflow = "reject"      // the newcomer
	OverflowDropOldest Overflow = "drop_oldest" // the enforcement that has waited longest
)

// RetryPlacement says where an enforcement waits for its next attempt, and what becomes of its slot.
type RetryPlacement string

// The placements. People want opposite things for a head that failed, so each queue says its own.
const (
	RetryHold RetryPlacement = "hold" // it keeps its slot for the delay: no other enforcement gets the slot
	RetryBack RetryPlacement = "back" // it gives its slot up and goes to the back of the line, without the delay
	RetryPark RetryPlacement = "park" // it gives its slot up and waits for a person to retry it or to give it up
)

// DelayBefore is how long an attempt (2 or more) waits after the end of the attempt before: the delay doubles with each
// further attempt, up to [MaxRetryDelay].
func (p QueuePolicy) DelayBefore(attempt int) time.Duration {
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
