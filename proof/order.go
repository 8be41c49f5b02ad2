package proof

import (
	"slices"

	"github.com/attune-go/attune"
)

// gap is a range of numbers that are not in the log, between two grants of one generation that are. Each number belongs to a
// decision that was not acted upon, or not yet.
type gap struct {
	before     attune.LoggedGrant // the grant that they were decided before
	numbers    int64
	candidates []place // the places that the numbers may have been decided for
}

// checkOrder walks the grants in the order of their decisions.
func (c *check) checkOrder() {
	var last attune.LoggedGrant // the latest that was in order
	others := int64(0)          // grants since then that say nothing about the order
	highest := int64(0)         // sequence that an earlier generation has granted
	reached := int64(0)         // sequence that any generation has granted
	number := int64(0)          // of the grant before
	for _, grant := range c.grants {
		if grant.Generation > last.Generation || c.report.Checked.Generations == 0 {
			c.report.Checked.Generations++
			// It counts on from the highest number that was acted upon, and knows everybody who waits.
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

// disordered reports whether a grant contradicts the latest one that was in order.
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

// checkNumbers expects the numbers between two grants that follow each other in the log, but for others, to belong to tickets
// between the two.
func (c *check) checkNumbers(last, grant attune.LoggedGrant, others int64) {
	absent := max(0, grant.Number-last.Number-1-others)
	var candidates []place
	later := int64(0) // places that a later generation has granted
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
		if c.endsKept(grant) {
			c.violation(RuleOrder, grant.Sequence, grant.Number,
				"overtook %d tickets between sequences %d and %d, of which neither a grant nor an end can have been lost",
				spared, last.Sequence, grant.Sequence)
		}
	}
	if absent == 0 {
		return
	}
	if absent > int64(len(candidates)) {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"%d numbers before it are not in the log, and %d tickets between sequences %d and %d may have been meant",
			absent, len(candidates), last.Sequence, grant.Sequence)
	}
	c.gaps = append(c.gaps, gap{before: grant, numbers: absent, candidates: candidates})
	if newest := c.grants[len(c.grants)-1]; grant.Generation < newest.Generation {
		c.report.Checked.Fenced += int(absent)
	}
}

// endsKept reports whether every end was stored that the generation of a grant had decided before that. A generation stores
// ends in the order in which it decides them, so it has if one was stored in its time of a ticket that came after the grant.
func (c *check) endsKept(grant attune.LoggedGrant) bool {
	return slices.ContainsFunc(c.places, func(p place) bool {
		return p.dropped() && p.acceptedAt().After(grant.RequestedAt) && p.endedBefore(c.actedUpon[grant.Generation])
	})
}
