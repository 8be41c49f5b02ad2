package proof

import (
	"slices"

	"github.com/attune-go/attune"
)

// gap is a range of missing numbers between two logged grants of one generation. Each number belongs to a decision that was not
// acted upon, or not yet.
type gap struct {
	before     attune.LoggedGrant // the logged grant after the gap
	numbers    int64              // how many numbers are missing
	candidates []place            // the places that can explain the numbers
}

// checkOrder goes through the grants in the order of their decisions.
func (c *check) checkOrder() {
	var last attune.LoggedGrant // the latest grant in order
	others := int64(0)          // grants out of order since then
	highest := int64(0)         // the highest sequence that an earlier generation granted
	reached := int64(0)         // the highest sequence that any generation granted so far
	number := int64(0)          // the number of the previous grant
	for _, grant := range c.grants {
		if grant.Generation > last.Generation || c.report.Checked.Generations == 0 {
			c.report.Checked.Generations++
			// A new generation continues with the highest logged number, and knows every waiting ticket.
			last = attune.LoggedGrant{Grant: attune.Grant{Generation: grant.Generation, Number: number}}
			highest, others = reached, 0
		}
		number = grant.Number
		if c.disordered(last, grant) {
			others++
			continue
		}
		c.checkNumbers(last, grant, others)
		if grant.Sequence < highest {
			c.report.Checked.Regranted++
		}
		reached = max(reached, grant.Sequence)
		last, others = grant, 0
	}
	for _, p := range c.between(0, reached) {
		if p.waits() {
			c.report.Checked.Passed++
		}
	}
}

// disordered reports whether a grant contradicts the latest grant in order.
func (c *check) disordered(last, grant attune.LoggedGrant) bool {
	switch {
	case grant.Generation < last.Generation:
		c.violation(RuleOrder, grant.Sequence, grant.Number, "decided by generation %d after generation %d had taken over",
			grant.Generation, last.Generation)
	case grant.Sequence < last.Sequence:
		c.violation(RuleOrder, grant.Sequence, grant.Number, "decided after grant %d of sequence %d", last.Number, last.Sequence)
	default:
		return false
	}
	return true
}

// checkNumbers expects the missing numbers between two consecutive logged grants in order to belong to tickets between the two.
// others is the number of grants out of order in between; their numbers are not missing.
func (c *check) checkNumbers(last, grant attune.LoggedGrant, others int64) {
	absent := max(0, grant.Number-last.Number-1-others)
	var candidates []place
	later := int64(0) // places that a later generation granted
	for _, p := range c.between(last.Sequence, grant.Sequence) {
		switch {
		case p.grant != nil && p.grant.Generation > grant.Generation:
			later++
		case p.waits(), p.dropped() && (grant.Generation > 0 || p.endedAfter(c.actedUpon[grant.Generation])):
		default:
			continue
		}
		candidates = append(candidates, p)
	}
	if spared := later - absent; spared > 0 {
		c.report.Checked.Reprieved += int(spared)
		if c.settlementsStored(grant) {
			c.violation(RuleOrder, grant.Sequence, grant.Number,
				"overtook %d tickets between sequences %d and %d, whose grants and ends cannot have been lost",
				spared, last.Sequence, grant.Sequence)
		}
	}
	if absent == 0 {
		return
	}
	if absent > int64(len(candidates)) {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"%d numbers before it are not in the log, but only %d tickets between sequences %d and %d can explain them",
			absent, len(candidates), last.Sequence, grant.Sequence)
	}
	c.gaps = append(c.gaps, gap{before: grant, numbers: absent, candidates: candidates})
	if newest := c.grants[len(c.grants)-1]; grant.Generation < newest.Generation {
		c.report.Checked.Fenced += int(absent)
	}
}

// settlementsStored reports whether every settlement that a generation decided before this grant was stored. A generation
// stores settlements in the order of its decisions. So a stored settlement of a ticket that was accepted after the grant proves
// that.
func (c *check) settlementsStored(grant attune.LoggedGrant) bool {
	return slices.ContainsFunc(c.places, func(p place) bool {
		return p.dropped() && p.acceptedAt().After(grant.RequestedAt) && p.endedBefore(c.actedUpon[grant.Generation])
	})
}
