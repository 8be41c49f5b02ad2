package semaphore

import (
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Gap is a range of sequences, both ends included, that have not arrived although a later sequence has.
//
// Stored in Temporal's history: part of an activity input.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Undelivered returns up to n undelivered grants, in grant order, without retries that are still delayed.
func (s *State) Undelivered(n int) []attune.Grant { return s.undelivered(n, math.MaxInt64) }

// Deliverable returns the grants of [State.Undelivered] without tentative ones. A grant is tentative until every settlement
// decided before it is recorded: see [State.Recorded].
func (s *State) Deliverable(n int) []attune.Grant { return s.undelivered(n, s.recorded) }

func (s *State) undelivered(n int, after int64) []attune.Grant {
	var grants []attune.Grant
	for _, holder := range s.holders {
		if len(grants) == n {
			break
		}
		if !holder.Delivered && holder.NotBefore.IsZero() && holder.After <= after {
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// Delivered marks the holders of delivered grants. It skips a grant whose holder was released, or meanwhile holds its slot for
// another attempt.
func (s *State) Delivered(grants []attune.Grant) {
	attempts := make(map[int64]int, len(grants))
	for _, grant := range grants {
		attempts[grant.Number] = grant.Attempt
	}
	for i := range s.holders {
		if holder := &s.holders[i]; attempts[holder.Number] == holder.Attempt {
			holder.Delivered = true
		}
	}
}

// Unrecorded returns up to n settlements that are not recorded yet, oldest first.
func (s *State) Unrecorded(n int) []attune.Settlement {
	return slices.Clone(s.settling[:min(n, len(s.settling))])
}

// Recorded removes the first n settlements: the database has them. granted lists the settled tickets for which the database has
// a grant instead; the queue keeps them as holders. Such a ticket can also have run to its end already.
//
// The database has a grant that the state does not know if the workflow lost a decision: a temporal worker delivered the grant, and
// failed before the decision was durable. The workflow then decided again from the same signals, but later, when for example the
// ticket had expired. The grant in the database counts. Grants decided after the settlement are tentative and not delivered:
// Recorded revokes them and decides again about the remaining slots.
func (s *State) Recorded(now time.Time, n int, granted []attune.Grant) {
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
	s.admitArrived()
	s.decide(now)
}

// revokeTentative revokes tentative grants and puts their tickets back at the front of the line.
func (s *State) revokeTentative() {
	first := slices.IndexFunc(s.holders, func(h Holder) bool { return h.After > s.recorded })
	if first < 0 {
		return
	}
	tentative := s.holders[first:]
	s.grants -= int64(len(tentative))
	s.counters.Granted -= int64(len(tentative))
	line := make([]attune.Ticket, 0, len(tentative)+len(s.waiting))
	for _, holder := range tentative {
		line = append(line, holder.Ticket)
	}
	s.waiting = append(line, s.waiting...)
	s.holders = slices.Clone(s.holders[:first])
}

// reinstate makes a settled ticket a holder again, because its row has a grant. The grant is delivered again, because it can be
// for an attempt that the state does not know; a second delivery is harmless. The holder is inspected at once, because it can
// have ended already. The grant also proves that the ticket exists, and that an earlier place of its enforcement has ended.
func (s *State) reinstate(now time.Time, settled attune.Settlement, grant attune.Grant) {
	s.closeUnseen(grant.Ticket)
	s.freeEarlierPlace(grant.Ticket)
	*s.countOf(settled.Status)--
	s.counters.Granted++
	s.grants = max(s.grants+1, grant.Number)
	grant.Generation = s.generation
	s.holders = append(s.holders, Holder{Grant: grant, InspectAt: now, After: s.recorded})
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

// Suspects returns the grants of the holders that are due for inspection, and schedules the next inspection of each. The caller
// inspects their rows and calls [State.Inspected].
func (s *State) Suspects(now time.Time) []attune.Grant {
	var grants []attune.Grant
	for i := range s.holders {
		if holder := &s.holders[i]; !holder.InspectAt.After(now) {
			holder.InspectAt = now.Add(s.inspectAfter)
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// Inspected applies the rows of suspects. The slots of ended tickets become free. The grants of tickets whose rows still wait
// are delivered again. The other suspects keep their slots: they run or wait for their next attempt.
func (s *State) Inspected(now time.Time, ended, waiting []attune.Ticket) {
	for _, ticket := range ended {
		if s.dropHolder(ticket) {
			s.counters.Completed++
			s.counters.Recovered++
		}
	}
	for _, ticket := range waiting {
		s.redeliver(ticket)
	}
	s.decide(now)
}

// Missing returns the first gap in the sequences, if there is one. No ticket behind a gap is granted.
func (s *State) Missing() (Gap, bool) {
	if len(s.early) == 0 {
		return Gap{}, false
	}
	gap := Gap{From: s.next, To: s.early[0].Sequence - 1}
	if len(s.endedEarly) > 0 {
		gap.To = min(gap.To, s.endedEarly[0]-1)
	}
	return gap, true
}

func (s *State) settle(ticket attune.Ticket, status attune.EnforcementStatus, reason attune.Reason) {
	*s.countOf(status)++
	s.settling = append(s.settling, attune.Settlement{Ticket: ticket, Status: status, Reason: reason})
}

// redeliver marks a holder's grant as undelivered, and reports whether the ticket is a holder.
func (s *State) redeliver(ticket attune.Ticket) bool {
	i := s.holderOf(ticket)
	if i >= 0 {
		s.holders[i].Delivered = false
	}
	return i >= 0
}
