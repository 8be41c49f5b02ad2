package policy

import (
	"time"

	"github.com/attune-go/attune"
)

// Fields lists every field of a policy document, in the order in which documents, tables and messages show them.
//
// A new field is an entry here, a line in each of [attune.Policy] and [attune.QueuePolicy], and the code that obeys it:
// packs, the API, the command line and the database read this list or store the whole document.
func Fields() []Field {
	return []Field{
		number(spec[int]{
			name: "limit", byDefault: 1,
			doc:     "Executions at once; 0 pauses the queue",
			said:    func(p *attune.Policy) **int { return &p.Limit },
			decided: func(p *attune.QueuePolicy) *int { return &p.Limit },
		}, span[int]{least: 0, lowest: "0 (paused)", most: new(attune.MaxLimit)}),
		number(spec[int]{
			name: "max_queued", byDefault: 10_000,
			doc:     "Enforcements that may wait",
			said:    func(p *attune.Policy) **int { return &p.MaxQueued },
			decided: func(p *attune.QueuePolicy) *int { return &p.MaxQueued },
		}, span[int]{least: 1, most: new(attune.MaxQueuedLimit)}),
		choice(spec[attune.Overflow]{
			name: "overflow", byDefault: attune.OverflowReject,
			doc:     "Which enforcement gives way when the queue is full: the newcomer, or the one that has waited longest",
			said:    func(p *attune.Policy) **attune.Overflow { return &p.Overflow },
			decided: func(p *attune.QueuePolicy) *attune.Overflow { return &p.Overflow },
		}, attune.OverflowReject, attune.OverflowDropOldest),
		duration(spec[attune.Duration]{
			name: "queue_timeout", byDefault: 0,
			doc:     "How long an enforcement may wait; 0 is for ever",
			said:    func(p *attune.Policy) **attune.Duration { return &p.QueueTimeout },
			decided: func(p *attune.QueuePolicy) *attune.Duration { return &p.QueueTimeout },
		}, span[attune.Duration]{least: 0, lowest: "0 (for ever)"}),
		number(spec[int]{
			name: "max_attempts", byDefault: 1,
			doc:     "Attempts in all; 1 is no retry",
			said:    func(p *attune.Policy) **int { return &p.MaxAttempts },
			decided: func(p *attune.QueuePolicy) *int { return &p.MaxAttempts },
		}, span[int]{least: 1, lowest: "1 (no retry)", most: new(attune.MaxAttempts)}),
		duration(spec[attune.Duration]{
			name: "retry_delay", byDefault: attune.Duration(10 * time.Second),
			doc:     "How long the second attempt waits while it holds its slot; doubles with each further attempt",
			said:    func(p *attune.Policy) **attune.Duration { return &p.RetryDelay },
			decided: func(p *attune.QueuePolicy) *attune.Duration { return &p.RetryDelay },
		}, span[attune.Duration]{least: 0, most: new(attune.Duration(attune.MaxRetryDelay))}),
		choice(spec[attune.RetryPlacement]{
			name: "retry_placement", byDefault: attune.RetryHold,
			doc:     "Where an enforcement waits for its next attempt: in its slot, at the back of the line, or parked for a person",
			said:    func(p *attune.Policy) **attune.RetryPlacement { return &p.RetryPlacement },
			decided: func(p *attune.QueuePolicy) *attune.RetryPlacement { return &p.RetryPlacement },
		}, attune.RetryHold, attune.RetryBack, attune.RetryPark),
	}
}

// Defaults is the policy of a queue about which no scope says anything: one execution at a time, in order.
func Defaults() attune.QueuePolicy { return Resolve().Policy }

// Validate returns a [attune.CodeInvalid] error about the first field that is out of its range.
func Validate(p attune.Policy) error {
	for _, field := range Fields() {
		if err := field.check(p); err != nil {
			return err
		}
	}
	return nil
}
