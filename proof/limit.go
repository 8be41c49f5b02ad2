package proof

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// checkLimit goes through the grants in the order of their decisions, and counts the earlier grants that still held their
// slots.
func (c *check) checkLimit() {
	var released []time.Time // when earlier grants gave their slots back, ascending
	open := 0                // earlier grants that still hold their slots
	for _, grant := range c.grants {
		// A slot that was given back at the instant of the request counts as free for this grant.
		freed, _ := slices.BinarySearchFunc(released, grant.RequestedAt, func(at, requested time.Time) int {
			if at.After(requested) {
				return 1
			}
			return -1
		})
		held := open + len(released) - freed
		pending := c.pending(grant)
		switch {
		case limitUnknown(grant):
			c.report.Checked.LimitUnknown++
		case held+pending >= grant.Limit && pending > 0:
			c.violation(RuleLimit, grant.Sequence, grant.Number,
				"decided while %d slots were held and %d more were given to grants not acted upon, at a limit of %d",
				held, pending, grant.Limit)
		case held >= grant.Limit:
			c.violation(RuleLimit, grant.Sequence, grant.Number, "decided while %d slots were held, at a limit of %d", held, grant.Limit)
		}
		c.report.Checked.MostActive = max(c.report.Checked.MostActive, held+1)
		if grant.ReleasedAt == nil {
			open++
			continue
		}
		at, _ := slices.BinarySearchFunc(released, *grant.ReleasedAt, time.Time.Compare)
		released = slices.Insert(released, at, *grant.ReleasedAt)
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
		ended := int64(0)
		for _, p := range gap.candidates {
			if p.dropped() && !p.endedAfter(grant.RequestedAt) {
				ended++
			}
		}
		n += max(0, min(gap.numbers, int64(len(gap.candidates)))-ended)
	}
	return int(n)
}

// limitUnknown reports whether a grant is older than the log, so that its limit and its policy are unknown.
func limitUnknown(grant attune.LoggedGrant) bool { return grant.Revision == 0 && grant.Limit == 0 }
