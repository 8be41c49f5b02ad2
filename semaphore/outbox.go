package semaphore

import (
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Gap is a range of sequences, both ends included, that have not arrived although a later one has.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Undelivered returns up to n grants that have been decided and not been delivered, in grant order. Attempts whose time has
// not come are left out.
func (s *State) Undelivered(n int) []attune.Grant { return s.undelivered(n, math.MaxInt64) }

// Deliverable is [State.Undelivered] without the grants that are tentative: a settlement decided before them has not been
// recorded, see [State.Recorded].
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

// Delivered marks the holders of grants that have reached their enforcements. It skips a grant whose holder is gone, or whose
// holder meanwhile holds its slot for another attempt.
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

// Unrecorded returns up to n settlements that have been decided and not been recorded, oldest first.
func (s *State) Unrecorded(n int) []attune.Settlement {
	return slices.Clone(s.settling[:min(n, len(s.settling))])
}

// Recorded removes the first n settlements: the rows have them. held lists the grants of settled tickets for which the rows
// have a grant instead. Such a ticket may still hold its slot, or have run to its end.
//
// The rows have a grant that the state does not know when a decision was acted upon and then lost. The workflow that carries
// the state failed before the decision was durable. It decided anew from the same signals, but later, when for example the
// ticket had expired. The grant in the rows counts. The grants that were decided since the settlement are tentative and have
// not been delivered: the queue takes them back, and decides again about the slots that are left.
func (s *State) Recorded(now time.Time, n int, held []attune.Grant) {
	settled := s.settling[:min(n, len(s.settling))]
	if len(held) > 0 {
		s.takeBack()
	}
	s.settling = slices.Clone(s.settling[len(settled):])
	s.recorded += int64(len(settled))
	if len(held) == 0 {
		return
	}
	for _, grant := range held {
		s.refuseCancel(grant.Ticket)
		i := slices.IndexFunc(settled, func(t attune.Settlement) bool { return t.Same(grant.Ticket) })
		if i >= 0 && s.holderOf(grant.Ticket) < 0 {
			s.reinstate(now, settled[i], grant)
		}
	}
	s.decide(now)
}

// takeBack puts the tickets of tentative grants back to the front of the line.
func (s *State) takeBack() {
	firm := slices.IndexFunc(s.holders, func(h Holder) bool { return h.After > s.recorded })
	if firm < 0 {
		return
	}
	tentative := s.holders[firm:]
	s.grants -= int64(len(tentative))
	s.counters.Granted -= int64(len(tentative))
	line := make([]attune.Ticket, 0, len(tentative)+len(s.waiting))
	for _, holder := range tentative {
		line = append(line, holder.Ticket)
	}
	s.waiting = append(line, s.waiting...)
	s.holders = slices.Clone(s.holders[:firm])
}

// reinstate gives a ticket back the slot that it holds by its row. Its grant is delivered again, which is harmless, because it
// may be for an attempt of which the state has not heard; and it is inspected at once, because it may have ended since.
func (s *State) reinstate(now time.Time, settled attune.Settlement, grant attune.Grant) {
	*s.countOf(settled.Status)--
	s.counters.Granted++
	s.grants = max(s.grants+1, grant.Number)
	grant.Generation = s.generation
	s.holders = append(s.holders, Holder{Grant: grant, InspectAt: now, After: s.recorded})
}

// countOf is the counter of tickets that ended with this status without a grant.
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

// Suspects returns the grants whose holders are due for inspection, each once per inspection interval. The caller inspects
// them and calls [State.Inspected]; without that call, Suspects returns them again after the next interval.
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

// Inspected takes in what the rows say about suspects: some have ended, and their slots are free; some never got their
// grant, and it is delivered again. All others are running, or wait for their next attempt.
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

// Missing is the first gap in the sequences, if there is one. Nothing behind it is granted before it is closed.
func (s *State) Missing() (Gap, bool) {
	if len(s.early) == 0 {
		return Gap{}, false
	}
	gap := Gap{From: s.next, To: s.early[0].Sequence - 1}
	if len(s.skipped) > 0 {
		gap.To = min(gap.To, s.skipped[0]-1)
	}
	return gap, true
}

func (s *State) settle(ticket attune.Ticket, status attune.EnforcementStatus, reason attune.Reason) {
	*s.countOf(status)++
	s.settling = append(s.settling, attune.Settlement{Ticket: ticket, Status: status, Reason: reason})
}

// redeliver has a holder's grant delivered again, and reports whether the ticket is a holder: a caller that acquires again may
// not have received the grant.
func (s *State) redeliver(ticket attune.Ticket) bool {
	i := s.holderOf(ticket)
	if i >= 0 {
		s.holders[i].Delivered = false
	}
	return i >= 0
}
