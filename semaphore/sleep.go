package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// SleepAfter is how long a ticket waits before its workflow is started asleep, and how often a queue looks for such tickets.
const SleepAfter = 10 * time.Second

// fastGrants is the number of grants between two looks from which on a queue is fast. A ticket does not wait for long in a
// fast queue, and granting is a better use of the time that sleepers cost. At ten grants a second, 10 000 tickets are
// through in less than 17 minutes.
const fastGrants = 100

// sleep is what a queue knows about tickets that have waited for long. Such a ticket has a workflow of its own that is
// asleep: people see it waiting and can cancel it, and it asks for its grant should the grant be lost. The ticket keeps its
// place in the line.
type sleep struct {
	after  time.Duration
	lookAt time.Time // when to look next; zero while no ticket waits
	grants int64     // State.grants at the last look
	upTo   int64     // the workflows of all waiting tickets up to this sequence are to sleep
	done   int64     // the workflows of all waiting tickets up to this sequence have been started
}

// SetSleepAfter replaces [SleepAfter].
func (s *State) SetSleepAfter(d time.Duration) { s.sleep.after = d }

// LookAt is the time at which [State.Advance] looks for tickets that have waited for long, if any ticket waits.
func (s *State) LookAt() (time.Time, bool) { return s.sleep.lookAt, !s.sleep.lookAt.IsZero() }

// look finds the tickets that have waited for long.
func (s *State) look(now time.Time) {
	p := &s.sleep
	if len(s.waiting) == 0 {
		p.lookAt = time.Time{}
		return
	}
	if !p.lookAt.IsZero() && p.lookAt.After(now) {
		return
	}
	if slow := s.grants-p.grants < fastGrants; slow && !p.lookAt.IsZero() {
		p.upTo = max(p.upTo, s.longWaiting(now.Add(-p.after)))
	}
	p.lookAt, p.grants = now.Add(p.after), s.grants
}

// longWaiting is the highest sequence of the tickets that have waited since then or longer. They are at the front: times
// rise along the line.
func (s *State) longWaiting(since time.Time) int64 {
	n, _ := slices.BinarySearchFunc(s.waiting, since, func(t attune.Ticket, since time.Time) int {
		if t.EnqueuedAt.After(since) {
			return 1
		}
		return -1
	})
	if n == 0 {
		return 0
	}
	return s.waiting[n-1].Sequence
}

// Drowsy returns up to n waiting tickets whose workflows are to be started asleep, in sequence order.
func (s *State) Drowsy(n int) []attune.Ticket {
	from, _ := slices.BinarySearchFunc(s.waiting, attune.Ticket{Sequence: s.sleep.done + 1}, attune.Ticket.Compare)
	to, _ := slices.BinarySearchFunc(s.waiting, attune.Ticket{Sequence: s.sleep.upTo + 1}, attune.Ticket.Compare)
	return slices.Clone(s.waiting[min(from, to):min(to, from+n)])
}

// Asleep notes that the workflows of tickets have been started asleep.
func (s *State) Asleep(tickets []attune.Ticket) {
	for _, ticket := range tickets {
		s.sleep.done = max(s.sleep.done, ticket.Sequence)
	}
}

// AsleepUpTo is the sequence up to which every waiting ticket has a workflow that sleeps.
func (s *State) AsleepUpTo() int64 { return s.sleep.done }
