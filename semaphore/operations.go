package semaphore

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Acquire puts tickets into the line. A ticket that already waits is ignored, one that holds has its grant delivered
// again, one that has ended is ignored: an acquire can be repeated at any time.
func (s *State) Acquire(now time.Time, tickets []attune.Ticket) {
	newcomers := 0
	for _, ticket := range tickets {
		switch {
		case ticket.Sequence < s.next:
			s.counters.Repeated++
			s.redeliver(ticket.Enforcement)
		case s.mode == attune.QueueDraining:
			s.refuse(ticket)
		case s.arrive(ticket):
			newcomers++
		}
	}
	s.admitArrived()
	s.decide(now)
	s.bound(newcomers)
}

// refuse settles a newcomer without letting it into the line. One that has arrived before keeps its place.
func (s *State) refuse(ticket attune.Ticket) {
	if _, arrived := slices.BinarySearchFunc(s.early, ticket, bySequence); arrived || !s.dropWaiting(ticket) {
		s.counters.Repeated++
		return
	}
	s.counters.Rejected++
	s.settle(ticket, attune.EnforcementRejected, attune.ReasonQueueDraining)
}

// Release takes tickets out, wherever they are: a holder's slot becomes free, a waiting ticket leaves the line. A ticket
// that has ended before is counted and changes nothing.
func (s *State) Release(now time.Time, tickets []attune.Ticket) {
	for _, ticket := range tickets {
		switch {
		case s.dropHolder(ticket.Enforcement):
			s.counters.Completed++
		case s.dropWaiting(ticket):
			s.counters.Withdrawn++
		default:
			s.counters.Unknown++
		}
	}
	s.admitArrived()
	s.decide(now)
}

// SetPolicy puts a policy in force unless it is older than the one that is. A higher limit grants at once, a lower one
// drains, and those who already wait keep their place whatever the new bound is.
func (s *State) SetPolicy(now time.Time, policy attune.QueuePolicy) {
	if policy.Revision > s.policy.Revision {
		s.policy = policy
	}
	s.decide(now)
}

// Advance lets time pass.
func (s *State) Advance(now time.Time) { s.decide(now) }

// Backfill closes a gap: tickets are all those of the sequences from..to that wait, as their rows say; the rest of them
// have ended and are passed over. A backfill that comes too late, or for another gap, changes nothing it should not.
func (s *State) Backfill(now time.Time, gap Gap, tickets []attune.Ticket) {
	newcomers := 0
	for _, ticket := range tickets {
		if ticket.Sequence >= s.next && s.arrive(ticket) {
			newcomers++
		}
	}
	for s.next >= gap.From && s.next <= gap.To {
		s.admitArrived()
		if s.next <= gap.To {
			s.next++
			s.counters.Skipped++
		}
	}
	s.admitArrived()
	s.decide(now)
	s.bound(newcomers)
}

// decide is the one place where tickets expire and grants are given.
func (s *State) decide(now time.Time) {
	if s.override != nil && !s.override.Until.IsZero() && !s.override.Until.After(now) {
		s.override = nil
	}
	for len(s.waiting) > 0 && s.policy.QueueTimeout > 0 && !s.deadline(s.waiting[0]).After(now) {
		s.counters.Expired++
		s.settle(s.popFront(), attune.EnforcementExpired, attune.ReasonQueueTimeout)
	}
	for len(s.waiting) > 0 && s.mode != attune.QueuePaused && len(s.holders) < s.Limit() {
		s.grant(now, s.popFront())
	}
}

func (s *State) grant(now time.Time, ticket attune.Ticket) {
	s.grants++
	s.counters.Granted++
	ticket.Attempt = max(ticket.Attempt, 1)
	s.holders = append(s.holders, Holder{Grant: attune.Grant{
		Ticket: ticket, Generation: s.generation, Number: s.grants,
		GrantedAt: now, Limit: s.Limit(), Revision: s.policy.Revision,
	}, InspectAt: now.Add(s.inspectAfter)})
}

// bound applies max_queued to a line that has just grown by added tickets. Those who waited before are only ever dropped
// in favour of a newcomer.
func (s *State) bound(added int) {
	excess := min(added, s.Waiting()-s.policy.MaxQueued, len(s.waiting))
	for range excess {
		s.counters.Rejected++
		if s.policy.Overflow == attune.OverflowDropOldest {
			s.settle(s.popFront(), attune.EnforcementRejected, attune.ReasonDroppedOldest)
		} else {
			s.settle(s.popBack(), attune.EnforcementRejected, attune.ReasonQueueFull)
		}
	}
}

// arrive puts a ticket that has not been seen among those that may have a gap in front of them, and reports whether it was
// new.
func (s *State) arrive(ticket attune.Ticket) bool {
	at, found := slices.BinarySearchFunc(s.early, ticket, bySequence)
	if _, ended := slices.BinarySearch(s.gone, ticket.Sequence); found || ended {
		s.counters.Repeated++
		return false
	}
	s.early = slices.Insert(s.early, at, ticket)
	s.counters.Accepted++
	return true
}

// admitArrived moves arrived tickets into the line as far as there is no gap.
func (s *State) admitArrived() {
	for {
		switch {
		case len(s.early) > 0 && s.early[0].Sequence == s.next:
			s.enqueue(s.early[0])
			s.early = s.early[1:]
		case len(s.gone) > 0 && s.gone[0] == s.next:
			s.gone = s.gone[1:]
		default:
			return
		}
		s.next++
	}
}

// enqueue appends to the line. Deadlines must rise along it: a ticket is never older than the one in front of it.
func (s *State) enqueue(ticket attune.Ticket) {
	if n := len(s.waiting); n > 0 && ticket.EnqueuedAt.Before(s.waiting[n-1].EnqueuedAt) {
		ticket.EnqueuedAt = s.waiting[n-1].EnqueuedAt
	}
	s.waiting = append(s.waiting, ticket)
}

func (s *State) popFront() attune.Ticket {
	ticket := s.waiting[0]
	s.waiting = s.waiting[1:]
	return ticket
}

func (s *State) popBack() attune.Ticket {
	last := len(s.waiting) - 1
	ticket := s.waiting[last]
	s.waiting = s.waiting[:last]
	return ticket
}

func (s *State) dropHolder(id attune.EnforcementID) bool {
	i := slices.IndexFunc(s.holders, func(h Holder) bool { return h.Enforcement == id })
	if i < 0 {
		return false
	}
	s.holders = slices.Delete(s.holders, i, i+1)
	return true
}

// dropWaiting takes a ticket out of the line. One that has not joined it yet, or that has not even arrived, is remembered
// as gone, so that neither a late acquire nor a backfill brings it back.
func (s *State) dropWaiting(ticket attune.Ticket) bool {
	if ticket.Sequence < s.next {
		return remove(&s.waiting, ticket)
	}
	at, ended := slices.BinarySearch(s.gone, ticket.Sequence)
	if ended {
		return false
	}
	s.gone = slices.Insert(s.gone, at, ticket.Sequence)
	if !remove(&s.early, ticket) {
		s.counters.Accepted++
	}
	return true
}

func remove(line *[]attune.Ticket, ticket attune.Ticket) bool {
	i, found := slices.BinarySearchFunc(*line, ticket, bySequence)
	if !found || (*line)[i].Enforcement != ticket.Enforcement {
		return false
	}
	*line = slices.Delete(*line, i, i+1)
	return true
}

func bySequence(a, b attune.Ticket) int { return cmp.Compare(a.Sequence, b.Sequence) }
