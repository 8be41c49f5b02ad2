package semaphore

import (
	"time"

	"github.com/attune-go/attune"
)

// SleepAfter is how long a ticket waits before its workflow is started asleep, and the interval of the checks for such tickets.
const SleepAfter = 10 * time.Second

// fastGrants is the number of grants per interval that makes a queue fast. A fast queue starts no workflows asleep: its tickets
// do not wait for long, and the starts would cost time that grants need. At ten grants a second, 10 000 tickets are granted in
// less than 17 minutes.
const fastGrants = 100

// fastSleeps is how many times longer a ticket waits in a fast queue: ten minutes with [SleepAfter].
const fastSleeps = 60

// sleep tracks the tickets that have waited for long. The workflow of such a ticket is started asleep. So people can see and
// cancel it in Temporal, and it asks for its grant if the grant is lost. The ticket keeps its place in the line.
type sleep struct {
	after     time.Duration // see SleepAfter
	checkAt   time.Time     // when to check next; zero while no ticket waits
	lastGrant int64         // State.lastGrant at the last check
	upTo      int64         // the workflows of all waiting tickets up to this sequence must be started
	done      int64         // the workflows of all waiting tickets up to this sequence have been started
}

// SetSleepAfter replaces [SleepAfter]. With 0 no ticket sleeps; the carried state does not keep that.
func (s *State) SetSleepAfter(d time.Duration) { s.sleep.after = d }

// checkSleep finds the tickets that have waited for long, once per interval.
func (s *State) checkSleep(now time.Time) {
	p := &s.sleep
	if s.line.length == 0 || p.after == 0 {
		p.checkAt = time.Time{}
		return
	}
	if !p.checkAt.IsZero() && p.checkAt.After(now) {
		return
	}
	if !p.checkAt.IsZero() {
		p.upTo = max(p.upTo, s.line.lastSince(now.Add(-p.longest())))
		if slow := s.lastGrant-p.lastGrant < fastGrants; slow {
			p.upTo = max(p.upTo, s.line.lastSince(now.Add(-p.after)))
		}
	}
	p.checkAt, p.lastGrant = now.Add(p.after), s.lastGrant
}

// longest is how long a ticket waits before its workflow is started asleep even in a fast queue: its lane can be stuck while the
// others go on.
func (s sleep) longest() time.Duration { return fastSleeps * s.after }

// SleepersToStart returns up to n waiting tickets whose workflows must be started asleep, in sequence order.
func (s *State) SleepersToStart(n int) []attune.Ticket {
	var tickets []attune.Ticket
	for ticket := range s.line.from(s.line.indexAfter(s.sleep.done)) {
		if ticket.Sequence > s.sleep.upTo || len(tickets) == n {
			break
		}
		tickets = append(tickets, ticket)
	}
	return tickets
}

// SleepersStarted marks the workflows of tickets as started.
func (s *State) SleepersStarted(tickets []attune.Ticket) {
	for _, ticket := range tickets {
		s.sleep.done = max(s.sleep.done, ticket.Sequence)
	}
}

// AsleepUpTo returns the sequence up to which the workflow of every waiting ticket was started asleep.
func (s *State) AsleepUpTo() int64 { return s.sleep.done }
