package proof

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// place is one place of an enforcement in the line. An enforcement has one place at a time: its row has the newest place, and
// the log of grants has the earlier places.
type place struct {
	sequence    int64
	enforcement attune.Enforcement
	former      bool                // the enforcement has a later place
	grant       *attune.LoggedGrant // the logged grant of this place, or nil
}

// placeAll finds every place that was ever assigned.
func (c *check) placeAll(enforcements []attune.Enforcement) {
	for _, enforcement := range enforcements {
		c.places = append(c.places, place{sequence: enforcement.Sequence, enforcement: enforcement})
	}
	type ticket struct {
		enforcement attune.EnforcementID
		sequence    int64
	}
	seen := make(map[ticket]*attune.LoggedGrant, len(c.grants))
	for i, grant := range c.grants {
		this := ticket{grant.Enforcement, grant.Sequence}
		enforcement, known := c.byID[grant.Enforcement]
		if known && grant.Sequence < enforcement.Sequence && seen[this] == nil {
			c.places = append(c.places, place{sequence: grant.Sequence, enforcement: enforcement, former: true})
		}
		seen[this] = cmp.Or(seen[this], &c.grants[i])
	}
	for i, p := range c.places {
		c.places[i].grant = seen[ticket{p.enforcement.ID, p.sequence}]
	}
	slices.SortStableFunc(c.places, func(a, b place) int { return cmp.Compare(a.sequence, b.sequence) })
}

// unaccepted reports whether the queue has not accepted an enforcement, or has rejected it without accepting it. Such an
// enforcement has no place, so no promise covers it.
func unaccepted(e attune.Enforcement) bool {
	return (e.Status == attune.EnforcementCreated || e.Status == attune.EnforcementRejected) && e.Sequence == 0 && e.QueuedAt == nil
}

// between returns the places of the sequences above low and below high. The places are by sequence.
func between(places []place, low, high int64) []place {
	at := func(sequence int64) int {
		i, _ := slices.BinarySearchFunc(places, sequence, func(p place, s int64) int { return cmp.Compare(p.sequence, s) })
		return i
	}
	return places[at(low+1):max(at(low+1), at(high))]
}

// waits reports whether the enforcement waits in this place.
func (p place) waits() bool {
	return p.grant == nil && !p.former && p.enforcement.Status == attune.EnforcementQueued
}

// dropped reports whether the place ended without a grant.
func (p place) dropped() bool {
	return p.grant == nil && !p.former && p.enforcement.Status.Terminal() && p.enforcement.Status != attune.EnforcementExecuted
}

// acceptedAt returns the time when the place was assigned; zero if it is unknown.
func (p place) acceptedAt() time.Time {
	switch {
	case p.former:
		return p.grant.EnqueuedAt
	case p.enforcement.QueuedAt == nil:
		return time.Time{}
	default:
		return *p.enforcement.QueuedAt
	}
}

// endedAfter reports whether the enforcement ended after t.
func (p place) endedAfter(t time.Time) bool {
	return p.enforcement.FinishedAt != nil && p.enforcement.FinishedAt.After(t)
}

// endedBefore reports whether the enforcement ended before t.
func (p place) endedBefore(t time.Time) bool {
	return p.enforcement.FinishedAt != nil && p.enforcement.FinishedAt.Before(t)
}

// checkTickets expects every assigned sequence to be the place of exactly one enforcement.
func (c *check) checkTickets() {
	previous, acceptedAt := place{}, time.Time{}
	for _, p := range c.places {
		c.checkPlace(p)
		switch {
		case p.sequence == previous.sequence && previous.enforcement.ID != 0:
			c.violation(RuleTickets, p.sequence, 0, "enforcements %d and %d have the same place", previous.enforcement.ID, p.enforcement.ID)
		case p.sequence > previous.sequence+1:
			c.missingTickets(previous.sequence+1, p.sequence-1)
		}
		if at := p.acceptedAt(); !at.IsZero() {
			if at.Before(acceptedAt) {
				c.violation(RuleTickets, p.sequence, 0, "accepted at %s, and a lower sequence at %s", clock(at), clock(acceptedAt))
			}
			acceptedAt = at
		}
		previous = p
	}
	if rows := c.report.Checked.Tickets - c.report.Checked.Retried; rows != len(c.byID) {
		c.violation(RuleTickets, 0, 0, "%d rows are about %d enforcements", rows, len(c.byID))
	}
	if previous.sequence < c.stats.TotalEnqueued {
		c.missingTickets(previous.sequence+1, c.stats.TotalEnqueued)
	}
}

func (c *check) missingTickets(from, to int64) {
	c.violation(RuleTickets, from, 0, "%d tickets are lost: no enforcement has or had a sequence from %d to %d", to-from+1, from, to)
}

func (c *check) checkPlace(p place) {
	n, e := &c.report.Checked, p.enforcement
	n.Tickets++
	if p.former {
		n.Retried++
		return
	}
	if e.Queue != c.report.Queue || e.Sequence < 1 || e.QueuedAt == nil {
		c.violation(RuleTickets, e.Sequence, 0, "enforcement %d has no place in this queue: its queue is %q", e.ID, e.Queue)
	}
	switch e.Status {
	case attune.EnforcementQueued:
		n.Waiting++
	case attune.EnforcementGranted:
		n.Active++
	case attune.EnforcementParked:
		n.Parked++
	case attune.EnforcementExecuted:
		n.Executed++
	case attune.EnforcementRejected, attune.EnforcementCancelled, attune.EnforcementExpired:
		n.Dropped++
	default:
		c.violation(RuleTickets, e.Sequence, 0, "enforcement %d neither waits, nor holds a slot, nor has ended: it is %q", e.ID, e.Status)
	}
}
