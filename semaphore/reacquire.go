package semaphore

import (
	"slices"

	"github.com/attune-go/attune"
)

// maxReacquired bounds the list of reacquired tickets. One of them is enough to detect a restored database.
const maxReacquired = 100

// reacquire handles a ticket with a sequence that was seen before. A ticket is acquired only while its row waits. So for a
// ticket that has ended in this state there are two explanations: the signal was late, or the database was restored to an
// earlier time and uses the sequence again. Only the rows tell which one is true: see [State.Reacquired].
func (s *State) reacquire(ticket attune.Ticket) {
	known := s.redeliver(ticket) || s.line.find(ticket) >= 0 ||
		slices.ContainsFunc(s.settling, func(settled attune.Settlement) bool { return settled.Same(ticket) }) ||
		slices.ContainsFunc(s.reacquired, ticket.Same)
	if !known && len(s.reacquired) < maxReacquired {
		s.reacquired = append(s.reacquired, ticket)
	}
}

// Reacquired returns the tickets that were acquired again after they had ended in this state, in the order of their arrival. If
// the row of any of them waits, the database was restored, and the queue must be rebuilt.
func (s *State) Reacquired() []attune.Ticket { return slices.Clone(s.reacquired) }

// ConfirmEnded removes the first n reacquired tickets: their rows confirm that they do not wait.
func (s *State) ConfirmEnded(n int) {
	s.reacquired = slices.Delete(s.reacquired, 0, min(n, len(s.reacquired)))
}
