package semaphore

import (
	"slices"

	"github.com/attune-go/attune"
)

// maxDoubted bounds the tickets that a queue doubts at a time. One of them is enough to find out.
const maxDoubted = 100

// repeated takes in a ticket of a sequence that was seen before. Tickets are acquired while their rows say that they wait. So
// a ticket that has ended here was on its way for long, or the rows have lost what this queue has seen: a database that was
// restored gives its sequences out again. The rows can tell the two apart.
func (s *State) repeated(ticket attune.Ticket) {
	known := s.redeliver(ticket) || placeIn(s.waiting, ticket) >= 0 ||
		slices.ContainsFunc(s.settling, func(settled attune.Settlement) bool { return settled.Same(ticket) }) ||
		slices.ContainsFunc(s.doubted, ticket.Same)
	if !known && len(s.doubted) < maxDoubted {
		s.doubted = append(s.doubted, ticket)
	}
}

// Doubted returns the tickets that were acquired again after they had ended here, in the order of their arrival. If the row of
// one of them says that it waits, this state does not belong to the rows: the queue must be rebuilt.
func (s *State) Doubted() []attune.Ticket { return slices.Clone(s.doubted) }

// Believed removes the first n doubted tickets: their rows say that they do not wait.
func (s *State) Believed(n int) { s.doubted = slices.Delete(s.doubted, 0, min(n, len(s.doubted))) }
