// Package policy decides which policy is in force for a queue, and says where each part of it comes from.
//
// The rule: every field is decided on its own, and the narrowest scope that says something about it wins:
//
//	action > pack > global > default
//
// So an action that sets only a limit still takes its queue timeout from its pack. The defaults are those of
// [attune.DefaultQueuePolicy].
//
// Authority: what scopes say is stored elsewhere and handed in; what follows from it is decided here and nowhere else.
// Whatever bounds how much may run, how often and how much may wait (limits, queue bounds and retries, and likewise rate
// limits and quotas) is policy, and its arithmetic belongs in this package.
//
// Guarantees: the functions are pure (no clock, no I/O, no state), the order in which levels are handed in does not
// matter, and the answer has a value and a [Source] for every field.
//
// Failures: there are none. Values are checked where they enter, by [attune.Policy.Validate].
package policy

import (
	"cmp"
	"slices"

	"github.com/attune-go/attune"
)

// Scope is how much a policy covers.
type Scope string

// The scopes, from the narrowest to the widest. ScopeDefault is no level of its own: it marks a field about which no
// level says anything.
const (
	ScopeAction  Scope = "action"
	ScopePack    Scope = "pack"
	ScopeGlobal  Scope = "global"
	ScopeDefault Scope = "default"
)

// Level is what one scope says. Ref names the action ("demo.deploy") or the pack ("demo"); it is empty for the global
// scope.
type Level struct {
	Scope  Scope         `json:"scope"`
	Ref    string        `json:"ref,omitempty"`
	Policy attune.Policy `json:"policy"`
}

// Effective is the policy in force, with the origin of each of its fields.
type Effective struct {
	Policy attune.QueuePolicy `json:"policy"` // Revision is 0: the store counts revisions
	From   Provenance         `json:"from"`
}

// Provenance says, field by field, which level decided.
type Provenance struct {
	Limit        Source `json:"limit"`
	MaxQueued    Source `json:"max_queued"`
	Overflow     Source `json:"overflow"`
	QueueTimeout Source `json:"queue_timeout"`

	MaxAttempts    Source `json:"max_attempts"`
	RetryDelay     Source `json:"retry_delay"`
	RetryPlacement Source `json:"retry_placement"`
}

// Source names the level that decided a field. Ref is empty for the global scope and for the default.
type Source struct {
	Scope Scope  `json:"scope"`
	Ref   string `json:"ref,omitempty"`
}

// String is the source in words: "action demo.deploy", "pack demo", "global", "default".
func (s Source) String() string {
	if s.Ref == "" {
		return string(s.Scope)
	}
	return string(s.Scope) + " " + s.Ref
}

// QueueKey is the queue in which an action's enforcements wait: one queue per action, named by its reference.
func QueueKey(action attune.Ref) attune.QueueKey { return attune.QueueKey(action) }

// Resolve decides every field of the policy in force.
//
// Callers hand in the levels that apply to one queue: at most one per scope. Should a scope speak twice, the level with
// the lower Ref decides, and of two with the same Ref the lower value, so that the answer never depends on the order of
// the arguments. A level of any other scope says nothing.
func Resolve(levels ...Level) Effective {
	ranked := byRank(levels)
	defaults := attune.DefaultQueuePolicy()
	var e Effective
	e.Policy.Limit, e.From.Limit = decide(ranked, defaults.Limit,
		func(p attune.Policy) *int { return p.Limit })
	e.Policy.MaxQueued, e.From.MaxQueued = decide(ranked, defaults.MaxQueued,
		func(p attune.Policy) *int { return p.MaxQueued })
	e.Policy.Overflow, e.From.Overflow = decide(ranked, defaults.Overflow,
		func(p attune.Policy) *attune.Overflow { return p.Overflow })
	e.Policy.QueueTimeout, e.From.QueueTimeout = decide(ranked, defaults.QueueTimeout,
		func(p attune.Policy) *attune.Duration { return p.QueueTimeout })
	resolveRetry(&e, ranked, defaults.Retry)
	return e
}

func resolveRetry(e *Effective, ranked []Level, defaults attune.RetryPolicy) {
	retry := &e.Policy.Retry
	retry.MaxAttempts, e.From.MaxAttempts = decide(ranked, defaults.MaxAttempts,
		func(p attune.Policy) *int { return p.MaxAttempts })
	retry.Delay, e.From.RetryDelay = decide(ranked, defaults.Delay,
		func(p attune.Policy) *attune.Duration { return p.RetryDelay })
	retry.Placement, e.From.RetryPlacement = decide(ranked, defaults.Placement,
		func(p attune.Policy) *attune.RetryPlacement { return p.RetryPlacement })
}

// decide returns the value of one field and its source: the first ranked level that says something about it.
func decide[T cmp.Ordered](ranked []Level, fallback T, field func(attune.Policy) *T) (T, Source) {
	value, source := fallback, Source{Scope: ScopeDefault}
	for _, level := range ranked {
		said := field(level.Policy)
		switch here := (Source{Scope: level.Scope, Ref: level.Ref}); {
		case said == nil:
		case source.Scope == ScopeDefault:
			value, source = *said, here
		case source == here:
			value = min(value, *said)
		}
	}
	return value, source
}

// byRank returns the levels of known scopes, the narrowest first.
func byRank(levels []Level) []Level {
	known := slices.DeleteFunc(slices.Clone(levels), func(l Level) bool { return rank(l.Scope) == 0 })
	slices.SortFunc(known, func(a, b Level) int {
		return cmp.Or(cmp.Compare(rank(a.Scope), rank(b.Scope)), cmp.Compare(a.Ref, b.Ref))
	})
	return known
}

// rank orders scopes from the narrowest, 1; 0 is no scope of a level.
func rank(s Scope) int {
	return 1 + slices.Index([]Scope{ScopeAction, ScopePack, ScopeGlobal}, s)
}
