package proof

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Rows is everything that is stored about one queue, all of one instant; the lists are complete and in any order.
type Rows struct {
	Queue        attune.QueueKey
	Stats        attune.QueueStats
	Enforcements []attune.Enforcement // all that were ever recorded for the queue, also those that it has not accepted
	Grants       []attune.LoggedGrant // the log of grants
	Changes      []attune.QueueChange // the log of changes by hand
}

// Check compares the rows of a queue with its promises. The rows are not changed.
func Check(rows Rows) Report {
	c := newCheck(rows)
	c.checkTickets()
	c.checkOnce()
	c.checkOrder()
	c.checkLimit()
	c.checkLog()
	c.checkCounts()
	c.checkChanges()
	sortViolations(c.report.Violations)
	return c.report
}

// check is one check under way.
type check struct {
	report  Report
	stats   attune.QueueStats
	places  []place              // by sequence
	grants  []attune.LoggedGrant // by number
	changes []attune.QueueChange // by number
	byID    map[attune.EnforcementID]attune.Enforcement
	granted map[attune.EnforcementID][]attune.LoggedGrant // by number
	gaps    []gap                                         // numbers that are not in the log, by number

	accounts  map[attune.EnforcementStatus]account
	actedUpon map[int64]time.Time // by generation: when the last of its grants was acted upon

	byDecision []attune.LoggedGrant // by the time of the decision
	decided    map[int64]span       // by generation
}

func newCheck(rows Rows) *check {
	c := &check{
		report:  Report{Queue: rows.Queue},
		stats:   rows.Stats,
		grants:  slices.Clone(rows.Grants),
		changes: slices.Clone(rows.Changes),
		byID:    make(map[attune.EnforcementID]attune.Enforcement, len(rows.Enforcements)),
		granted: map[attune.EnforcementID][]attune.LoggedGrant{},

		accounts:  accounts(),
		actedUpon: map[int64]time.Time{},
	}
	slices.SortStableFunc(c.grants, func(a, b attune.LoggedGrant) int { return cmp.Compare(a.Number, b.Number) })
	slices.SortStableFunc(c.changes, func(a, b attune.QueueChange) int { return cmp.Compare(a.Number, b.Number) })
	accepted := slices.DeleteFunc(slices.Clone(rows.Enforcements), unaccepted)
	c.report.Checked.Unaccepted = len(rows.Enforcements) - len(accepted)
	for _, enforcement := range accepted {
		c.byID[enforcement.ID] = enforcement
	}
	for _, grant := range c.grants {
		c.granted[grant.Enforcement] = append(c.granted[grant.Enforcement], grant)
		if grant.RequestedAt.After(c.actedUpon[grant.Generation]) {
			c.actedUpon[grant.Generation] = grant.RequestedAt
		}
	}
	c.placeAll(accepted)
	return c
}

func (c *check) violation(rule Rule, sequence, grant int64, format string, args ...any) {
	c.report.Violations = append(c.report.Violations,
		Violation{Rule: rule, Sequence: sequence, Grant: grant, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) checkOnce() {
	previous := int64(0)
	for _, grant := range c.grants {
		if grant.Number == previous {
			c.violation(RuleOnce, grant.Sequence, grant.Number, "two grants have this number")
		}
		previous = grant.Number
	}
	for _, grants := range c.granted {
		for i := 1; i < len(grants); i++ {
			c.checkAgain(grants[i-1], grants[i])
		}
	}
}

// checkAgain expects the later of two grants of an enforcement to be for a later place and a later attempt, after the slot of
// the former place was given back.
func (c *check) checkAgain(before, grant attune.LoggedGrant) {
	switch {
	case grant.Sequence == before.Sequence:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d was granted in this place already, by grant %d",
			grant.Enforcement, before.Number)
	case grant.Sequence < before.Sequence:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d had gone to the back by then, to the place of grant %d",
			grant.Enforcement, before.Number)
	case grant.Attempt <= before.Attempt:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "attempt %d of enforcement %d was granted after attempt %d, of grant %d",
			grant.Attempt, grant.Enforcement, before.Attempt, before.Number)
	case before.ReleasedAt != nil && before.ReleasedAt.After(grant.RequestedAt):
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d held the slot of grant %d until %s, and took this one at %s",
			grant.Enforcement, before.Number, clock(*before.ReleasedAt), clock(grant.RequestedAt))
	}
}

// clock writes a time so that two of them can be told apart.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
