package proof

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// checkLimit walks the grants in the order of their decisions and keeps when each earlier grant gave its slot back.
func (c *check) checkLimit() {
	var released []time.Time // ascending
	open := 0                // still held
	for _, grant := range c.grants {
		// A slot that is given back at the instant of the request may have made room for this grant.
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

// pending is how many slots, when the grant was decided, surely belonged to grants of this generation that are not in the
// log. An enforcement that ended before its grant was acted upon gave its slot back: such enforcements are subtracted.
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

// limitUnknown says that the grant is from before the log, which then took down everything but the policy.
func limitUnknown(grant attune.LoggedGrant) bool { return grant.Revision == 0 && grant.Limit == 0 }
