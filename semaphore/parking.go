package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// ParkAfter is how long a ticket waits before it is parked, and how often a queue looks for such tickets.
const ParkAfter = 10 * time.Second

// fastGrants is from how many grants between two looks on a queue is fast: whoever waits in it will not wait for long, and
// what parking costs is better spent on granting. At ten grants a second, 10 000 are through in less than 17 minutes.
const fastGrants = 100

// parking is what a queue knows about who has waited for long. A parked ticket has a workflow of its own, asleep, so that
// people can see it waiting and cancel it, and so that it asks for itself should its grant ever be lost. Its place in the
// line is what it was.
type parking struct {
	after  time.Duration
	lookAt time.Time // when to look next; zero while nobody waits
	grants int64     // State.grants at the last look
	upTo   int64     // everybody who waits with a sequence up to this one is to be parked
	done   int64     // everybody up to this one has been
}

// SetParkAfter replaces [ParkAfter].
func (s *State) SetParkAfter(d time.Duration) { s.parking.after = d }

// LookAt is the time at which [State.Advance] looks who has waited for long, if anybody waits.
func (s *State) LookAt() (time.Time, bool) { return s.parking.lookAt, !s.parking.lookAt.IsZero() }

// look finds out, now and then, who has waited for long.
func (s *State) look(now time.Time) {
	p := &s.parking
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

// longWaiting is the highest sequence of those who wait since then or longer. They are at the front: times rise along the
// line.
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

// Unparked returns up to n waiting tickets that are to be parked, in sequence order.
func (s *State) Unparked(n int) []attune.Ticket {
	from, _ := slices.BinarySearchFunc(s.waiting, attune.Ticket{Sequence: s.parking.done + 1}, attune.Ticket.Compare)
	to, _ := slices.BinarySearchFunc(s.waiting, attune.Ticket{Sequence: s.parking.upTo + 1}, attune.Ticket.Compare)
	return slices.Clone(s.waiting[min(from, to):min(to, from+n)])
}

// Parked takes note that tickets have been parked.
func (s *State) Parked(tickets []attune.Ticket) {
	for _, ticket := range tickets {
		s.parking.done = max(s.parking.done, ticket.Sequence)
	}
}

// ParkedUpTo is the sequence up to which everybody who waits has been parked.
func (s *State) ParkedUpTo() int64 { return s.parking.done }
