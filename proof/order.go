package proof

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// gap is a range of missing numbers between two logged grants of one generation. Each number belongs to a decision that was not
// acted upon, or not yet.
type gap struct {
	before   attune.LoggedGrant // the logged grant after the gap
	numbers  int64              // how many numbers are missing
	possible int64              // how many places can explain the numbers
	ended    []time.Time        // when such places ended without a grant, ascending
}

// run is the grants of one lane, or of the whole line.
type run struct {
	last    attune.LoggedGrant // the latest grant in order of the generation
	others  int64              // grants out of order since then
	highest int64              // the highest sequence that an earlier generation granted
	reached int64              // the highest sequence that any generation granted so far
}

// order is the state of the check of the order.
type order struct {
	generation int64
	begun      bool               // a generation has
	start      attune.LoggedGrant // generation and number before its first grant
	number     int64              // of the previous grant
	line       run
	lanes      map[int32]*run

	// In a generation that is in order in its lanes only:
	strict  attune.LoggedGrant // the grant with the highest sequence that was decided while nothing passed the first ticket
	absent  int64              // missing numbers so far
	passed  int64              // tickets that were passed in their lane and granted by a later generation
	spared  int64              // of these, those without a missing number
	explain []place            // the places that can explain missing numbers
}

// checkOrder goes through the grants in the order of their decisions.
func (c *check) checkOrder() {
	o := &order{lanes: map[int32]*run{}}
	for _, grant := range c.grants {
		if grant.Generation > o.generation || !o.begun {
			c.begin(o, grant.Generation)
		}
		lane := o.lane(grant.Lane)
		if c.inLanes[o.generation] {
			c.orderInLanes(o, lane, grant)
		} else {
			c.orderInLine(&o.line, grant)
		}
		o.number = grant.Number
		o.line.reached = max(o.line.reached, grant.Sequence)
		lane.reached = max(lane.reached, grant.Sequence)
	}
	if !c.inLanes[o.generation] {
		for _, p := range between(c.places, 0, o.line.reached) {
			if p.waits() {
				c.report.Checked.Passed++
			}
		}
	}
}

// begin starts a generation. It continues with the highest logged number, and knows every waiting ticket.
func (c *check) begin(o *order, generation int64) {
	c.report.Checked.Generations++
	o.generation, o.begun = generation, true
	o.start = attune.LoggedGrant{Grant: attune.Grant{Generation: generation, Number: o.number}}
	o.line.enter(o.start)
	o.strict, o.absent, o.passed, o.spared, o.explain = o.start, 0, 0, 0, nil
}

// enter starts a generation.
func (r *run) enter(start attune.LoggedGrant) {
	*r = run{last: start, highest: r.reached, reached: r.reached}
}

// lane returns the run of a lane in the generation.
func (o *order) lane(number int32) *run {
	r := o.lanes[number]
	if r == nil {
		r = &run{}
		o.lanes[number] = r
		r.enter(o.start)
	}
	if r.last.Generation < o.generation {
		r.enter(o.start)
	}
	return r
}

// orderInLine checks a grant of a generation in which nothing passes the first ticket.
func (c *check) orderInLine(line *run, grant attune.LoggedGrant) {
	if c.disordered(line.last, grant) {
		line.others++
		return
	}
	c.checkNumbers(*line, grant)
	if grant.Sequence < line.highest {
		c.report.Checked.Regranted++
	}
	line.last, line.others = grant, 0
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
// The numbers of grants out of order in between are not missing.
func (c *check) checkNumbers(line run, grant attune.LoggedGrant) {
	last := line.last
	absent := max(0, grant.Number-last.Number-1-line.others)
	var candidates []place
	later := int64(0)
	for _, p := range between(c.places, last.Sequence, grant.Sequence) {
		if !c.explains(p, grant.Generation) {
			continue
		}
		candidates = append(candidates, p)
		if p.grant != nil {
			later++
		}
	}
	if spared := later - absent; spared > 0 {
		c.spare(grant, spared, last.Sequence)
	}
	if absent == 0 {
		return
	}
	if absent > int64(len(candidates)) {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"%d numbers before it are not in the log, but only %d tickets between sequences %d and %d can explain them",
			absent, len(candidates), last.Sequence, grant.Sequence)
	}
	c.leaveGap(grant, absent, candidates)
}

// explains reports whether the place can be that of a missing number of a generation: the ticket waits, or a later generation
// granted it, or it was dropped after the generation's decision.
func (c *check) explains(p place, generation int64) bool {
	if p.grant != nil {
		return p.grant.Generation > generation
	}
	return p.waits() || p.dropped() && (generation > 0 || p.endedAfter(c.actedUpon[generation]))
}

// spare counts tickets that a grant overtook and that a later generation granted, although no number is missing for them.
func (c *check) spare(grant attune.LoggedGrant, spared, low int64) {
	c.report.Checked.Reprieved += int(spared)
	if c.settlementsStored(grant) {
		c.violation(RuleOrder, grant.Sequence, grant.Number,
			"overtook %d tickets between sequences %d and %d, whose grants and ends cannot have been lost", spared, low, grant.Sequence)
	}
}

// leaveGap notes missing numbers before a grant.
func (c *check) leaveGap(grant attune.LoggedGrant, absent int64, candidates []place) {
	gap := gap{before: grant, numbers: absent, possible: int64(len(candidates))}
	for _, p := range candidates {
		if p.dropped() && p.enforcement.FinishedAt != nil {
			gap.ended = append(gap.ended, *p.enforcement.FinishedAt)
		}
	}
	slices.SortFunc(gap.ended, time.Time.Compare)
	c.gaps = append(c.gaps, gap)
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
