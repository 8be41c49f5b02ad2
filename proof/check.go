package proof

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Rows are the stored rows of one queue, read at one instant. The lists are complete and in any order.
type Rows struct {
	Queue        attune.QueueKey
	Stats        attune.QueueStats
	Enforcements []attune.Enforcement // every recorded enforcement of the queue, including unaccepted ones
	Grants       []attune.LoggedGrant // the log of grants
	Changes      []attune.QueueChange // the log of manual changes
	Policies     []attune.QueuePolicy // the journal of the policies
	Starts       []attune.Start       // the journal of starts, of a queue with rates of starts
}

// Check compares the rows of a queue with its promises. It does not modify rows.
func Check(rows Rows) Report {
	c := newCheck(rows)
	c.checkTickets()
	c.checkOnce()
	c.checkOrder()
	c.checkLimit()
	c.checkStarts(rows.Starts)
	c.checkLog()
	c.checkCounts()
	c.checkChanges()
	sortViolations(c.report.Violations)
	return c.report
}

// check is the state of one check.
type check struct {
	report  Report
	stats   attune.QueueStats
	places  []place              // by sequence
	grants  []attune.LoggedGrant // by number
	changes []attune.QueueChange // by number
	byID    map[attune.EnforcementID]attune.Enforcement
	granted map[attune.EnforcementID][]attune.LoggedGrant // by number
	gaps    []gap                                         // missing numbers in the log, by number

	decisions  []*decision                   // of the grants
	bySequence map[int64]*decision           // likewise
	policies   map[int64]*attune.QueuePolicy // by revision
	lanes      map[int32][]place             // the places of each lane, by sequence
	inLanes    map[int64]bool                // the generations that are in order in their lanes only
	skipped    []int64                       // the revisions that let lanes pass each other, ascending
	widest     map[attune.ActionID]*int      // see widestLane
	manual     map[int32][]laneSetting       // by lane and number of the change
	passes     *passes

	accounts  map[attune.EnforcementStatus]account
	actedUpon map[int64]time.Time // by generation: when its last logged grant was acted upon

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

		lanes:     map[int32][]place{},
		inLanes:   map[int64]bool{},
		widest:    map[attune.ActionID]*int{},
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
	c.settleLanes()
	c.placeAll(accepted)
	c.decideAll(slices.Clone(rows.Policies))
	c.splitLanes()
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
			c.checkRegrant(grants[i-1], grants[i])
		}
	}
}

// checkRegrant expects the later of two grants of an enforcement to be for a later place and a later attempt, after the slot of
// the earlier place was given back.
func (c *check) checkRegrant(before, grant attune.LoggedGrant) {
	switch {
	case grant.Sequence == before.Sequence:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d was already granted in this place, by grant %d",
			grant.Enforcement, before.Number)
	case grant.Sequence < before.Sequence:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d had already gone to the back, to the place of grant %d",
			grant.Enforcement, before.Number)
	case grant.Attempt <= before.Attempt:
		c.violation(RuleOnce, grant.Sequence, grant.Number, "attempt %d of enforcement %d was granted after attempt %d, of grant %d",
			grant.Attempt, grant.Enforcement, before.Attempt, before.Number)
	case before.ReleasedAt != nil && before.ReleasedAt.After(grant.RequestedAt):
		c.violation(RuleOnce, grant.Sequence, grant.Number, "enforcement %d held the slot of grant %d until %s, and took this one at %s",
			grant.Enforcement, before.Number, clock(*before.ReleasedAt), clock(grant.RequestedAt))
	}
}

// clock formats a time with microseconds, the precision of the database.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
