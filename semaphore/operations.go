package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Acquire puts tickets into the line. A ticket that already waits is ignored, one that holds has its grant delivered
// again, one that has ended is ignored: an acquire can be repeated at any time.
//
// A ticket for an attempt after the first is no newcomer: it was accepted once, so neither draining nor the bound refuses
// it. Should its enforcement still hold a slot for the attempt before, it gives it back by coming.
func (s *State) Acquire(now time.Time, tickets []attune.Ticket) {
	newcomers := 0
	for _, ticket := range tickets {
		switch {
		case ticket.Sequence < s.next:
			s.counters.Repeated++
			s.repeated(ticket)
		case s.mode == attune.QueueDraining && newcomer(ticket):
			s.refuse(ticket)
		case s.arrive(ticket) && newcomer(ticket):
			newcomers++
		}
	}
	s.admitArrived()
	s.decide(now)
	s.bound(newcomers)
}

func newcomer(ticket attune.Ticket) bool { return ticket.Attempt <= 1 }

// refuse settles a newcomer without letting it into the line. One that has arrived before keeps its place.
func (s *State) refuse(ticket attune.Ticket) {
	if _, arrived := slices.BinarySearchFunc(s.early, ticket, attune.Ticket.Compare); arrived || !s.dropWaiting(ticket) {
		s.counters.Repeated++
		return
	}
	s.reject(ticket, attune.ReasonQueueDraining)
}

// Release takes tickets out, wherever they are: a holder's slot becomes free, a waiting ticket leaves the line. A ticket
// that has ended before is counted and changes nothing.
//
// A ticket that is released while it waits has run, under a grant that was acted upon before the state lost the decision. The
// number of that grant is spent.
func (s *State) Release(now time.Time, tickets []attune.Ticket) {
	for _, ticket := range tickets {
		switch {
		case s.dropHolder(ticket):
			s.counters.Completed++
		case s.dropWaiting(ticket):
			s.grants++
			s.counters.Granted++
			s.counters.Withdrawn++
		default:
			s.counters.Unknown++
		}
	}
	s.admitArrived()
	s.decide(now)
}

// Retry gives holders that keep their slots their next attempt. The queue delivers that attempt like a grant once its time has
// come, but not while the queue is paused. A ticket that waits although it has run (its grant was lost) waits for the new
// attempt. A retry of any other ticket, or of an attempt that is not after the known attempt, changes nothing and is counted.
func (s *State) Retry(now time.Time, retries []attune.Retry) {
	for _, retry := range retries {
		if s.retryHolder(retry) || retryWaiting(s.waiting, retry.Ticket) || retryWaiting(s.early, retry.Ticket) {
			s.counters.Retried++
		} else {
			s.counters.Unknown++
		}
	}
	s.decide(now)
}

func (s *State) retryHolder(retry attune.Retry) bool {
	i := s.holderOf(retry.Ticket)
	if i < 0 || retry.Attempt <= s.holders[i].Attempt {
		return false
	}
	holder := &s.holders[i]
	holder.Attempt, holder.NotBefore, holder.Delivered = retry.Attempt, retry.NotBefore, false
	holder.InspectAt = retry.NotBefore.Add(s.inspectAfter)
	return true
}

func retryWaiting(line []attune.Ticket, ticket attune.Ticket) bool {
	i := placeIn(line, ticket)
	if i < 0 || ticket.Attempt <= max(line[i].Attempt, 1) {
		return false
	}
	line[i].Attempt = ticket.Attempt
	return true
}

// SetPolicy puts a policy in force if its revision is newer than that of the policy in force. A higher limit grants at once, a
// lower one drains. Tickets that already wait keep their place whatever the new bound is.
func (s *State) SetPolicy(now time.Time, policy attune.QueuePolicy) {
	if policy.Revision > s.policy.Revision {
		s.policy = policy
	}
	s.decide(now)
}

// Advance lets time pass.
func (s *State) Advance(now time.Time) { s.decide(now) }

// Backfill closes a gap: tickets are all tickets in the range of the gap whose rows wait. The other sequences of the gap have
// ended and are skipped. A backfill that comes too late, or for another gap, skips no sequence of the present gap.
func (s *State) Backfill(now time.Time, gap Gap, tickets []attune.Ticket) {
	newcomers := 0
	for _, ticket := range tickets {
		if ticket.Sequence >= s.next && s.arrive(ticket) && newcomer(ticket) {
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
		s.settle(s.popFront(), attune.EnforcementExpired, attune.ReasonQueueTimeout)
	}
	for len(s.waiting) > 0 && s.mode != attune.QueuePaused && len(s.holders) < s.Limit() {
		s.grant(now, s.popFront())
	}
	s.begin(now)
	s.look(now)
}

// begin lets the attempts of holders start whose time has come.
func (s *State) begin(now time.Time) {
	for i := range s.holders {
		if s.mode != attune.QueuePaused && !s.holders[i].NotBefore.After(now) {
			s.holders[i].NotBefore = time.Time{}
		}
	}
}

func (s *State) grant(now time.Time, ticket attune.Ticket) {
	s.grants++
	s.counters.Granted++
	ticket.Attempt = max(ticket.Attempt, 1)
	s.holders = append(s.holders, Holder{Grant: attune.Grant{
		Ticket: ticket, Generation: s.generation, Number: s.grants,
		GrantedAt: now, Limit: s.Limit(), Revision: s.policy.Revision,
	}, InspectAt: now.Add(s.inspectAfter), After: s.recorded + int64(len(s.settling))})
}

// bound applies max_queued to a line that has just grown by added tickets. A ticket that waited before is dropped only in
// favour of a newcomer.
func (s *State) bound(added int) {
	for range min(added, s.Waiting()-s.policy.MaxQueued, len(s.waiting)) {
		if s.policy.Overflow == attune.OverflowDropOldest {
			s.reject(s.popFront(), attune.ReasonDroppedOldest)
		} else if ticket, ok := s.popNewcomer(); ok {
			s.reject(ticket, attune.ReasonQueueFull)
		}
	}
}

func (s *State) reject(ticket attune.Ticket, reason attune.Reason) {
	s.settle(ticket, attune.EnforcementRejected, reason)
}

// arrive puts an unseen ticket among the early tickets, which may have a gap in front of them. It reports whether the ticket
// was new.
func (s *State) arrive(ticket attune.Ticket) bool {
	at, found := slices.BinarySearchFunc(s.early, ticket, attune.Ticket.Compare)
	if _, ended := slices.BinarySearch(s.skipped, ticket.Sequence); found || ended {
		s.counters.Repeated++
		return false
	}
	s.early = slices.Insert(s.early, at, ticket)
	s.counters.Accepted++
	if !newcomer(ticket) {
		s.leave(ticket)
	}
	return true
}

// leave gives back the slot that the ticket's enforcement holds under an earlier place.
func (s *State) leave(ticket attune.Ticket) {
	before := func(h Holder) bool { return h.Enforcement == ticket.Enforcement && h.Sequence < ticket.Sequence }
	if i := slices.IndexFunc(s.holders, before); i >= 0 {
		s.holders = slices.Delete(s.holders, i, i+1)
		s.counters.Completed++
	}
}

// admitArrived moves arrived tickets into the line as far as there is no gap.
func (s *State) admitArrived() {
	for {
		switch {
		case len(s.early) > 0 && s.early[0].Sequence == s.next:
			s.enqueue(s.early[0])
			s.early = s.early[1:]
		case len(s.skipped) > 0 && s.skipped[0] == s.next:
			s.skipped = s.skipped[1:]
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

// popNewcomer takes the last newcomer out of the line.
func (s *State) popNewcomer() (attune.Ticket, bool) {
	for i, ticket := range slices.Backward(s.waiting) {
		if newcomer(ticket) {
			s.waiting = slices.Delete(s.waiting, i, i+1)
			return ticket, true
		}
	}
	return attune.Ticket{}, false
}

// holderOf finds the slot that a ticket holds; -1 is none. Another place of the same enforcement is another ticket.
func (s *State) holderOf(ticket attune.Ticket) int {
	return slices.IndexFunc(s.holders, func(h Holder) bool { return h.Same(ticket) })
}

func (s *State) dropHolder(ticket attune.Ticket) bool {
	i := s.holderOf(ticket)
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
	at, ended := slices.BinarySearch(s.skipped, ticket.Sequence)
	if ended {
		return false
	}
	s.skipped = slices.Insert(s.skipped, at, ticket.Sequence)
	if !remove(&s.early, ticket) {
		s.counters.Accepted++
		s.leave(ticket)
	}
	return true
}

func remove(line *[]attune.Ticket, ticket attune.Ticket) bool {
	i := placeIn(*line, ticket)
	if i < 0 {
		return false
	}
	*line = slices.Delete(*line, i, i+1)
	return true
}

// placeIn finds a ticket among those of a line, which is in sequence order; -1 is not there.
func placeIn(line []attune.Ticket, ticket attune.Ticket) int {
	i, found := slices.BinarySearchFunc(line, ticket, attune.Ticket.Compare)
	if !found || !line[i].Same(ticket) {
		return -1
	}
	return i
}
