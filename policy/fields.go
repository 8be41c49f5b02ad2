package policy

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Fields lists every field of a policy document that has one value, in the order in which documents, tables and messages show them.
//
// A new field needs an entry here, a line in [attune.Policy] and in [attune.EffectivePolicy], and the code that applies it. Packs,
// the API, the command line and the database need no change: they read this list, or store the whole document. The rates and quotas
// of all scopes add up, so they are no fields: see [Gates].
func Fields() []Field { return slices.Concat(slotFields(), lineFields(), retryFields()) }

// slotFields are the fields about how much runs at once.
func slotFields() []Field {
	return []Field{
		number(spec[int]{
			name: "limit", defaultValue: 1, defaultText: "1; with a key 5000",
			doc:       "Executions at once; 0 grants nothing",
			document:  func(p *attune.Policy) **int { return &p.Limit },
			effective: func(p *attune.EffectivePolicy) *int { return &p.Limit },
		}, valueRange[int]{least: 0, leastText: "0 (grants nothing)", most: new(attune.MaxLimit)}),
		text(spec[string]{
			name: "key", defaultText: "no lanes",
			doc:      "CEL expression over parameters and event: enforcements with the same value share a lane",
			document: func(p *attune.Policy) **string { return &p.Key },
			optional: func(p *attune.EffectivePolicy) **string { return &p.Key },
		}, maxKeyExpression),
		number(spec[int]{
			name: "limit_per_key", defaultText: "1 with a key",
			doc:      "Executions at once per lane; 0 grants nothing",
			document: func(p *attune.Policy) **int { return &p.LimitPerKey },
			optional: func(p *attune.EffectivePolicy) **int { return &p.LimitPerKey },
		}, valueRange[int]{least: 0, leastText: "0 (grants nothing)", most: new(attune.MaxLimit)}),
		choice(spec[attune.Across]{
			name: "across", ofQueue: true, defaultValue: attune.AcrossStrict, defaultText: "strict; with a key skip",
			doc:       "What other lanes do while the first enforcement of the line cannot start: pass, or wait",
			document:  func(p *attune.Policy) **attune.Across { return &p.Across },
			effective: func(p *attune.EffectivePolicy) *attune.Across { return &p.Across },
		}, attune.AcrossStrict, attune.AcrossSkip),
		queueName(spec[attune.QueueKey]{
			name: "queue", defaultText: "the action's own queue",
			doc:      "Shared queue of an action, or of all actions of a pack",
			document: func(p *attune.Policy) **attune.QueueKey { return &p.Queue },
			optional: func(p *attune.EffectivePolicy) **attune.QueueKey { return &p.Queue },
		}),
		choice(spec[attune.WhenBusy]{
			name: "when_busy", defaultValue: attune.BusyWait,
			doc: "What happens to an enforcement that cannot start at once: the enforcement waits, is rejected, " +
				"or replaces the others of its lane",
			document:  func(p *attune.Policy) **attune.WhenBusy { return &p.WhenBusy },
			effective: func(p *attune.EffectivePolicy) *attune.WhenBusy { return &p.WhenBusy },
		}, attune.BusyWait, attune.BusySkip, attune.BusyReplace),
	}
}

// lineFields are the fields about how much waits, and for how long.
func lineFields() []Field {
	return []Field{
		number(spec[int]{
			name: "max_queued", ofQueue: true, defaultValue: 10_000,
			doc:       "Enforcements that may wait",
			document:  func(p *attune.Policy) **int { return &p.MaxQueued },
			effective: func(p *attune.EffectivePolicy) *int { return &p.MaxQueued },
		}, valueRange[int]{least: 1, most: new(attune.MaxQueuedLimit)}),
		number(spec[int]{
			name: "max_queued_per_key", defaultText: "any number",
			doc:      "Enforcements of one lane that may wait",
			document: func(p *attune.Policy) **int { return &p.MaxQueuedPerKey },
			optional: func(p *attune.EffectivePolicy) **int { return &p.MaxQueuedPerKey },
		}, valueRange[int]{least: 1, most: new(attune.MaxQueuedLimit)}),
		choice(spec[attune.Overflow]{
			name: "overflow", ofQueue: true, defaultValue: attune.OverflowReject,
			doc:       "Which enforcement leaves a full queue: the new enforcement, or the enforcement that has waited longest",
			document:  func(p *attune.Policy) **attune.Overflow { return &p.Overflow },
			effective: func(p *attune.EffectivePolicy) *attune.Overflow { return &p.Overflow },
		}, attune.OverflowReject, attune.OverflowDropOldest),
		duration(spec[attune.Duration]{
			name: "queue_timeout", ofQueue: true, defaultValue: 0,
			doc:       "How long an enforcement may wait; 0 means for ever",
			document:  func(p *attune.Policy) **attune.Duration { return &p.QueueTimeout },
			effective: func(p *attune.EffectivePolicy) *attune.Duration { return &p.QueueTimeout },
		}, valueRange[attune.Duration]{least: 0, leastText: "0 (for ever)"}),
	}
}

// retryFields are the fields about further attempts.
func retryFields() []Field {
	return []Field{
		number(spec[int]{
			name: "max_attempts", defaultValue: 1,
			doc:       "Attempts of an execution, including the first; 1 means no retry",
			document:  func(p *attune.Policy) **int { return &p.MaxAttempts },
			effective: func(p *attune.EffectivePolicy) *int { return &p.MaxAttempts },
		}, valueRange[int]{least: 1, leastText: "1 (no retry)", most: new(attune.MaxAttempts)}),
		duration(spec[attune.Duration]{
			name: "retry_delay", defaultValue: attune.Duration(10 * time.Second),
			doc:       "Delay before the second attempt of an execution that keeps its slot; doubles with each further attempt",
			document:  func(p *attune.Policy) **attune.Duration { return &p.RetryDelay },
			effective: func(p *attune.EffectivePolicy) *attune.Duration { return &p.RetryDelay },
		}, valueRange[attune.Duration]{least: 0, most: new(attune.Duration(attune.MaxRetryDelay))}),
		choice(spec[attune.RetryPlacement]{
			name: "retry_placement", defaultValue: attune.RetryHold,
			doc:       "Where an enforcement waits for its next attempt: in its slot, at the back of the line, or parked",
			document:  func(p *attune.Policy) **attune.RetryPlacement { return &p.RetryPlacement },
			effective: func(p *attune.EffectivePolicy) *attune.RetryPlacement { return &p.RetryPlacement },
		}, attune.RetryHold, attune.RetryBack, attune.RetryPark),
	}
}

// maxKeyExpression bounds the expression of a key, in bytes, as the criteria of a rule are bounded.
const maxKeyExpression = 10_000

// deriveDefaults sets the defaults that depend on the key. With a key, one execution at a time is the default per value, not in
// total, and a lane that is busy holds up no other.
func deriveDefaults(e *Effective) {
	if e.Policy.Key == nil {
		return
	}
	byDefault := func(field string) bool { return e.From[field].Scope == ScopeDefault }
	if byDefault("limit") {
		e.Policy.Limit = attune.MaxLimit
	}
	if byDefault("limit_per_key") {
		e.Policy.LimitPerKey = new(1)
	}
	if byDefault("across") {
		e.Policy.Across = attune.AcrossSkip
	}
}

// Defaults returns the policy of an action for which no scope sets a field: one execution at a time, in order.
func Defaults() attune.EffectivePolicy { return Resolve().Policy }

// Validate returns an [attune.CodeInvalid] error about the first field whose value is not allowed. What depends on the scope of the
// document is checked by [CheckGates].
func Validate(p attune.Policy) error {
	for _, field := range Fields() {
		if err := field.check(p); err != nil {
			return err
		}
	}
	if faults := CheckGates(p, ""); len(faults) > 0 {
		return attune.Errorf(attune.CodeInvalid, "policy %s", faults[0])
	}
	return nil
}
