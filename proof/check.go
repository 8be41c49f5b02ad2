package proof

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Check compares the rows of a queue, all of one instant, with its promises. enforcements are all those that the queue has
// ever accepted and grants is the whole log, both in any order; neither is changed.
func Check(
	queue attune.QueueKey, stats attune.QueueStats, enforcements []attune.Enforcement, grants []attune.LoggedGrant,
) Report {
	c := &check{
		report:  Report{Queue: queue},
		stats:   stats,
		tickets: slices.Clone(enforcements),
		grants:  slices.Clone(grants),
		byID:    make(map[attune.EnforcementID]attune.Enforcement, len(enforcements)),
		granted: map[attune.EnforcementID][]attune.LoggedGrant{},
	}
	slices.SortStableFunc(c.tickets, func(a, b attune.Enforcement) int { return cmp.Compare(a.Sequence, b.Sequence) })
	slices.SortStableFunc(c.grants, func(a, b attune.LoggedGrant) int { return cmp.Compare(a.Number, b.Number) })
	for _, ticket := range c.tickets {
		c.byID[ticket.ID] = ticket
	}
	for _, grant := range c.grants {
		c.granted[grant.Enforcement] = append(c.granted[grant.Enforcement], grant)
	}
	c.checkTickets()
	c.checkOnce()
	c.checkOrder()
	c.checkLimit()
	c.checkLog()
	c.checkCounts()
	sortViolations(c.report.Violations)
	return c.report
}

// check is one check under way.
type check struct {
	report  Report
	stats   attune.QueueStats
	tickets []attune.Enforcement // by sequence
	grants  []attune.LoggedGrant // by number
	byID    map[attune.EnforcementID]attune.Enforcement
	granted map[attune.EnforcementID][]attune.LoggedGrant // by number
}

func (c *check) violation(rule Rule, sequence, grant int64, format string, args ...any) {
	c.report.Violations = append(c.report.Violations,
		Violation{Rule: rule, Sequence: sequence, Grant: grant, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) checkTickets() {
	if len(c.byID) != len(c.tickets) {
		c.violation(RuleTickets, 0, 0, "%d rows are about %d enforcements", len(c.tickets), len(c.byID))
	}
	previous := attune.Enforcement{}
	for _, ticket := range c.tickets {
		c.checkTicket(ticket)
		switch {
		case ticket.Sequence == previous.Sequence && previous.ID != 0:
			c.violation(RuleTickets, ticket.Sequence, 0, "enforcements %d and %d have the same place", previous.ID, ticket.ID)
		case ticket.Sequence > previous.Sequence+1:
			c.missingTickets(previous.Sequence+1, ticket.Sequence-1)
		}
		if previous.QueuedAt != nil && ticket.QueuedAt != nil && ticket.QueuedAt.Before(*previous.QueuedAt) {
			c.violation(RuleTickets, ticket.Sequence, 0, "accepted at %s, before sequence %d at %s",
				clock(*ticket.QueuedAt), previous.Sequence, clock(*previous.QueuedAt))
		}
		previous = ticket
	}
	if previous.Sequence < c.stats.TotalEnqueued {
		c.missingTickets(previous.Sequence+1, c.stats.TotalEnqueued)
	}
}

func (c *check) missingTickets(from, to int64) {
	c.violation(RuleTickets, from, 0, "%d tickets are lost: no enforcement has a sequence from %d to %d", to-from+1, from, to)
}

func (c *check) checkTicket(ticket attune.Enforcement) {
	c.report.Checked.Tickets++
	if ticket.Queue != c.report.Queue || ticket.Sequence < 1 || ticket.QueuedAt == nil {
		c.violation(RuleTickets, ticket.Sequence, 0, "enforcement %d has no place in this queue: its queue is %q", ticket.ID, ticket.Queue)
	}
	switch ticket.Status {
	case attune.EnforcementQueued:
		c.report.Checked.Waiting++
	case attune.EnforcementGranted:
		c.report.Checked.Active++
	case attune.EnforcementExecuted:
		c.report.Checked.Executed++
	case attune.EnforcementRejected, attune.EnforcementCancelled, attune.EnforcementExpired:
		c.report.Checked.Dropped++
	default:
		c.violation(RuleTickets, ticket.Sequence, 0, "enforcement %d neither waits, nor holds a slot, nor has ended: it is %q",
			ticket.ID, ticket.Status)
	}
}

func (c *check) checkOnce() {
	type attempt struct {
		enforcement attune.EnforcementID
		number      int
	}
	seen := make(map[attempt]int64, len(c.grants))
	previous := int64(0)
	for _, grant := range c.grants {
		if grant.Number == previous {
			c.violation(RuleOnce, grant.Sequence, grant.Number, "two grants have this number")
		}
		previous = grant.Number
		this := attempt{grant.Enforcement, grant.Attempt}
		if first, granted := seen[this]; granted {
			c.violation(RuleOnce, grant.Sequence, grant.Number, "attempt %d of enforcement %d was granted already, by grant %d",
				grant.Attempt, grant.Enforcement, first)
		}
		seen[this] = grant.Number
	}
}

func (c *check) checkOrder() {
	var last attune.LoggedGrant // the one of the highest sequence so far
	others := int64(0)          // grants since then that say nothing about the order
	for _, grant := range c.grants {
		if grant.Attempt > 1 {
			others++
			continue
		}
		if grant.Sequence < last.Sequence {
			c.violation(RuleOrder, grant.Sequence, grant.Number, "decided after grant %d of sequence %d", last.Number, last.Sequence)
			others++
			continue
		}
		absent := grant.Number - last.Number - 1 - others
		waiting := int64(c.waitingBetween(last.Sequence, grant.Sequence))
		if absent > waiting {
			c.violation(RuleOrder, grant.Sequence, grant.Number,
				"%d numbers before it are not in the log, and %d tickets wait between sequences %d and %d to receive them",
				absent, waiting, last.Sequence, grant.Sequence)
		}
		c.report.Checked.Passed += int(waiting)
		last, others = grant, 0
	}
}

// waitingBetween counts the tickets that wait with a sequence above low and below high.
func (c *check) waitingBetween(low, high int64) int {
	from, _ := slices.BinarySearchFunc(c.tickets, low+1, func(e attune.Enforcement, s int64) int { return cmp.Compare(e.Sequence, s) })
	n := 0
	for _, ticket := range c.tickets[from:] {
		if ticket.Sequence >= high {
			break
		}
		if ticket.Status == attune.EnforcementQueued {
			n++
		}
	}
	return n
}

// checkLimit walks the grants in the order of their decisions and keeps when each of those before gave its slot back.
func (c *check) checkLimit() {
	var released []time.Time // ascending
	open := 0                // still held
	for _, grant := range c.grants {
		// A slot that is given back at the instant of the request may have been the one that made room.
		freed, _ := slices.BinarySearchFunc(released, grant.RequestedAt, func(at, requested time.Time) int {
			if at.After(requested) {
				return 1
			}
			return -1
		})
		held := open + len(released) - freed
		switch {
		case limitUnknown(grant):
			c.report.Checked.LimitUnknown++
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

// limitUnknown says that the grant is from before the log, which then took down everything but the policy.
func limitUnknown(grant attune.LoggedGrant) bool { return grant.Revision == 0 && grant.Limit == 0 }

// clock writes a time so that two of them can be told apart.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000000") }
