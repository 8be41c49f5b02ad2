package semaphore

import (
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

// Backfill closes a gap. tickets are all waiting tickets in the range of the gap, from the rows. The other sequences in the
// range have ended and are skipped. A late backfill, or one for another gap, skips no sequence of the current gap.
func (s *State) Backfill(now time.Time, gap Gap, tickets []attune.Ticket) {
	for _, ticket := range tickets {
		if ticket.Sequence >= s.next {
			s.arrive(ticket)
		}
	}
	for s.next >= gap.From && s.next <= gap.To {
		s.admitArrived()
		if s.next <= gap.To {
			s.next++
			s.counters.Skipped++
		}
	}
	s.proceed(now)
}

// place identifies a ticket that was cancelled or released before it arrived. The caller can have named a wrong sequence. So
// a place ends only the ticket of its own enforcement, and only when that ticket arrives. It closes no gap: another enforcement
// can have the sequence.
type place struct {
	Enforcement attune.EnforcementID
	Sequence    int64
}

// maxUnseen bounds the places that the state remembers. If a ticket comes whose place is not remembered, the queue grants it, and its row
// says that it has ended.
const maxUnseen = 10_000

func placeOf(t attune.Ticket) place { return place{Enforcement: t.Enforcement, Sequence: t.Sequence} }

// arrive adds an unseen ticket to the early tickets, where it waits for a gap in front of it to close.
func (s *State) arrive(ticket attune.Ticket) {
	if !s.firstArrival(ticket) {
		return
	}
	at, _ := slices.BinarySearchFunc(s.early, ticket, attune.Ticket.Compare)
	s.early = slices.Insert(s.early, at, ticket)
	s.counters.Accepted++
}

// firstArrival reports whether a ticket with a sequence from next on arrives for the first time and has not ended. It counts
// any other ticket as repeated. The arrival of a ticket that ended unseen closes its sequence. The first arrival of a retry
// frees the slot of the earlier place.
func (s *State) firstArrival(ticket attune.Ticket) bool {
	if !s.arrived(ticket.Sequence) {
		if !newcomer(ticket) {
			s.freeEarlierPlace(ticket)
		}
		if !s.closeUnseen(ticket) {
			return true
		}
	}
	s.counters.Repeated++
	return false
}

// closeUnseen closes the sequence of a ticket that ended unseen, and reports whether there is one.
func (s *State) closeUnseen(ticket attune.Ticket) bool {
	i := slices.Index(s.unseen, placeOf(ticket))
	if i < 0 {
		return false
	}
	s.unseen = slices.Delete(s.unseen, i, i+1)
	s.endEarly(ticket)
	return true
}

// arrived reports whether a ticket with this sequence, from next on, has arrived.
func (s *State) arrived(sequence int64) bool {
	_, waits := slices.BinarySearchFunc(s.early, attune.Ticket{Sequence: sequence}, attune.Ticket.Compare)
	_, ended := slices.BinarySearch(s.endedEarly, sequence)
	return waits || ended
}

// endEarly closes the sequence of a ticket that has ended behind a gap.
func (s *State) endEarly(ticket attune.Ticket) {
	at, _ := slices.BinarySearch(s.endedEarly, ticket.Sequence)
	s.endedEarly = slices.Insert(s.endedEarly, at, ticket.Sequence)
}

// admitArrived moves early tickets into the line, up to the next gap, and forgets the places that the line has passed.
func (s *State) admitArrived() {
	for ; s.arrived(s.next); s.next++ {
		if len(s.early) > 0 && s.early[0].Sequence == s.next {
			s.enqueue(s.early[0])
			s.early = s.early[1:]
		} else {
			s.endedEarly = s.endedEarly[1:]
		}
	}
	s.unseen = slices.DeleteFunc(s.unseen, func(p place) bool { return p.Sequence < s.next })
}
