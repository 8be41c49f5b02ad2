package policy

import (
	"time"

	"github.com/attune-go/attune"
)

// Fields lists every field of a policy document, in the order in which documents, tables and messages show them.
//
// A new field needs an entry here, a line in [attune.Policy] and in [attune.QueuePolicy], and the code that applies it. Packs,
// the API, the command line and the database need no change: they read this list, or store the whole document.
func Fields() []Field {
	return []Field{
		number(spec[int]{
			name: "limit", defaultValue: 1,
			doc:       "Executions at once; 0 grants nothing",
			document:  func(p *attune.Policy) **int { return &p.Limit },
			effective: func(p *attune.QueuePolicy) *int { return &p.Limit },
		}, valueRange[int]{least: 0, leastText: "0 (grants nothing)", most: new(attune.MaxLimit)}),
		number(spec[int]{
			name: "max_queued", defaultValue: 10_000,
			doc:       "Enforcements that may wait",
			document:  func(p *attune.Policy) **int { return &p.MaxQueued },
			effective: func(p *attune.QueuePolicy) *int { return &p.MaxQueued },
		}, valueRange[int]{least: 1, most: new(attune.MaxQueuedLimit)}),
		choice(spec[attune.Overflow]{
			name: "overflow", defaultValue: attune.OverflowReject,
			doc:       "Which enforcement leaves a full queue: the new enforcement, or the enforcement that has waited longest",
			document:  func(p *attune.Policy) **attune.Overflow { return &p.Overflow },
			effective: func(p *attune.QueuePolicy) *attune.Overflow { return &p.Overflow },
		}, attune.OverflowReject, attune.OverflowDropOldest),
		duration(spec[attune.Duration]{
			name: "queue_timeout", defaultValue: 0,
			doc:       "How long an enforcement may wait; 0 means for ever",
			document:  func(p *attune.Policy) **attune.Duration { return &p.QueueTimeout },
			effective: func(p *attune.QueuePolicy) *attune.Duration { return &p.QueueTimeout },
		}, valueRange[attune.Duration]{least: 0, leastText: "0 (for ever)"}),
		number(spec[int]{
			name: "max_attempts", defaultValue: 1,
			doc:       "Attempts of an execution, including the first; 1 means no retry",
			document:  func(p *attune.Policy) **int { return &p.MaxAttempts },
			effective: func(p *attune.QueuePolicy) *int { return &p.MaxAttempts },
		}, valueRange[int]{least: 1, leastText: "1 (no retry)", most: new(attune.MaxAttempts)}),
		duration(spec[attune.Duration]{
			name: "retry_delay", defaultValue: attune.Duration(10 * time.Second),
			doc:       "Delay before the second attempt of an execution that keeps its slot; doubles with each further attempt",
			document:  func(p *attune.Policy) **attune.Duration { return &p.RetryDelay },
			effective: func(p *attune.QueuePolicy) *attune.Duration { return &p.RetryDelay },
		}, valueRange[attune.Duration]{least: 0, most: new(attune.Duration(attune.MaxRetryDelay))}),
		choice(spec[attune.RetryPlacement]{
			name: "retry_placement", defaultValue: attune.RetryHold,
			doc:       "Where an enforcement waits for its next attempt: in its slot, at the back of the line, or parked",
			document:  func(p *attune.Policy) **attune.RetryPlacement { return &p.RetryPlacement },
			effective: func(p *attune.QueuePolicy) *attune.RetryPlacement { return &p.RetryPlacement },
		}, attune.RetryHold, attune.RetryBack, attune.RetryPark),
	}
}

// Defaults returns the policy of a queue for which no scope sets a field: one execution at a time, in order.
func Defaults() attune.QueuePolicy { return Resolve().Policy }

// Validate returns an [attune.CodeInvalid] error about the first field whose value is not allowed.
func Validate(p attune.Policy) error {
	for _, field := range Fields() {
		if err := field.check(p); err != nil {
			return err
		}
	}
	return nil
}
