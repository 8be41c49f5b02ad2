package proof

import (
	"slices"

	"github.com/attune-go/attune"
)

// decision is what the check knows about the decision of one grant.
type decision struct {
	attune.LoggedGrant

	index  int                 // in the order of the decisions
	first  int                 // the index of the first logged decision of the generation
	action attune.ActionID     // the action of the ticket
	policy *attune.QueuePolicy // the policy in force; nil if the journal does not have it
	absent int                 // missing numbers of the generation below this one

	// exact says that the lists of freed slots show which slots the queue counted as held: every decision of the queue so far is
	// logged and was durable.
	exact bool
	// hidden is the greatest number of slots that the queue counted as held although the log does not prove that they were:
	// their releases were stored, but the queue may not have known. Missing numbers are included.
	hidden int
	freed  bool       // a later decision counted its slot as freed
	known  checkpoint // the latest one, at this decision or before
}

// checkpoint is a decision before which the queue knew every release that the log shows until its request.
type checkpoint struct{ decision *decision }

// skips reports whether lanes could surely pass each other.
func (d *decision) skips() bool { return d.policy != nil && d.policy.Across == attune.AcrossSkip }

// strict reports whether nothing could surely pass the first ticket under a policy; nil is an unknown policy.
func strict(policy *attune.QueuePolicy) bool {
	return policy != nil && policy.Across != attune.AcrossSkip
}

// decideAll prepares the decisions of all grants, in the order of their numbers.
func (c *check) decideAll(policies []attune.QueuePolicy) {
	c.policies = make(map[int64]*attune.QueuePolicy, len(policies))
	for i := range policies {
		c.policies[policies[i].Revision] = &policies[i]
		if policies[i].Across == attune.AcrossSkip {
			c.skipped = append(c.skipped, policies[i].Revision)
		}
	}
	slices.Sort(c.skipped)
	c.bySequence = make(map[int64]*decision, len(c.grants))
	c.decisions = make([]*decision, len(c.grants))
	first, base := 0, int64(0) // of the generation
	for i, grant := range c.grants {
		if i > 0 && grant.Generation > c.grants[i-1].Generation {
			first, base = i, c.grants[i-1].Number
		}
		c.decisions[i] = &decision{
			LoggedGrant: grant, index: i, first: first, action: c.actionOf(grant), policy: c.policies[grant.Revision],
			absent: int(max(0, grant.Number-base-1-int64(i-first))),
		}
		d := c.decisions[i]
		d.exact = d.Generation == 0 && d.skips() && d.absent == 0 && (i == 0 || c.decisions[i-1].exact)
		c.bySequence[grant.Sequence] = d
		if d.policy == nil {
			c.report.Checked.PolicyUnknown++
		}
	}
}

// actionOf returns the action of a grant's enforcement, because a queue without limits of actions need not know it.
func (c *check) actionOf(grant attune.LoggedGrant) attune.ActionID {
	if e, known := c.byID[grant.Enforcement]; known {
		return e.ActionID
	}
	return grant.Action
}

// splitLanes sorts the places by lane, and finds the generations that are in order in their lanes only.
func (c *check) splitLanes() {
	for _, p := range c.places {
		c.lanes[p.enforcement.Lane] = append(c.lanes[p.enforcement.Lane], p)
	}
	for number := range c.lanes {
		if number != 0 {
			c.report.Checked.Lanes++
		}
	}
	if len(c.lanes) < 2 {
		return
	}
	before, newest := int64(0), int64(0) // revisions: that of the last grant of earlier generations, and the highest so far
	for _, d := range c.decisions {
		if d.index == d.first {
			before = newest
		}
		newest = max(newest, d.Revision)
		if !strict(d.policy) || c.skippedBetween(before, d.Revision) {
			c.inLanes[d.Generation] = true
		}
	}
}

// skippedBetween reports whether a policy let lanes pass each other, between two revisions. A grant that is not in the log can have
// been decided under it.
func (c *check) skippedBetween(from, to int64) bool {
	i, _ := slices.BinarySearch(c.skipped, from)
	return i < len(c.skipped) && c.skipped[i] <= to
}

// rated reports whether a rate of starts can have held the tickets of an action. The rates of the whole queue cannot: they let
// the grant itself pass.
func (d *decision) rated(action attune.ActionID) bool { return len(d.policy.Of(action).Rates) > 0 }

// widestLane returns the highest limit of a lane that any policy of the queue sets for the tickets of an action; nil if a policy
// sets none.
func (c *check) widestLane(action attune.ActionID) *int {
	widest, known := c.widest[action]
	if known {
		return widest
	}
	widest = new(0)
	for _, policy := range c.policies {
		limit := policy.Of(action).LimitPerKey
		if limit == nil {
			widest = nil
			break
		}
		*widest = max(*widest, *limit)
	}
	c.widest[action] = widest
	return widest
}

// limitedActions returns the actions with a limit in any policy of the queue.
func (c *check) limitedActions() []attune.ActionID {
	var actions []attune.ActionID
	for _, policy := range c.policies {
		for _, of := range policy.Actions {
			if of.Limit != nil && !slices.Contains(actions, of.Action) {
				actions = append(actions, of.Action)
			}
		}
	}
	return actions
}
