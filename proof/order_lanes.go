package proof

import (
	"slices"

	"github.com/attune-go/attune"
)

// orderInLanes checks a grant of a generation that is in order in its lanes only, because its policy let lanes pass each other at
// some time, or is unknown.
func (c *check) orderInLanes(o *order, lane *run, grant attune.LoggedGrant) {
	c.checkAbsent(o, grant)
	if c.disordered(lane.last, grant) {
		return
	}
	if grant.Sequence < o.strict.Sequence {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"decided after grant %d of sequence %d, although nothing could pass the first ticket then",
			o.strict.Number, o.strict.Sequence)
	}
	if strict(c.policies[grant.Revision]) && grant.Sequence > o.strict.Sequence {
		o.strict = grant
	}
	c.checkSpared(o, lane, grant)
	if grant.Sequence < lane.highest {
		c.report.Checked.Regranted++
	}
	lane.last = grant
}

// checkAbsent expects the missing numbers up to a grant to belong to tickets that had been accepted before.
func (c *check) checkAbsent(o *order, grant attune.LoggedGrant) {
	absent := grant.Number - o.number - 1
	if absent <= 0 {
		return
	}
	o.absent += absent
	if o.explain == nil {
		o.explain = slices.DeleteFunc(slices.Clone(c.places), func(p place) bool { return !c.explains(p, o.generation) })
	}
	accepted := slices.IndexFunc(o.explain, func(p place) bool { return p.acceptedAt().After(grant.RequestedAt) })
	if accepted < 0 {
		accepted = len(o.explain)
	}
	candidates := o.explain[:accepted]
	if o.absent > int64(len(candidates)) {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"%d numbers up to it are not in the log, but only %d tickets can explain them", o.absent, len(candidates))
	}
	c.leaveGap(grant, absent, candidates)
}

// checkSpared looks for tickets that a grant overtook in its lane, and that a later generation granted. Each needs a missing
// number, or a settlement that was lost.
func (c *check) checkSpared(o *order, lane *run, grant attune.LoggedGrant) {
	for _, p := range between(c.lanes[grant.Lane], lane.last.Sequence, grant.Sequence) {
		if p.grant != nil && p.grant.Generation > o.generation {
			o.passed++
		}
	}
	if spared := o.passed - o.absent - o.spared; spared > 0 {
		o.spared += spared
		c.spare(grant, spared, lane.last.Sequence)
	}
}
