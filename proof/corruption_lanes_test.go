package proof_test

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// laneCorruptions falsify the rows of a queue with lanes.
func laneCorruptions() []corruption {
	return []corruption{
		{name: "a grant passes another in its lane", apply: passInLane, prepare: (*history).passBlockedLane},
		{name: "a grant passes another although nothing may pass", apply: passInStrictLine, prepare: (*history).passBlockedLane},
		{name: "a grant passes an eligible ticket", apply: passEligible, prepare: (*history).passBlockedLane},
		{name: "a lane exceeds its limit", apply: exceedLane, prepare: (*history).fillLevels},
		{name: "an action exceeds its limit", apply: exceedAction, prepare: (*history).fillLevels},
		{name: "too many slots are counted as freed", apply: freed(1), prepare: (*history).skipOneAfterTheOther},
		{name: "too few slots are counted as freed", apply: freed(-1), prepare: (*history).skipOneAfterTheOther},
		{name: "an action differs", apply: anotherAction, prepare: (*history).oneAfterTheOther},
	}
}

// pair is two grants of one generation: a was decided before b.
type pair struct{ a, b int }

// drawPair draws two grants of one generation.
func drawPair(t *rapid.T, r *rows, match func(a, b attune.LoggedGrant) bool) (a, b *attune.LoggedGrant) {
	var found []pair
	for i, a := range r.Grants {
		for j, b := range r.Grants {
			if a.Generation == b.Generation && a.Number < b.Number && match(a, b) {
				found = append(found, pair{i, j})
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	chosen := found[rapid.IntRange(0, len(found)-1).Draw(t, "pair")]
	return &r.Grants[chosen.a], &r.Grants[chosen.b]
}

// policyOf returns the policy at a decision.
func (r *rows) policyOf(grant attune.LoggedGrant) *attune.QueuePolicy {
	i := slices.IndexFunc(r.Policies, func(p attune.QueuePolicy) bool { return p.Revision == grant.Revision })
	return &r.Policies[i]
}

// limits returns the limits of a grant's action at its decision, to be changed.
func (r *rows) limits(grant attune.LoggedGrant) *attune.ActionPolicy {
	policy := r.policyOf(grant)
	policy.Actions = slices.Clone(policy.Actions)
	i := slices.IndexFunc(policy.Actions, func(p attune.ActionPolicy) bool { return p.Action == grant.Action })
	if i < 0 {
		i = len(policy.Actions)
		policy.Actions = append(policy.Actions, attune.ActionPolicy{Action: grant.Action})
	}
	return &policy.Actions[i]
}

func (r *rows) skips(grant attune.LoggedGrant) bool {
	return r.policyOf(grant).Across == attune.AcrossSkip
}

func passInLane(t *rapid.T, r *rows) bool {
	a, b := drawPair(t, r, func(a, b attune.LoggedGrant) bool { return a.Lane == b.Lane && r.skips(a) && r.skips(b) })
	if a == nil {
		return false
	}
	r.swapNumbers(a, b)
	return true
}

// passInStrictLine lets the journal say that nothing was allowed to pass the first ticket.
func passInStrictLine(t *rapid.T, r *rows) bool {
	passing, _ := drawPair(t, r, func(a, b attune.LoggedGrant) bool { return a.Sequence > b.Sequence && r.skips(a) })
	if passing == nil {
		return false
	}
	r.policyOf(*passing).Across = attune.AcrossStrict
	return true
}

// passEligible lets the journal say that a ticket that was passed had room.
func passEligible(t *rapid.T, r *rows) bool {
	passing, _ := drawPair(t, r, func(a, b attune.LoggedGrant) bool {
		return a.Sequence > b.Sequence && r.skips(a) && len(r.policyOf(a).Of(b.Action).Rates) == 0 &&
			!slices.ContainsFunc(r.Enforcements, func(e attune.Enforcement) bool { return e.Lane == b.Lane && e.ActionID != b.Action })
	})
	if passing == nil {
		return false
	}
	r.policyOf(*passing).Actions = nil
	return true
}

// held reports whether a grant surely held its slot at the decision of a later one.
func held(a, b attune.LoggedGrant) bool {
	return a.ReleasedAt == nil || a.ReleasedAt.After(b.RequestedAt)
}

func exceedLane(t *rapid.T, r *rows) bool {
	_, b := drawPair(t, r, func(a, b attune.LoggedGrant) bool { return a.Lane == b.Lane && held(a, b) && r.logsChangesOf(b) })
	if b == nil {
		return false
	}
	r.limits(*b).LimitPerKey = new(1)
	return true
}

// logsChangesOf reports whether the log has the last change before a grant. The change can be lost with its generation; then the limit of the
// lane is not known.
func (r *rows) logsChangesOf(g attune.LoggedGrant) bool {
	return g.Changes == 0 || slices.ContainsFunc(r.Changes, func(c attune.QueueChange) bool {
		return c.Number == g.Changes && !c.At.After(g.GrantedAt)
	})
}

func exceedAction(t *rapid.T, r *rows) bool {
	_, b := drawPair(t, r, func(a, b attune.LoggedGrant) bool { return a.Action == b.Action && held(a, b) })
	if b == nil {
		return false
	}
	r.limits(*b).Limit = new(1)
	return true
}

// freed changes the number of slots that a grant says had become free, where the previous grant took the only slot.
func freed(by int) func(*rapid.T, *rows) bool {
	return func(t *rapid.T, r *rows) bool {
		_, b := drawPair(t, r, func(a, b attune.LoggedGrant) bool {
			return a.Number+1 == b.Number && a.Limit == 1 && b.Limit == 1 && r.skips(a) && r.skips(b)
		})
		if b == nil {
			return false
		}
		if by < 0 {
			b.Freed = b.Freed[1:]
		} else {
			b.Freed = append(b.Freed, b.Sequence)
		}
		return true
	}
}

// anotherAction gives a grant another action than its ticket's.
func anotherAction(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(attune.LoggedGrant) bool { return true })
	if grant == nil {
		return false
	}
	grant.Action++
	return true
}
