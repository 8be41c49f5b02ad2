package proof

import (
	"slices"

	"github.com/attune-go/attune"
)

// checkLog compares the log with the enforcements, from both sides.
func (c *check) checkLog() {
	for _, grant := range c.grants {
		c.report.Checked.Grants++
		if grant.ReleasedAt != nil {
			c.report.Checked.Released++
		}
		c.checkGrant(grant)
	}
	for _, ticket := range c.tickets {
		c.checkGrantsOf(ticket)
	}
}

func (c *check) checkGrant(grant attune.LoggedGrant) {
	ticket, known := c.byID[grant.Enforcement]
	switch {
	case !known:
		c.violation(RuleLog, grant.Sequence, grant.Number, "the queue has no enforcement %d", grant.Enforcement)
	case ticket.Sequence != grant.Sequence:
		c.violation(RuleLog, grant.Sequence, grant.Number, "enforcement %d has the sequence %d", grant.Enforcement, ticket.Sequence)
	}
	if grant.Number < 1 || grant.Attempt < 1 {
		c.violation(RuleLog, grant.Sequence, grant.Number, "number %d and attempt %d start at 1", grant.Number, grant.Attempt)
	}
	if grant.ReleasedAt != nil && grant.ReleasedAt.Before(grant.RequestedAt) {
		c.violation(RuleLog, grant.Sequence, grant.Number, "gave its slot back at %s and took it at %s",
			clock(*grant.ReleasedAt), clock(grant.RequestedAt))
	}
}

// checkGrantsOf expects the grants of one enforcement to be what its status says.
func (c *check) checkGrantsOf(ticket attune.Enforcement) {
	grants := c.granted[ticket.ID]
	held := 0
	for _, grant := range grants {
		if grant.ReleasedAt == nil {
			held++
		}
	}
	wrong := func(format string, args ...any) {
		c.violation(RuleLog, ticket.Sequence, ticket.GrantNumber, format, args...)
	}
	switch ticket.Status {
	case attune.EnforcementExecuted:
		if len(grants) == 0 || held > 0 {
			wrong("enforcement %d was executed: it has %d grants, and %d slots that it did not give back", ticket.ID, len(grants), held)
		}
	case attune.EnforcementGranted:
		if held != 1 {
			wrong("enforcement %d is granted: it has %d grants and holds %d slots", ticket.ID, len(grants), held)
		}
	default:
		if len(grants) > 0 {
			wrong("enforcement %d is %s: it has %d grants", ticket.ID, ticket.Status, len(grants))
		}
	}
	if len(grants) == 0 {
		return
	}
	if !slices.ContainsFunc(grants, func(g attune.LoggedGrant) bool { return g.Number == ticket.GrantNumber }) {
		wrong("enforcement %d says that grant %d was its own: the log has grant %d", ticket.ID, ticket.GrantNumber, grants[0].Number)
	}
	// The outcome is the execution's, so it speaks of the latest attempt.
	if last := grants[len(grants)-1]; last.Outcome.Terminal() != (last.ReleasedAt != nil) {
		wrong("its execution is %s, and its slot was given back: %t", last.Outcome, last.ReleasedAt != nil)
	}
}

func (c *check) checkCounts() {
	s, rows := c.stats, c.report.Checked
	if s.TotalEnqueued != s.QueueLength+s.ActiveCount+s.TotalCompleted+s.TotalDropped {
		c.violation(RuleCounts, 0, 0, "%d accepted is not %d waiting + %d active + %d executed + %d dropped",
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
		{"total_completed", s.TotalCompleted, rows.Executed},
		{"total_dropped", s.TotalDropped, rows.Dropped},
	} {
		if count.says != int64(count.rows) {
			c.violation(RuleCounts, 0, 0, "%s is %d, and the rows are %d", count.what, count.says, count.rows)
		}
	}
}
