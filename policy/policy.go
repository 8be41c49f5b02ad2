// Package policy is the one place that knows the fields of a policy: their bounds, defaults and meanings, which value is in
// force for a queue, and where each of them comes from.
//
// The rule: every field is decided on its own, and the narrowest scope that says something about it wins:
//
//	action > queue > pack > global > default
//
// So an action that sets only a limit still takes its queue timeout from its pack. Within one scope, what a person says
// wins, again field by field, over what a pack says.
//
// Authority: what scopes say is stored elsewhere and handed in; what follows from it is decided here and nowhere else.
// Whatever bounds how much may run, how often and how much may wait (limits, queue bounds and retries, and likewise rate
// limits and quotas) is policy, and its arithmetic belongs in this package. In which queue an enforcement waits is decided
// here, too: see [QueueOf].
//
// Guarantees: the functions are pure (no clock, no I/O, no state), the order in which levels are handed in does not
// matter, and the answer has a value and a [Source] for every field of [Fields].
//
// Failures: there are none when policies are resolved. Values are checked where they enter, by [Field.Set] and [Validate].
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
	ScopeQueue   Scope = "queue"
	ScopePack    Scope = "pack"
	ScopeGlobal  Scope = "global"
	ScopeDefault Scope = "default"
)

// Origin says who speaks for a scope.
type Origin string

// The origins. A person outlives the pack: what a person says stays when a new version of the pack is installed.
const (
	OriginPerson Origin = "person"
	OriginPack   Origin = "pack"
)

// Level is what one scope says, by one origin. Ref names the action ("demo.deploy"), the queue or the pack ("demo"); it is
// empty for the global scope.
type Level struct {
	Scope  Scope         `json:"scope"`
	Ref    string        `json:"ref,omitempty"`
	Origin Origin        `json:"origin"`
	Policy attune.Policy `json:"policy"`
}

func (l Level) source() Source { return Source{Scope: l.Scope, Ref: l.Ref, Origin: l.Origin} }

// Effective is the policy in force, with the origin of each of its fields.
type Effective struct {
	Policy attune.QueuePolicy `json:"policy"` // Revision is 0: the store counts revisions
	From   Provenance         `json:"from"`
}

// Provenance says which level decided each field, by the field's name.
type Provenance map[string]Source

// Source names the level that decided a field. Ref and Origin are empty for the default.
type Source struct {
	Scope  Scope  `json:"scope"`
	Ref    string `json:"ref,omitempty"`
	Origin Origin `json:"origin,omitempty"`
}

// String is the source in words: "action demo.deploy", "pack demo (set by a person)", "global", "default".
func (s Source) String() string {
	words := string(s.Scope)
	if s.Ref != "" {
		words += " " + s.Ref
	}
	if s.Origin == OriginPerson && s.Scope != ScopeGlobal { // no pack speaks for everything
		words += " (set by a person)"
	}
	return words
}

// Resolve decides every field of the policy in force.
//
// Callers hand in the levels that apply to one queue: at most one per scope and origin. Should a scope speak twice, the
// level with the lower Ref decides, and of two of the same origin the lower value, so that the answer never depends on the
// order of the arguments. A level of any other scope says nothing.
func Resolve(levels ...Level) Effective {
	ranked := byRank(levels)
	e := Effective{From: make(Provenance)}
	for _, field := range Fields() {
		e.From[field.Name] = field.decide(ranked, &e.Policy)
	}
	return e
}

// byRank returns the levels of known scopes; the level that is asked first is in front.
func byRank(levels []Level) []Level {
	known := slices.DeleteFunc(slices.Clone(levels), func(l Level) bool { return rank(l.Scope) == 0 })
	slices.SortFunc(known, func(a, b Level) int {
		return cmp.Or(cmp.Compare(rank(a.Scope), rank(b.Scope)), cmp.Compare(a.Ref, b.Ref), compareOrigins(a.Origin, b.Origin))
	})
	return known
}

// rank orders scopes from the narrowest, 1; 0 is no scope of a level.
func rank(s Scope) int {
	return 1 + slices.Index([]Scope{ScopeAction, ScopeQueue, ScopePack, ScopeGlobal}, s)
}

// compareOrigins puts persons first.
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
