package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Acquire adds tickets to the line. It can be repeated at any time: a ticket that waits stays in its place, the grant of a
// holder is delivered again, and for an ended ticket see [State.Reacquired].
//
// A ticket for a later attempt is not a newcomer. Its enforcement was accepted before, so neither draining nor max_queued
// refuses it. Its arrival frees the slot that the enforcement holds for an earlier attempt.
func (s *State) Acquire(now time.Time, tickets []attune.Ticket) {
	newcomers := 0
	for _, ticket := range tickets {
		switch {
		case ticket.Sequence < s.next:
			s.counters.Repeated++
			s.reacquire(ticket)
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

// newcomer reports whether a ticket is for a first attempt.
func newcomer(ticket attune.Ticket) bool { return ticket.Attempt <= 1 }

// refuse settles a newcomer that must not join the line. A ticket that arrived before keeps its place.
func (s *State) refuse(ticket attune.Ticket) {
	if s.firstArrival(ticket) {
		s.counters.Accepted++
		s.endEarly(ticket)
		s.reject(ticket, attune.ReasonQueueDraining)
	}
}

// Release removes tickets: it frees the slot of a holder, or removes a waiting ticket from the line. A ticket that has ended
// before is counted and changes nothing.
//
// A waiting ticket is released if its grant was acted upon and the state then lost the decision. The number of that grant is
// used up, and an earlier place of its enforcement has ended.
func (s *State) Release(now time.Time, tickets []attune.Ticket) {
	for _, ticket := range tickets {
		switch {
		case s.dropHolder(ticket):
			s.counters.Completed++
		case s.dropWaiting(ticket):
			s.freeEarlierPlace(ticket)
			s.lastGrant++
			s.counters.Granted++
			s.counters.Withdrawn++
		default:
			s.counters.Unknown++
		}
	}
	s.admitArrived()
	s.decide(now)
}

// Retry sets the next attempt of holders that keep their slots. The queue delivers the attempt like a grant when its delay is
// over and the queue is not paused. If the state lost the decision to grant the ticket, the ticket still waits; then it waits
// for the new attempt. A retry of another ticket, or of an attempt that is not later than the known one, is counted and changes
// nothing.
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

// SetPolicy replaces the policy if the revision of the new one is higher. It ignores a policy with negative numbers, which attune never
// sends: such a policy would reject every ticket. A higher limit grants at once; under a lower one the
// queue grants nothing until enough slots are released. Waiting tickets keep their places, even above a lower max_queued.
func (s *State) SetPolicy(now time.Time, policy attune.QueuePolicy) {
	if policy.Revision > s.policy.Revision && policy.Limit >= 0 && policy.MaxQueued >= 0 {
		s.policy = policy
	}
	s.decide(now)
}

// Advance makes the decisions that are due at now.
func (s *State) Advance(now time.Time) { s.decide(now) }

// decide ends an expired manual limit, expires and grants tickets, starts the retries that are due, and finds tickets that have
// waited for long. No other function does any of these.
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
	s.startDueRetries(now)
	s.checkSleep(now)
}

// startDueRetries clears the delay of retries that may start, so that they can be delivered.
func (s *State) startDueRetries(now time.Time) {
	for i := range s.holders {
		if s.mode != attune.QueuePaused && !s.holders[i].NotBefore.After(now) {
			s.holders[i].NotBefore = time.Time{}
		}
	}
}

func (s *State) grant(now time.Time, ticket attune.Ticket) {
	s.lastGrant++
	s.counters.Granted++
	ticket.Attempt = max(ticket.Attempt, 1)
	s.holders = append(s.holders, Holder{Grant: attune.Grant{
		Ticket: ticket, Generation: s.generation, Number: s.lastGrant,
		GrantedAt: now, Limit: s.Limit(), Revision: s.policy.Revision,
	}, InspectAt: now.Add(s.inspectAfter), SettledBefore: s.recorded + int64(len(s.settling))})
}

// bound applies max_queued after a number of newcomers joined the line. It drops at most that many tickets.
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

// freeEarlierPlace frees the slot that the ticket's enforcement holds for an earlier place.
func (s *State) freeEarlierPlace(ticket attune.Ticket) {
	before := func(h Holder) bool { return h.Enforcement == ticket.Enforcement && h.Sequence < ticket.Sequence }
	if i := slices.IndexFunc(s.holders, before); i >= 0 {
		s.holders = slices.Delete(s.holders, i, i+1)
		s.counters.Completed++
	}
}

// enqueue appends a ticket to the line. Deadlines rise along the line: enqueue makes no ticket older than the ticket in front
// of it.
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

// popNewcomer removes the last newcomer from the line.
func (s *State) popNewcomer() (attune.Ticket, bool) {
	for i, ticket := range slices.Backward(s.waiting) {
		if newcomer(ticket) {
			s.waiting = slices.Delete(s.waiting, i, i+1)
			return ticket, true
		}
	}
	return attune.Ticket{}, false
}

// holderOf returns the index of the holder with this ticket, or -1. Another place of the same enforcement is another ticket.
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

// dropWaiting removes a ticket from the line, and reports whether the ticket waited or can still arrive. It remembers a ticket
// that is behind a gap or has not arrived, so that neither a late acquire nor a backfill adds the ticket again.
func (s *State) dropWaiting(ticket attune.Ticket) bool {
	switch {
	case ticket.Sequence < s.next:
		return remove(&s.waiting, ticket)
	case remove(&s.early, ticket):
		s.endEarly(ticket)
		return true
	case s.arrived(ticket.Sequence) || slices.Contains(s.unseen, placeOf(ticket)) || len(s.unseen) == maxUnseen:
		return false
	}
	s.unseen = append(s.unseen, placeOf(ticket))
	s.counters.Accepted++
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

// placeIn returns the index of a ticket in a line, which is in sequence order, or -1.
func placeIn(line []attune.Ticket, ticket attune.Ticket) int {
	i, found := slices.BinarySearchFunc(line, ticket, attune.Ticket.Compare)
	if !found || !line[i].Same(ticket) {
		return -1
	}
	return i
}
