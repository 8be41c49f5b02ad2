package proof

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// checkChanges checks that the log of manual changes is complete, that the grants obey the changes, and that mode and limit of
// the queue are those of the latest changes.
func (c *check) checkChanges() {
	c.timeDecisions()
	latest := map[subject]attune.QueueChange{
		{kind: attune.ChangeMode}: {To: string(attune.QueueOpen)}, {kind: attune.ChangeLimit}: {To: setting{}.String()},
	}
	next := c.nextOfKind()
	for i, change := range c.changes {
		if change.Number != int64(i+1) {
			c.changeViolation(change, "%d changes have a lower number", i)
		}
		about := subjectOf(change)
		if _, known := latest[about]; !known && change.Kind == attune.ChangeLaneLimit {
			latest[about] = attune.QueueChange{To: laneByPolicy}
		}
		c.checkStep(latest[about], change)
		latest[about] = change
		transition := Transition{QueueChange: change}
		switch change.Kind {
		case attune.ChangeMode:
			transition.Until, transition.Granted = until(next[i]), c.checkMode(change, next[i])
		case attune.ChangeLimit:
			transition.Until, transition.Granted = until(next[i]), c.checkManualLimit(change, next[i])
		case attune.ChangeLaneLimit:
			transition.Until, transition.Granted = until(next[i]), c.checkLaneLimit(change, next[i])
		case attune.ChangeCancel:
			c.checkCancel(change)
		}
		c.report.Transitions = append(c.report.Transitions, transition)
	}
	c.report.Checked.Changes = len(c.changes)
	c.checkAuthors()
	c.checkControl(latest[subject{kind: attune.ChangeMode}], latest[subject{kind: attune.ChangeLimit}])
}

// subject is what a change is about.
type subject struct {
	kind attune.QueueChangeKind
	lane int32 // of a change of a lane's limit
}

func subjectOf(change attune.QueueChange) subject { return subject{change.Kind, change.Lane} }

// changeViolation reports a violation of [RuleChanges] by a change.
func (c *check) changeViolation(change attune.QueueChange, format string, args ...any) {
	c.violation(RuleChanges, 0, 0, "change %d: "+format, append([]any{change.Number}, args...)...)
}

// nextOfKind returns, for each change, the next change about the same, or nil.
func (c *check) nextOfKind() []*attune.QueueChange {
	next := make([]*attune.QueueChange, len(c.changes))
	following := map[subject]*attune.QueueChange{}
	for i := len(c.changes) - 1; i >= 0; i-- {
		about := subjectOf(c.changes[i])
		next[i], following[about] = following[about], &c.changes[i]
	}
	return next
}

func until(next *attune.QueueChange) *time.Time {
	if next == nil {
		return nil
	}
	return &next.At
}

// checkStep expects a change to start from the result of the previous change of its kind.
func (c *check) checkStep(before, change attune.QueueChange) {
	var known bool
	follows := true
	switch change.Kind {
	case attune.ChangeMode:
		modes := []attune.QueueMode{attune.QueueOpen, attune.QueuePaused, attune.QueueDraining}
		known = slices.Contains(modes, attune.QueueMode(change.From)) && slices.Contains(modes, attune.QueueMode(change.To))
		follows = change.From == before.To
	case attune.ChangeLimit:
		previous, _ := parseSetting(before.To)
		from, fromKnown := parseSetting(change.From)
		_, toKnown := parseSetting(change.To)
		known, follows = fromKnown && toKnown, from.follows(previous, change.At)
	case attune.ChangeLaneLimit:
		previous, _ := parseLaneSetting(before.To)
		from, fromKnown := parseLaneSetting(change.From)
		_, toKnown := parseLaneSetting(change.To)
		known, follows = fromKnown && toKnown && change.Lane > 0, followsInLane(from, previous, change.At)
	case attune.ChangeCancel:
		known = change.From == string(attune.EnforcementQueued) &&
			slices.Contains(attune.EnforcementStatuses(), attune.EnforcementStatus(change.To))
	}
	switch {
	case !known || change.From == change.To:
		c.changeViolation(change, "a change of the %s from %q to %q is impossible", change.Kind, change.From, change.To)
	case !follows:
		c.changeViolation(change, "the %s was %q, but the previous change had set it to %q", change.Kind, change.From, before.To)
	}
}

// checkMode expects no grant between a pause and its end, and returns the number of grants while the mode was in force.
func (c *check) checkMode(change attune.QueueChange, next *attune.QueueChange) int {
	paused := change.To == string(attune.QueuePaused)
	granted := c.decidedBetween(change, next, paused)
	if paused {
		for _, grant := range granted {
			c.contradiction(grant, next, "decided at %s, while the queue was paused by change %d", clock(grant.GrantedAt), change.Number)
		}
	}
	return len(granted)
}

// checkManualLimit expects every grant during a manual limit without an end to be decided at that limit. It returns the number
// of grants until the next change of the limit.
func (c *check) checkManualLimit(change attune.QueueChange, next *attune.QueueChange) int {
	if set, ok := parseSetting(change.To); ok && set.manual && set.until.IsZero() {
		for _, grant := range c.decidedBetween(change, next, true) {
			if grant.Limit != set.limit && !limitUnknown(grant) {
				c.contradiction(grant, next, "decided at a limit of %d, but change %d had set it to %d",
					grant.Limit, change.Number, set.limit)
			}
		}
	}
	return len(c.decidedBetween(change, next, false))
}

// cancelled reports whether a change cancelled its ticket. A late cancel did not: its record has the status that the ticket
// had.
func cancelled(change attune.QueueChange) bool {
	return change.Kind == attune.ChangeCancel && change.To == string(attune.EnforcementCancelled)
}

// checkAuthors expects exactly one change for every ticket that a person cancelled, because row and change are stored in one
// transaction. A ticket that a newcomer replaced was cancelled by the queue.
func (c *check) checkAuthors() {
	changes := map[attune.EnforcementID]int{}
	for _, change := range c.changes {
		if cancelled(change) {
			changes[change.Enforcement]++
		}
	}
	for _, e := range c.byID {
		n, isCancelled := changes[e.ID], e.Status == attune.EnforcementCancelled && e.Reason != attune.ReasonReplaced
		switch {
		case isCancelled && n == 0:
			c.violation(RuleChanges, e.Sequence, 0, "enforcement %d is cancelled, but no change has cancelled it", e.ID)
		case n > 1 || n == 1 && !isCancelled:
			c.violation(RuleChanges, e.Sequence, 0, "enforcement %d is %s, and %d changes have cancelled it", e.ID, e.Status, n)
		}
	}
}

// checkCancel expects no grant after the cancel of a ticket.
func (c *check) checkCancel(change attune.QueueChange) {
	if _, known := c.byID[change.Enforcement]; !known {
		c.changeViolation(change, "the queue has no enforcement %d", change.Enforcement)
	}
	if !cancelled(change) {
		return
	}
	for _, grant := range c.granted[change.Enforcement] {
		if grant.GrantedAt.After(change.At) {
			c.violation(RuleChanges, grant.Sequence, grant.Number, "decided at %s, after change %d had cancelled the ticket",
				clock(grant.GrantedAt), change.Number)
		}
	}
}

// contradiction reports a grant that contradicts the latest change before it. next is the next change of the same kind. A
// generation loses only its last changes, and only when it ends. So if the grant's generation granted after next, it lost no
// change before next.
func (c *check) contradiction(grant attune.LoggedGrant, next *attune.QueueChange, format string, args ...any) {
	if next == nil || c.decided[grant.Generation].last.Before(next.At) {
		c.report.Checked.Undecided++
		return
	}
	c.violation(RuleChanges, grant.Sequence, grant.Number, format, args...)
}

// checkControl expects the queue to have the mode and the limit of the latest changes.
func (c *check) checkControl(mode, limit attune.QueueChange) {
	if is := cmp.Or(c.stats.Mode, attune.QueueOpen); string(is) != mode.To {
		c.violation(RuleChanges, 0, 0, "the queue is %s, but the latest change set it to %q", is, mode.To)
	}
	if set, ok := parseSetting(limit.To); ok && set.manual && set.until.IsZero() && c.stats.MaxConcurrent != set.limit {
		c.violation(RuleChanges, 0, 0, "the limit is %d, but the latest change set it to %q", c.stats.MaxConcurrent, limit.To)
	}
}

// span is the time between the first and the last logged grant of a generation.
type span struct{ first, last time.Time }

// timeDecisions sorts the grants by the time of their decision, and computes the span of every generation.
func (c *check) timeDecisions() {
	c.byDecision = slices.Clone(c.grants)
	slices.SortStableFunc(c.byDecision, func(a, b attune.LoggedGrant) int { return a.GrantedAt.Compare(b.GrantedAt) })
	c.decided = map[int64]span{}
	for _, grant := range c.byDecision {
		s, known := c.decided[grant.Generation]
		if !known {
			s.first = grant.GrantedAt
		}
		s.last = grant.GrantedAt
		c.decided[grant.Generation] = s
	}
}

// decidedBetween returns the grants between a change and the next one of its kind. A grant at the same instant as a change can
// have been decided before or after it. With surely, such grants are left out. Otherwise they count as after the change, or as
// before it if the change is a pause.
func (c *check) decidedBetween(change attune.QueueChange, next *attune.QueueChange, surely bool) []attune.LoggedGrant {
	from := c.decisionsBefore(change.At, surely)
	to := len(c.byDecision)
	if next != nil {
		to = c.decisionsBefore(next.At, !surely && next.To == string(attune.QueuePaused))
	}
	return c.byDecision[from:max(from, to)]
}

// decisionsBefore counts the grants that were decided before t, and with inclusive also those at t.
func (c *check) decisionsBefore(t time.Time, inclusive bool) int {
	n, _ := slices.BinarySearchFunc(c.byDecision, t, func(grant attune.LoggedGrant, t time.Time) int {
		if grant.GrantedAt.Before(t) || inclusive && grant.GrantedAt.Equal(t) {
			return -1
		}
		return 1
	})
	return n
}
