// Package policy declares the fields of a policy, with their bounds, defaults and meanings. It decides which value of each
// field is in force for a queue, and which scope set the value.
//
// The rule: each field is decided on its own, and the narrowest scope that sets the field wins:
//
//	action > queue > pack > global > default
//
// So an action that sets only a limit still takes its queue timeout from its pack. Within one scope, a value set by a person
// wins over a value set by a pack, again field by field.
//
// Authority: callers store the documents of the scopes and pass them in. Only this package decides what is in force. Every
// bound on how much may run, how often, and how much may wait is policy: limits, queue bounds and retries, and likewise rate
// limits and quotas. Its arithmetic belongs in this package. The package also names the queue that an action owns, and makes the
// policy of that queue: see [DefaultQueue] and [OwnQueue].
//
// Guarantees: the functions are pure (no clock, no I/O, no state). The order of the levels does not matter. The result has a
// value and a [Source] for every field of [Fields].
//
// Failures: resolving cannot fail. [Field.Set] and [Validate] check values where they enter.
package policy

import (
	"cmp"
	"slices"

	"github.com/attune-go/attune"
)

// Scope is the part of an installation that a policy covers.
type Scope string

// The scopes, from the narrowest to the widest. No level has the scope default: it is the source of a field that no level sets.
const (
	ScopeAction  Scope = "action"
	ScopeQueue   Scope = "queue"
	ScopePack    Scope = "pack"
	ScopeGlobal  Scope = "global"
	ScopeDefault Scope = "default"
)

// Origin says who set the policy of a scope.
type Origin string

// The origins. A policy set by a person stays in force when a new version of the pack is installed.
const (
	OriginPerson Origin = "person"
	OriginPack   Origin = "pack"
)

// Level is the policy document of one scope and one origin. Ref names the action ("demo.deploy"), the queue or the pack
// ("demo"); it is empty for the global scope.
type Level struct {
	Scope    Scope         `json:"scope"`
	Ref      string        `json:"ref,omitempty"`
	Origin   Origin        `json:"origin"`
	Revision int64         `json:"revision,omitempty"` // of the document
	Policy   attune.Policy `json:"policy"`
}

func (l Level) source() Source {
	return Source{Scope: l.Scope, Ref: l.Ref, Origin: l.Origin, Revision: l.Revision}
}

// Effective is the policy in force, with the source of each of its fields, and with the rates and quotas of all scopes.
type Effective struct {
	Policy attune.EffectivePolicy `json:"policy"`
	From   Provenance             `json:"from"`
	Gates  Gates                  `json:"gates,omitempty"`
}

// Provenance maps the name of each field to the level that decided it.
type Provenance map[string]Source

// Source names the level that decided a field. For the default, only the scope is set.
type Source struct {
	Scope    Scope  `json:"scope" enum:"action,queue,pack,global,default"`
	Ref      string `json:"ref,omitempty" doc:"Reference of the action, queue or pack; absent for the other scopes"`
	Origin   Origin `json:"origin,omitempty" enum:"pack,person"`
	Revision int64  `json:"revision,omitempty" doc:"Revision of the document"`
}

// String returns the source in words: "action demo.deploy", "pack demo (set by a person)", "global", "default".
func (s Source) String() string {
	words := string(s.Scope)
	if s.Ref != "" {
		words += " " + s.Ref
	}
	if s.Origin == OriginPerson && s.Scope != ScopeGlobal { // only a person can set the global policy
		words += " (set by a person)"
	}
	return words
}

// Resolve decides every field of the policy in force.
//
// Callers pass the levels that apply to one queue, each scope, ref and origin at most once; their order does not matter. If a
// scope has two refs nevertheless, the lower ref decides. Resolve ignores a level of any other scope.
func Resolve(levels ...Level) Effective { return resolve(Fields(), levels) }

// resolve is [Resolve] with the result of [Fields].
func resolve(fields []Field, levels []Level) Effective {
	ranked := byRank(levels)
	e := Effective{From: make(Provenance, len(fields))}
	for _, field := range fields {
		e.From[field.Name] = field.decide(ranked, &e.Policy)
	}
	deriveDefaults(&e)
	e.Gates = GatesOf(levels...)
	return e
}

// byRank returns the levels of known scopes, the level that decides first in front.
func byRank(levels []Level) []Level {
	known := slices.DeleteFunc(slices.Clone(levels), func(l Level) bool { return rank(l.Scope) == 0 })
	slices.SortStableFunc(known, func(a, b Level) int {
		return cmp.Or(cmp.Compare(rank(a.Scope), rank(b.Scope)), cmp.Compare(a.Ref, b.Ref), compareOrigins(a.Origin, b.Origin))
	})
	return known
}

// rank numbers the scopes from the narrowest, 1. It is 0 for a scope that no level has.
func rank(s Scope) int {
	return 1 + slices.Index([]Scope{ScopeAction, ScopeQueue, ScopePack, ScopeGlobal}, s)
}

// compareOrigins sorts levels set by a person first.
func compareOrigins(a, b Origin) int {
	switch {
	case a == b:
		return 0
	case a == OriginPerson:
		return -1
	case b == OriginPerson:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}
