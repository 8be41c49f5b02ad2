package proof

import (
	"fmt"
	"slices"

	"github.com/attune-go/attune"
)

// checkLog compares every grant with its enforcement, and every enforcement with its grants.
func (c *check) checkLog() {
	for _, grant := range c.grants {
		c.report.Checked.Grants++
		if grant.ReleasedAt != nil {
			c.report.Checked.Released++
		}
		c.checkGrant(grant)
	}
	for _, p := range c.places {
		if !p.former {
			c.checkEnforcement(p)
		}
	}
}

func (c *check) checkGrant(grant attune.LoggedGrant) {
	enforcement, known := c.byID[grant.Enforcement]
	switch {
	case !known:
		c.violation(RuleLog, grant.Sequence, grant.Number, "the queue has no enforcement %d", grant.Enforcement)
	case grant.Sequence > enforcement.Sequence:
		c.violation(RuleLog, grant.Sequence, grant.Number, "enforcement %d has the sequence %d", grant.Enforcement, enforcement.Sequence)
	case grant.Sequence < enforcement.Sequence && grant.ReleasedAt == nil:
		c.violation(RuleLog, grant.Sequence, grant.Number, "enforcement %d has gone to the back but has not given its slot back",
			grant.Enforcement)
	}
	if known && grant.Lane != enforcement.Lane {
		c.violation(RuleLog, grant.Sequence, grant.Number, "decided in lane %d, but enforcement %d is in lane %d",
			grant.Lane, grant.Enforcement, enforcement.Lane)
	}
	if known && grant.Action != 0 && grant.Action != enforcement.ActionID {
		c.violation(RuleLog, grant.Sequence, grant.Number, "decided for action %d, but enforcement %d asks for action %d",
			grant.Action, grant.Enforcement, enforcement.ActionID)
	}
	if grant.Number < 1 || grant.Attempt < 1 {
		c.violation(RuleLog, grant.Sequence, grant.Number, "number %d and attempt %d start at 1", grant.Number, grant.Attempt)
	}
	if grant.ReleasedAt != nil && grant.ReleasedAt.Before(grant.RequestedAt) {
		c.violation(RuleLog, grant.Sequence, grant.Number, "gave its slot back at %s, before taking it at %s",
			clock(*grant.ReleasedAt), clock(grant.RequestedAt))
	}
}

// account is what the log must contain for an enforcement with a given status.
type account struct {
	granted  bool                     // the log has a grant for its current place
	holds    bool                     // that grant has not given its slot back
	outcomes []attune.ExecutionStatus // the possible statuses of its execution
}

// accounts returns the account of every status that an accepted enforcement can have.
func accounts() map[attune.EnforcementStatus]account {
	ended := []attune.ExecutionStatus{
		attune.ExecutionSucceeded, attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionCancelled, attune.ExecutionAbandoned,
	}
	between := []attune.ExecutionStatus{attune.ExecutionRetrying}
	dropped := account{outcomes: ended}
	return map[attune.EnforcementStatus]account{
		attune.EnforcementQueued: {outcomes: between},
		attune.EnforcementGranted: {granted: true, holds: true, outcomes: []attune.ExecutionStatus{
			attune.ExecutionRequested, attune.ExecutionRunning, attune.ExecutionRetrying,
		}},
		attune.EnforcementParked:    {granted: true, outcomes: between},
		attune.EnforcementExecuted:  {granted: true, outcomes: ended},
		attune.EnforcementRejected:  dropped,
		attune.EnforcementCancelled: dropped,
		attune.EnforcementExpired:   dropped,
	}
}

// checkEnforcement expects the log to agree with the status of an enforcement. Outcome is the status of the execution. An
// enforcement has at most one execution, so all its grants have the same outcome.
func (c *check) checkEnforcement(p place) {
	e := p.enforcement
	want, accepted := c.accounts[e.Status]
	if !accepted {
		return // checkTickets reports it
	}
	wrong := func(format string, args ...any) {
		c.violation(RuleLog, e.Sequence, e.GrantNumber, "enforcement %d is %s: %s", e.ID, e.Status, fmt.Sprintf(format, args...))
	}
	number := int64(0)
	if p.grant != nil {
		number = p.grant.Number
	}
	grants := c.granted[e.ID]
	switch {
	case p.grant == nil && want.granted:
		wrong("the log has no grant for it")
	case p.grant != nil && !want.granted:
		wrong("the log has grant %d for it", number)
	case p.grant != nil && want.holds && p.grant.ReleasedAt != nil:
		wrong("it has given its slot back at %s", clock(*p.grant.ReleasedAt))
	case p.grant != nil && !want.holds && p.grant.ReleasedAt == nil:
		wrong("it has not given its slot back")
	case e.GrantNumber != number:
		wrong("its row has grant %d, but the log has %d", e.GrantNumber, number)
	case len(grants) > 0 && !slices.Contains(want.outcomes, grants[0].Outcome):
		wrong("its execution is %q", grants[0].Outcome)
	}
}

func (c *check) checkCounts() {
	s, rows := c.stats, c.report.Checked
	if s.TotalEnqueued != s.QueueLength+s.ActiveCount+s.TotalCompleted+s.TotalDropped {
		c.violation(RuleCounts, 0, 0, "%d accepted is not %d waiting + %d active + %d given back + %d dropped",
			s.TotalEnqueued, s.QueueLength, s.ActiveCount, s.TotalCompleted, s.TotalDropped)
	}
	for _, count := range []struct {
		what string
		says int64
		rows int
	}{
		{"total_enqueued", s.TotalEnqueued, rows.Tickets},
		{"queue_length", s.QueueLength, rows.Waiting},
		{"active_count", s.ActiveCount, rows.Active},
		{"total_completed", s.TotalCompleted, rows.Executed + rows.Parked + rows.Retried},
		{"total_dropped", s.TotalDropped, rows.Dropped},
	} {
		if count.says != int64(count.rows) {
			c.violation(RuleCounts, 0, 0, "%s is %d, but there are %d rows", count.what, count.says, count.rows)
		}
	}
}
