package policy

import (
	"cmp"
	"slices"

	"github.com/attune-go/attune"
)

// Gate is a rate or a quota in force, with the level that declares it. Either Rate or Quota is set.
type Gate struct {
	Source
	Rate  *attune.Rate  `json:"rate,omitempty"`
	Quota *attune.Quota `json:"quota,omitempty"`
}

// ID returns what identifies the gate, whatever its limit is. A gate keeps its count while its scope and its name stay.
func (g Gate) ID() attune.GateID {
	id := attune.GateID{Kind: attune.GateRate, Scope: string(g.Scope), Ref: g.Ref}
	if g.Quota != nil {
		id.Kind, id.Name = attune.GateQuota, g.Quota.Name
	} else {
		id.Name = g.Rate.Name
	}
	return id
}

// delays reports whether the gate is a rate that delays starts.
func (g Gate) delays() bool { return g.Rate != nil && g.Rate.Method == attune.RateDelay }

// expressions returns the key and the cost of the gate.
func (g Gate) expressions() (key, cost string) {
	if g.Quota != nil {
		return g.Quota.Key, g.Quota.Cost
	}
	return g.Rate.Key, g.Rate.Cost
}

// limit returns the units that the gate allows in a window or a period.
func (g Gate) limit() int64 {
	if g.Quota != nil {
		return int64(g.Quota.Limit)
	}
	return int64(g.Rate.Limit)
}

// Gates are rates and quotas in force: those of the narrowest scope first, those of a scope in the order of its document, its rates
// before its quotas.
type Gates []Gate

// GatesOf returns the gates of levels. The gates of all scopes apply. Of one scope, the list of a person replaces the list of the
// pack, rates and quotas each for itself. GatesOf ignores a level of an unknown scope.
func GatesOf(levels ...Level) Gates {
	var gates Gates
	ranked := byRank(levels)
	for i := 0; i < len(ranked); {
		n := i + 1
		for n < len(ranked) && ranked[n].Scope == ranked[i].Scope && ranked[n].Ref == ranked[i].Ref {
			n++
		}
		gates = append(gates, gatesOfScope(ranked[i:n])...)
		i = n
	}
	return gates
}

// gatesOfScope returns the gates of the levels of one scope, the deciding level first.
func gatesOfScope(levels []Level) (gates Gates) {
	sets := func(set func(attune.Policy) bool) *Level {
		i := slices.IndexFunc(levels, func(l Level) bool { return set(l.Policy) })
		if i < 0 {
			return &Level{}
		}
		return &levels[i]
	}
	rated := sets(func(p attune.Policy) bool { return p.Rate != nil })
	for i := range rated.Policy.Rate {
		gates = append(gates, Gate{Source: rated.source(), Rate: &rated.Policy.Rate[i]})
	}
	bounded := sets(func(p attune.Policy) bool { return p.Quota != nil })
	for i := range bounded.Policy.Quota {
		gates = append(gates, Gate{Source: bounded.source(), Quota: &bounded.Policy.Quota[i]})
	}
	return gates
}

// AtAdmission returns the gates that judge an enforcement when it is admitted.
func (g Gates) AtAdmission() []attune.Gate {
	var gates []attune.Gate
	for _, gate := range g {
		if !gate.delays() {
			key, cost := gate.expressions()
			gates = append(gates, attune.Gate{GateID: gate.ID(), Key: key, Cost: cost})
		}
	}
	return gates
}

// Starts returns the rates of starts: of all actions of the queue, and of the action.
func (g Gates) Starts() (ofQueue, ofAction []attune.StartRate) {
	for _, gate := range g {
		if !gate.delays() {
			continue
		}
		rate := attune.StartRate{Name: gate.Rate.Name, Limit: gate.Rate.Limit, Window: gate.Rate.Window}
		switch gate.Scope {
		case ScopeQueue:
			ofQueue = append(ofQueue, rate)
		case ScopeAction:
			ofAction = append(ofAction, rate)
		default: // no document of another scope can have one
		}
	}
	return ofQueue, ofAction
}

// Find returns the gate with an identity, or false.
func (g Gates) Find(id attune.GateID) (Gate, bool) {
	i := slices.IndexFunc(g, func(gate Gate) bool { return gate.ID() == id && !gate.delays() })
	if i < 0 {
		return Gate{}, false
	}
	return g[i], true
}

// CompareGates orders identities of gates, for locks in one order.
func CompareGates(a, b attune.GateID) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Name, b.Name))
}
