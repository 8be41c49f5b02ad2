package proof

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// checkChanges holds the log of changes by hand against itself, the grants against the changes, and the counts, which say how
// the queue is set, against the latest of them.
func (c *check) checkChanges() {
	c.timeDecisions()
	latest := map[attune.QueueChangeKind]attune.QueueChange{
		attune.ChangeMode: {To: string(attune.QueueOpen)}, attune.ChangeLimit: {To: setting{}.String()},
	}
	next := c.nextOfKind()
	for i, change := range c.changes {
		if change.Number != int64(i+1) {
			c.changed(change, "%d changes have a lower number", i)
		}
		c.checkStep(latest[change.Kind], change)
		latest[change.Kind] = change
		transition := Transition{QueueChange: change}
		switch change.Kind {
		case attune.ChangeMode:
			transition.Until, transition.Granted = until(next[i]), c.checkMode(change, next[i])
		case attune.ChangeLimit:
			transition.Until, transition.Granted = until(next[i]), c.checkLimitByHand(change, next[i])
		case attune.ChangeCancel:
			c.checkCancel(change)
		}
		c.report.Transitions = append(c.report.Transitions, transition)
	}
	c.report.Checked.Changes = len(c.changes)
	c.checkAuthors()
	c.checkControl(latest[attune.ChangeMode], latest[attune.ChangeLimit])
}

func (c *check) changed(change attune.QueueChange, format string, args ...any) {
	c.violation(RuleChanges, 0, 0, "change %d: "+format, append([]any{change.Number}, args...)...)
}

// nextOfKind has for each change the next one of the same kind.
func (c *check) nextOfKind() []*attune.QueueChange {
	next := make([]*attune.QueueChange, len(c.changes))
	following := map[attune.QueueChangeKind]*attune.QueueChange{}
	for i := len(c.changes) - 1; i >= 0; i-- {
		kind := c.changes[i].Kind
		next[i], following[kind] = following[kind], &c.changes[i]
	}
	return next
}

func until(next *attune.QueueChange) *time.Time {
	if next == nil {
		return nil
	}
	return &next.At
}

// checkStep expects a change to start from where the one of its kind before has led.
func (c *check) checkStep(before, change attune.QueueChange) {
	var known bool
	follows := true
	switch change.Kind {
	case attune.ChangeMode:
		modes := []attune.QueueMode{attune.QueueOpen, attune.QueuePaused, attune.QueueDraining}
		known = slices.Contains(modes, attune.QueueMode(change.From)) && slices.Contains(modes, attune.QueueMode(change.To))
		follows = change.From == before.To
	case attune.ChangeLimit:
		was, _ := parseSetting(before.To)
		from, fromKnown := parseSetting(change.From)
		_, toKnown := parseSetting(change.To)
		known, follows = fromKnown && toKnown, from.follows(was, change.At)
	case attune.ChangeCancel:
		known = change.From == string(attune.EnforcementQueued) &&
			slices.Contains(attune.EnforcementStatuses(), attune.EnforcementStatus(change.To))
	}
	switch {
	case !known || change.From == change.To:
		c.changed(change, "there is no change of the %s from %q to %q", change.Kind, change.From, change.To)
	case !follows:
		c.changed(change, "the %s was %q, and had been changed to %q", change.Kind, change.From, before.To)
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

// checkLimitByHand expects every grant to be decided at a limit that is in force by hand until it is changed, and returns the
// number of grants until then.
func (c *check) checkLimitByHand(change attune.QueueChange, next *attune.QueueChange) int {
	if set, ok := parseSetting(change.To); ok && set.byHand && set.until.IsZero() {
		for _, grant := range c.decidedBetween(change, next, true) {
			if grant.Limit != set.limit && !limitUnknown(grant) {
				c.contradiction(grant, next, "decided at a limit of %d, and change %d had set it to %d",
					grant.Limit, change.Number, set.limit)
			}
		}
	}
	return len(c.decidedBetween(change, next, false))
}

// cancelled reports whether a change has cancelled its ticket. A cancel that came too late has not: its record says what had
// become of the ticket.
func cancelled(change attune.QueueChange) bool {
	return change.Kind == attune.ChangeCancel && change.To == string(attune.EnforcementCancelled)
}

// checkAuthors expects a change for every ticket that was cancelled, and none twice: row and change are stored together.
func (c *check) checkAuthors() {
	changes := map[attune.EnforcementID]int{}
	for _, change := range c.changes {
		if cancelled(change) {
			changes[change.Enforcement]++
		}
	}
	for _, e := range c.byID {
		n, isCancelled := changes[e.ID], e.Status == attune.EnforcementCancelled
		switch {
		case isCancelled && n == 0:
			c.violation(RuleChanges, e.Sequence, 0, "enforcement %d is cancelled, and no change says by whom", e.ID)
		case n > 1 || n == 1 && !isCancelled:
			c.violation(RuleChanges, e.Sequence, 0, "enforcement %d is %s, and %d changes have cancelled it", e.ID, e.Status, n)
		}
	}
}

// checkCancel expects no grant of a ticket that was cancelled while it waited.
func (c *check) checkCancel(change attune.QueueChange) {
	if _, known := c.byID[change.Enforcement]; !known {
		c.changed(change, "the queue has no enforcement %d", change.Enforcement)
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

// contradiction reports a grant that was decided against the latest change before it, of which next is the next of the same
// kind. A generation loses changes from the end, and only with itself: one that has granted after next has lost none before.
func (c *check) contradiction(grant attune.LoggedGrant, next *attune.QueueChange, format string, args ...any) {
	if next == nil || c.decided[grant.Generation].last.Before(next.At) {
		c.report.Checked.Undecided++
		return
	}
	c.violation(RuleChanges, grant.Sequence, grant.Number, format, args...)
}

// checkControl expects the queue to be set as the latest changes say.
func (c *check) checkControl(mode, limit attune.QueueChange) {
	if is := cmp.Or(c.stats.Mode, attune.QueueOpen); string(is) != mode.To {
		c.violation(RuleChanges, 0, 0, "the queue is %s, and the changes lead to %q", is, mode.To)
	}
	if set, ok := parseSetting(limit.To); ok && set.byHand && set.until.IsZero() && c.stats.MaxConcurrent != set.limit {
		c.violation(RuleChanges, 0, 0, "the limit is %d, and the changes lead to %q", c.stats.MaxConcurrent, limit.To)
	}
}

// span is the time in which a generation decided the grants that are in the log.
type span struct{ first, last time.Time }

// timeDecisions sorts the grants by the time of their decision.
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

// decidedBetween returns the grants from a change to the next of its kind. One at the very instant of a change may have been
// decided on either side of it: it counts as after it, unless the change is a pause, and to neither side when only what is
// surely between the two is asked for.
func (c *check) decidedBetween(change attune.QueueChange, next *attune.QueueChange, surely bool) []attune.LoggedGrant {
	from := c.decisionsBefore(change.At, surely)
	to := len(c.byDecision)
	if next != nil {
		to = c.decisionsBefore(next.At, !surely && next.To == string(attune.QueuePaused))
	}
	return c.byDecision[from:max(from, to)]
}

// decisionsBefore counts the grants that were decided before t, or also at t.
func (c *check) decisionsBefore(t time.Time, also bool) int {
	n, _ := slices.BinarySearchFunc(c.byDecision, t, func(grant attune.LoggedGrant, t time.Time) int {
		if grant.GrantedAt.Before(t) || also && grant.GrantedAt.Equal(t) {
			return -1
		}
		return 1
	})
	return n
}
