package semaphore

import (
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
func (s *State) Undelivered(n int) []attune.Grant {
	var grants []attune.Grant
	for _, holder := range s.holders {
		if len(grants) == n {
			break
		}
		if !holder.Delivered && holder.NotBefore.IsZero() {
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// Delivered takes note that grants have reached those who wait for them. A holder that is gone by now is left alone, and so
// is one that meanwhile holds its slot for another attempt.
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

// Recorded takes note that the first n settlements have been recorded.
func (s *State) Recorded(n int) {
	s.settling = slices.Delete(s.settling, 0, min(n, len(s.settling)))
}

// Unlogged returns how the queue is set by hand, with up to n changes that have not been recorded, oldest first.
func (s *State) Unlogged(n int) attune.QueueControl {
	return attune.QueueControl{
		Generation: s.generation, Mode: s.mode, Override: s.override,
		Changes: slices.Clone(s.unlogged[:min(n, len(s.unlogged))]),
	}
}

// Logged takes note that the first n changes have been recorded.
func (s *State) Logged(n int) {
	s.unlogged = slices.Delete(s.unlogged, 0, min(n, len(s.unlogged)))
}

// Suspects returns the grants whose holders somebody should look at now, each once per inspection interval: whoever asks is
// expected to answer with [State.Inspected], or to be asked again after the next interval.
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
	if len(s.gone) > 0 {
		gap.To = min(gap.To, s.gone[0]-1)
	}
	return gap, true
}

func (s *State) settle(ticket attune.Ticket, status attune.EnforcementStatus, reason attune.Reason) {
	s.settling = append(s.settling, attune.Settlement{Ticket: ticket, Status: status, Reason: reason})
}

// redeliver has a holder's grant delivered again: whoever acquires again may not have received it.
func (s *State) redeliver(ticket attune.Ticket) {
	if i := s.holderOf(ticket); i >= 0 {
		s.holders[i].Delivered = false
	}
}
