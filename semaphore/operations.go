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
	for _, ticket := range tickets {
		switch {
		case ticket.Sequence < s.next:
			s.counters.Repeated++
			s.reacquire(ticket)
		case s.mode == attune.QueueDraining && newcomer(ticket):
			s.refuse(ticket)
		default:
			s.arrive(ticket)
		}
	}
	s.proceed(now)
}

// newcomer reports whether a ticket is for a first attempt.
func newcomer(ticket attune.Ticket) bool { return ticket.Attempt <= 1 }

// refuse settles a newcomer that must not join the line. A ticket that arrived before keeps its place.
func (s *State) refuse(ticket attune.Ticket) {
	if s.firstArrival(ticket) {
		s.counters.Accepted++
		s.endEarly(ticket)
		s.reject(ticket, attune.ReasonQueueDraining, attune.Bound{Name: attune.BoundDraining, Count: s.line.length})
	}
}

// Release removes tickets: it frees the slot of a holder, or removes a waiting ticket from the line. A ticket that has ended
// before is counted and changes nothing.
//
// A waiting ticket is released if its grant was acted upon and the state then lost the decision. The number of that grant is
// used up, and an earlier place of its enforcement has ended.
func (s *State) Release(now time.Time, tickets []attune.Ticket) {
	drop := s.dropping(tickets)
	for _, ticket := range tickets {
		switch {
		case drop.holder(ticket):
			s.counters.Completed++
		case s.dropWaiting(ticket):
			drop.finish()
			s.freeEarlierPlace(ticket)
			s.lastGrant++
			s.counters.Granted++
			s.counters.Withdrawn++
		default:
			s.counters.Unknown++
		}
	}
	drop.finish()
	s.proceed(now)
}

// Retry sets the next attempt of holders that keep their slots. The queue delivers the attempt like a grant when its delay is
// over and the queue is not paused. If the state lost the decision to grant the ticket, the ticket still waits; then it waits
// for the new attempt. A retry of another ticket, or of an attempt that is not later than the known one, is counted and changes
// nothing.
func (s *State) Retry(now time.Time, retries []attune.Retry) {
	for _, retry := range retries {
		if s.retryHolder(now, retry) || s.retryWaiting(retry.Ticket) {
			s.counters.Retried++
		} else {
			s.counters.Unknown++
		}
	}
	s.proceed(now)
}

// retryHolder makes a holder wait for the start of its next attempt. A retry without delay may start at now.
func (s *State) retryHolder(now time.Time, retry attune.Retry) bool {
	i := s.holderOf(retry.Ticket)
	if i < 0 || retry.Attempt <= s.holders[i].Attempt {
		return false
	}
	if retry.NotBefore.IsZero() {
		retry.NotBefore = now
	}
	at := precise(retry.NotBefore.Add(time.Millisecond - 1))
	holder := &s.holders[i]
	holder.Attempt, holder.NotBefore, holder.Delivered = retry.Attempt, at, false
	holder.InspectAt = at.Add(s.inspectAfter)
	return true
}

// retryWaiting makes a ticket wait for a later attempt than it was acquired for.
func (s *State) retryWaiting(ticket attune.Ticket) bool {
	var waiting *attune.Ticket
	if i := s.line.find(ticket); i >= 0 {
		waiting = &s.line.waiters[i].Ticket
	} else if i := placeIn(s.early, ticket); i >= 0 {
		waiting = &s.early[i]
	}
	if waiting == nil || ticket.Attempt <= max(waiting.Attempt, 1) {
		return false
	}
	waiting.Attempt = ticket.Attempt
	return true
}

// SetPolicy replaces the policy if the revision of the new one is higher. It ignores a policy with negative numbers, which attune never
// sends: such a policy would reject every ticket. A higher limit grants at once; under a lower one the
// queue grants nothing until enough slots are released. Waiting tickets keep their places, even above a lower max_queued.
func (s *State) SetPolicy(now time.Time, policy attune.QueuePolicy) {
	if policy.Revision > s.policy.Revision && policy.Limit >= 0 && policy.MaxQueued >= 0 {
		s.usePolicy(policy)
	}
	s.proceed(now)
}

// Advance makes the decisions that are due at now.
func (s *State) Advance(now time.Time) { s.proceed(now) }

// proceed ends every operation that can change who is next. It lets the tickets whose sequence has come join the line, and
// decides. The bounds of the line and when_busy then apply to those that joined. A ticket that leaves can have stood in front
// of an eligible one, so proceed decides again.
func (s *State) proceed(now time.Time) {
	s.admitArrived()
	s.replaceOthers()
	s.decide(now)
	if s.bound() {
		s.decide(now)
	}
}

// decide ends expired manual limits, expires tickets, starts the retries that are due, grants tickets, and finds tickets that
// have waited for long. No other function does any of these.
func (s *State) decide(now time.Time) {
	if s.override != nil && !s.override.Until.IsZero() && !s.override.Until.After(now) {
		s.override = nil
	}
	s.endLaneLimits(now)
	for s.line.length > 0 && s.policy.QueueTimeout > 0 && !s.deadline(s.line.waiters[s.line.first].Ticket).After(now) {
		s.settle(s.line.take(s.line.first), attune.EnforcementExpired, attune.ReasonQueueTimeout)
	}
	s.open(now)
	if s.mode != attune.QueuePaused {
		s.startDueRetries(now)
		s.grantEligible(now)
	}
	s.checkSleep(now)
}

// startDueRetries clears the delay of retries that may start, so that they can be delivered, in the order of their grants.
func (s *State) startDueRetries(now time.Time) {
	for i := range s.holders {
		holder := &s.holders[i]
		if !holder.NotBefore.IsZero() && !holder.NotBefore.After(now) && s.mayStart(holder.Action) {
			holder.NotBefore, holder.StartedAt = time.Time{}, s.startedAt(now)
			s.charge(now, holder.Action)
		}
	}
}

// grantEligible grants the eligible tickets, the lowest sequence first, while the queue has room.
func (s *State) grantEligible(now time.Time) {
	for len(s.holders) < s.Limit() && s.queueOpen() && (s.heldAfter == 0 || s.lastGrant < s.heldAfter) {
		index := s.line.next(s.policy.Across)
		if index < 0 {
			return
		}
		s.grant(now, s.line.grant(index))
	}
}

func (s *State) grant(now time.Time, ticket attune.Ticket) {
	s.lastGrant++
	s.counters.Granted++
	ticket.Attempt = max(ticket.Attempt, 1)
	s.keepHolder(Holder{Grant: attune.Grant{
		Ticket: ticket, Generation: s.generation, Number: s.lastGrant,
		GrantedAt: now, Limit: s.Limit(), Revision: s.policy.Revision, Freed: s.freed, StartedAt: s.startedAt(now), Changes: s.lastChange,
	}, InspectAt: now.Add(s.inspectAfter), SettledBefore: s.recorded + int64(len(s.settling))})
	s.freed = nil
	s.charge(now, ticket.Action)
}

// enqueue appends a ticket to the line.
func (s *State) enqueue(ticket attune.Ticket) {
	s.line.append(ticket)
	s.join(ticket)
}

// join lets the policy decide about a ticket of the line that is a newcomer.
func (s *State) join(ticket attune.Ticket) {
	if !newcomer(ticket) {
		return
	}
	s.joined = append(s.joined, ticket)
	if s.replaces(ticket) {
		s.replacing = append(s.replacing, ticket.Lane)
	}
}

// dropWaiting removes a ticket from the line, and reports whether the ticket waited or can still arrive. It remembers a ticket
// that is behind a gap or has not arrived, so that neither a late acquire nor a backfill adds the ticket again.
func (s *State) dropWaiting(ticket attune.Ticket) bool {
	switch {
	case ticket.Sequence < s.next:
		return s.line.remove(ticket)
	case s.removeEarly(ticket):
		s.endEarly(ticket)
		return true
	case s.arrived(ticket.Sequence) || slices.Contains(s.unseen, placeOf(ticket)) || len(s.unseen) == maxUnseen:
		return false
	}
	s.unseen = append(s.unseen, placeOf(ticket))
	s.counters.Accepted++
	return true
}

func (s *State) removeEarly(ticket attune.Ticket) bool {
	i := placeIn(s.early, ticket)
	if i >= 0 {
		s.early = slices.Delete(s.early, i, i+1)
	}
	return i >= 0
}

// placeIn returns the index of a ticket in a list in sequence order, or -1.
func placeIn(list []attune.Ticket, ticket attune.Ticket) int {
	i, found := slices.BinarySearchFunc(list, ticket, attune.Ticket.Compare)
	if !found || !list[i].Same(ticket) {
		return -1
	}
	return i
}
