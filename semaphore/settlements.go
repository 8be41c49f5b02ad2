package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// UnrecordedSettlements returns up to n settlements that are not recorded yet, oldest first.
func (s *State) UnrecordedSettlements(n int) []attune.Settlement {
	return slices.Clone(s.settling[:min(n, len(s.settling))])
}

// SettlementsRecorded removes the first n settlements: the database has them. granted lists the settled tickets for which the database has
// a grant instead; the queue keeps them as holders. Such a ticket can also have run to its end already.
//
// The database has a grant that the state does not know if the workflow lost a decision: a temporal worker delivered the grant, and
// failed before the decision was durable. The workflow then decided again from the same signals, but later, when for example the
// ticket had expired. The grant in the database counts. Grants decided after the settlement are tentative and not delivered:
// SettlementsRecorded revokes them and decides again about the remaining slots.
func (s *State) SettlementsRecorded(now time.Time, n int, granted []attune.Grant) {
	settled := s.settling[:min(n, len(s.settling))]
	if len(granted) > 0 {
		s.revokeTentative()
	}
	s.settling = slices.Clone(s.settling[len(settled):])
	s.recorded += int64(len(settled))
	if len(granted) == 0 {
		return
	}
	for _, grant := range granted {
		s.refuseCancel(grant.Ticket)
		i := slices.IndexFunc(settled, func(t attune.Settlement) bool { return t.Same(grant.Ticket) })
		if i >= 0 && s.holderOf(grant.Ticket) < 0 {
			s.reinstate(now, settled[i], grant)
		}
	}
	s.proceed(now)
}

// revokeTentative revokes tentative grants and puts their tickets back into the line. What the rates have charged for them stays
// charged.
func (s *State) revokeTentative() {
	first := slices.IndexFunc(s.holders, func(h Holder) bool { return h.SettledBefore > s.recorded })
	if first < 0 {
		return
	}
	var tentative []attune.Ticket
	for len(s.holders) > first {
		holder := s.dropHolderAt(len(s.holders) - 1)
		since := s.freed[:len(s.freed)-1] // without the slot that becomes free here: it was never taken
		s.freed = slices.Concat(holder.Freed, since)
		tentative = append(tentative, holder.Ticket)
		s.replacing = append(s.replacing, holder.Lane)
	}
	s.lastGrant -= int64(len(tentative))
	s.counters.Granted -= int64(len(tentative))
	s.line.insert(tentative)
}

// reinstate makes a settled ticket a holder again, because its row has a grant. The grant is delivered again, because it can be
// for an attempt that the state does not know; a second delivery is harmless. The holder is inspected at once, because it can
// have ended already. The grant also proves that the ticket exists, and that an earlier place of its enforcement has ended.
func (s *State) reinstate(now time.Time, settled attune.Settlement, grant attune.Grant) {
	s.closeUnseen(grant.Ticket)
	s.freeEarlierPlace(grant.Ticket)
	*s.countOf(settled.Status)--
	s.counters.Granted++
	s.lastGrant = max(s.lastGrant+1, grant.Number)
	grant.Generation = s.generation
	s.replacing = append(s.replacing, grant.Lane)
	s.addHolder(Holder{Grant: grant, InspectAt: now, SettledBefore: s.recorded})
}

// countOf returns the counter of settlements with this status.
func (s *State) countOf(status attune.EnforcementStatus) *int64 {
	switch status {
	case attune.EnforcementExpired:
		return &s.counters.Expired
	case attune.EnforcementCancelled:
		return &s.counters.Cancelled
	default:
		return &s.counters.Rejected
	}
}

func (s *State) settle(ticket attune.Ticket, status attune.EnforcementStatus, reason attune.Reason) {
	*s.countOf(status)++
	s.settling = append(s.settling, attune.Settlement{Ticket: ticket, Status: status, Reason: reason})
}

// reject settles a ticket that a bound of the queue refuses.
func (s *State) reject(ticket attune.Ticket, reason attune.Reason, bound attune.Bound) {
	s.settle(ticket, attune.EnforcementRejected, reason)
	s.settling[len(s.settling)-1].Bound = &bound
}
