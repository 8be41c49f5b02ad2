package proof

import (
	"math"

	"github.com/attune-go/attune"
)

// taken are the slots of all levels, in the order of the decisions.
type taken struct {
	queue   *slots
	actions map[attune.ActionID]*slots
	lanes   map[int32]*slots

	counted count // by the queue, before the next decision
}

// checkLimit goes through the grants in the order of their decisions. It counts, at each level, the earlier grants that still
// held their slots, and looks for grants that passed the ticket.
func (c *check) checkLimit() {
	t := &taken{queue: &slots{last: -1}, actions: map[attune.ActionID]*slots{}, lanes: map[int32]*slots{}}
	c.passes = c.newPasses()
	for _, d := range c.decisions {
		action, lane := at(t.actions, d.action), at(t.lanes, d.Lane)
		c.checkQueueLimit(t.queue, d)
		c.checkFreed(t, d)
		c.checkCounted(t, d)
		c.checkLevels(action, lane, d)
		c.passes.note(t.actions, d)
		c.checkPassed(lane, d)
		c.learn(action, lane, d)
		for _, level := range []*slots{t.queue, action, lane} {
			level.take(d)
		}
	}
	c.checkWaiting(t.lanes)
}

// checkQueueLimit expects that the queue had room for a grant.
func (c *check) checkQueueLimit(queue *slots, d *decision) {
	held, pending := queue.held(d), c.pending(d.LoggedGrant)
	switch {
	case limitUnknown(d.LoggedGrant):
		c.report.Checked.LimitUnknown++
	case held+pending >= d.Limit && pending > 0:
		c.violation(RuleLimit, d.Sequence, d.Number,
			"decided while %d slots were held and %d more were given to grants not acted upon, at a limit of %d",
			held, pending, d.Limit)
	case held >= d.Limit:
		c.violation(RuleLimit, d.Sequence, d.Number, "decided while %d slots were held, at a limit of %d", held, d.Limit)
	}
	c.report.Checked.MostActive = max(c.report.Checked.MostActive, held+1)
}

// checkLevels expects that the action and the lane of a grant had room.
func (c *check) checkLevels(action, lane *slots, d *decision) {
	ofAction, inLane := action.held(d), lane.held(d)
	if d.Lane != 0 {
		c.report.Checked.MostInLane = max(c.report.Checked.MostInLane, inLane+1)
	}
	if d.policy == nil {
		return
	}
	limits := d.policy.Of(d.action)
	if limit := limits.Limit; limit != nil && ofAction >= *limit {
		c.violation(RuleLimit, d.Sequence, d.Number, "decided while %d slots were held by action %d, at its limit of %d",
			ofAction, d.action, *limit)
	}
	if d.Lane != 0 && !c.hasChanges(d) {
		c.report.Checked.LimitUnknown++
	}
	if limit := c.laneLimits(d, d.Lane, limits.LimitPerKey).most; limit != nil && inLane >= *limit {
		c.violation(RuleLimit, d.Sequence, d.Number, "decided while %d slots were held in lane %d, at a limit of %d",
			inLane, d.Lane, *limit)
	}
}

// learn notes what a grant proves about the releases that the queue knew: if the slots that were surely held left room for one
// grant only, the queue knew all the others.
func (c *check) learn(action, lane *slots, d *decision) {
	if !d.skips() {
		return
	}
	limits := d.policy.Of(d.action)
	if limit := limits.Limit; limit != nil && action.held(d) == *limit-1 {
		action.see(d)
	}
	if limit := c.laneLimits(d, d.Lane, limits.LimitPerKey).known(); limit != nil && lane.held(d) == *limit-1 {
		lane.see(d)
	}
}

// checkFreed expects the slots that a grant says to have become free to be given back until then, each once.
func (c *check) checkFreed(t *taken, d *decision) {
	for _, sequence := range d.Freed {
		freed := c.bySequence[sequence]
		switch {
		case freed == nil:
			continue // the slot of a grant that was not acted upon
		case freed.index >= d.index || freed.ReleasedAt == nil || freed.ReleasedAt.After(d.RequestedAt):
			c.violation(RuleLimit, d.Sequence, d.Number, "the queue counted the slot of sequence %d as freed, which was held", sequence)
		case freed.freed && d.exact:
			c.violation(RuleLimit, d.Sequence, d.Number, "the queue counted the slot of sequence %d as freed twice", sequence)
		}
		freed.freed = true
		for _, level := range []*slots{t.queue, at(t.actions, freed.action), at(t.lanes, freed.Lane)} {
			level.freedBy = append(level.freedBy, d.index)
		}
	}
}

// count is the least and the greatest number of slots that the queue can have counted as held.
type count struct{ least, most int }

// uncounted is the count of a queue about which nothing is known.
func uncounted() count { return count{0, math.MaxInt / 2} }

// checkCounted follows the number of slots that the queue counted as held, from grant to grant: each takes a slot, and says how
// many have become free. Only the decisions of a queue that skips are all durable, so only their numbers follow each other.
func (c *check) checkCounted(t *taken, d *decision) {
	held := t.queue.held(d)
	counted := c.countedBefore(t, d)
	if counted.most < held {
		c.violation(RuleLimit, d.Sequence, d.Number, "the queue counted %d slots as freed before it, %d more than can have become free",
			len(d.Freed), held-counted.most)
	}
	if !limitUnknown(d.LoggedGrant) {
		if held < d.Limit && counted.least >= d.Limit {
			c.violation(RuleLimit, d.Sequence, d.Number, "decided while the queue counted %d slots as held, at a limit of %d",
				counted.least, d.Limit)
		}
		counted.most = min(counted.most, d.Limit-1)
	}
	counted.most = max(counted.most, held)
	d.hidden = counted.most - held
	d.known = c.checkpointAt(d)
	t.counted = count{max(counted.least, held) + 1, counted.most + 1}
}

// countedBefore returns the count at a decision, from the count after the previous one.
func (c *check) countedBefore(t *taken, d *decision) count {
	counted, absent := t.counted, d.absent
	if d.index > d.first {
		absent -= c.decisions[d.index-1].absent
	}
	switch start := d.index == d.first; {
	case !d.skips(), start && d.Generation > 0, !start && !c.decisions[d.index-1].skips():
		return uncounted()
	case absent > 0:
		counted.least = 0 // the slots that became free before the missing grants are unknown
	default:
		counted.least -= len(d.Freed)
	}
	counted.most += absent - len(d.Freed)
	return counted
}

// checkpointAt returns the latest checkpoint at a decision.
func (c *check) checkpointAt(d *decision) checkpoint {
	switch {
	case d.skips() && d.hidden == 0:
		return checkpoint{d}
	case d.index > 0:
		return c.decisions[d.index-1].known
	default:
		return checkpoint{}
	}
}

// pending returns the least number of slots that unlogged grants of the same generation held at the decision of a grant. An
// enforcement that ended before its grant was acted upon gave its slot back, so pending subtracts such enforcements.
func (c *check) pending(grant attune.LoggedGrant) int {
	n := int64(0)
	for _, gap := range c.gaps {
		if gap.before.Generation != grant.Generation || gap.before.Number > grant.Number {
			continue
		}
		ended := countUntil(gap.ended, grant.RequestedAt)
		n += max(0, min(gap.numbers, gap.possible)-int64(ended))
	}
	return int(n)
}

// limitUnknown reports whether a grant is older than the log, so that its limit and its policy are unknown.
func limitUnknown(grant attune.LoggedGrant) bool { return grant.Revision == 0 && grant.Limit == 0 }
