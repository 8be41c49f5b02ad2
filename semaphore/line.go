package semaphore

import (
	"iter"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// line is the waiting tickets of a queue. It knows which of them is eligible: see [line.next]. To take and to append a ticket
// costs O(log n) for n lanes and actions with a waiting ticket.
type line struct {
	waiters []waiter // in sequence order; those that have left stay until the next sweep
	first   int      // index of the first waiter; len(waiters) without one
	length  int      // waiters that have not left

	levels levels // see there
}

// waiter is a ticket in the line.
type waiter struct {
	attune.Ticket
	lane *lane
	left bool // the ticket was taken
	next int  // index of the next waiter of the lane; meaningless for the last one
}

// minSweep is the least number of waiters that have left for which a sweep is worth its cost.
const minSweep = 64

func newLine() line { return line{levels: newLevels()} }

// all yields the waiting tickets in sequence order.
func (q *line) all() iter.Seq[attune.Ticket] { return q.from(q.first) }

// from yields the waiting tickets from an index on.
func (q *line) from(index int) iter.Seq[attune.Ticket] {
	return func(yield func(attune.Ticket) bool) {
		for _, w := range q.waiters[max(index, q.first):] {
			if !w.left && !yield(w.Ticket) {
				return
			}
		}
	}
}

// tickets returns a copy of the waiting tickets, in sequence order.
func (q *line) tickets() []attune.Ticket {
	return slices.AppendSeq(make([]attune.Ticket, 0, q.length), q.all())
}

// append adds a ticket with the highest sequence. Deadlines rise along the line: append makes no ticket older than the ticket in
// front of it.
func (q *line) append(ticket attune.Ticket) {
	if n := len(q.waiters); n > 0 && ticket.EnqueuedAt.Before(q.waiters[n-1].EnqueuedAt) {
		ticket.EnqueuedAt = q.waiters[n-1].EnqueuedAt
	}
	l, index := q.levels.lane(ticket.Lane), len(q.waiters)
	q.waiters = append(q.waiters, waiter{Ticket: ticket, lane: l})
	q.length++
	if l.waiting == 0 {
		l.first = index
	} else {
		q.waiters[l.last].next = index
	}
	l.last = index
	l.waiting++
	q.levels.action(ticket.Action).waiting++
	if l.waiting == 1 {
		q.levels.place(l, ticket)
	}
}

// inLane yields the waiting tickets of a lane in sequence order. The caller must not remove tickets meanwhile.
func (q *line) inLane(number int32) iter.Seq[attune.Ticket] {
	return func(yield func(attune.Ticket) bool) {
		l := q.levels.lanes[number]
		if l == nil || l.waiting == 0 {
			return
		}
		for i, last := l.first, l.last; ; i = q.waiters[i].next {
			if w := q.waiters[i]; !w.left && !yield(w.Ticket) || i == last {
				return
			}
		}
	}
}

// find returns the index of a waiting ticket, or -1.
func (q *line) find(ticket attune.Ticket) int {
	i, found := slices.BinarySearchFunc(q.waiters, ticket, func(w waiter, t attune.Ticket) int { return w.Compare(t) })
	if !found || q.waiters[i].left || !q.waiters[i].Same(ticket) {
		return -1
	}
	return i
}

// take removes the waiting ticket with an index.
func (q *line) take(index int) attune.Ticket {
	ticket := q.waiters[index].Ticket
	q.waiters[index].left = true
	q.length--
	l, a := q.waiters[index].lane, q.levels.action(ticket.Action)
	l.waiting--
	a.waiting--
	if l.first == index && l.waiting > 0 {
		for q.waiters[l.first].left {
			l.first = q.waiters[l.first].next
		}
	}
	q.replace(l)
	q.levels.placeAction(a)
	for q.first < len(q.waiters) && q.waiters[q.first].left {
		q.first++
	}
	if gone := len(q.waiters) - q.length; gone >= minSweep && gone > q.length {
		q.sweep()
	}
	return ticket
}

// grant takes the waiting ticket with an index, and counts the ticket as a holder.
func (q *line) grant(index int) attune.Ticket {
	ticket := q.waiters[index].Ticket
	q.waiters[index].lane.holders++
	q.levels.action(ticket.Action).holders++
	return q.take(index)
}

// remove removes a ticket, and reports whether the ticket was waiting.
func (q *line) remove(ticket attune.Ticket) bool {
	i := q.find(ticket)
	if i >= 0 {
		q.take(i)
	}
	return i >= 0
}

// sweep forgets the waiters that have left, and renumbers the others.
func (q *line) sweep() {
	q.waiters = slices.DeleteFunc(q.waiters, func(w waiter) bool { return w.left })
	q.first = 0
	q.levels.forgetEmpty()
	for _, l := range q.levels.laneList {
		l.first, l.last = -1, -1
	}
	for i := range q.waiters {
		l := q.waiters[i].lane
		if l.first < 0 {
			l.first = i
		} else {
			q.waiters[l.last].next = i
		}
		l.last = i
	}
}

// insert adds tickets with sequences that the line has passed.
func (q *line) insert(tickets []attune.Ticket) {
	all := append(q.tickets(), tickets...)
	slices.SortFunc(all, attune.Ticket.Compare)
	q.waiters, q.first, q.length = nil, 0, 0
	q.levels.clearWaiting()
	for _, ticket := range all {
		q.append(ticket)
	}
}

// next returns the index of the eligible ticket with the lowest sequence, as far as lanes and actions decide that. With
// [attune.AcrossStrict], only the first ticket of the line is eligible. It is -1 without one.
func (q *line) next(across attune.Across) int {
	first := q.levels.eligible()
	if first == nil || across != attune.AcrossSkip && first.first != q.first {
		return -1
	}
	return first.first
}

// hold counts a ticket as a holder of its lane and its action.
func (q *line) hold(ticket attune.Ticket) { q.count(ticket, 1) }

// free counts a ticket as a holder no longer.
func (q *line) free(ticket attune.Ticket) { q.count(ticket, -1) }

func (q *line) count(ticket attune.Ticket, holders int) {
	l, a := q.levels.lane(ticket.Lane), q.levels.action(ticket.Action)
	l.holders += holders
	a.holders += holders
	q.replace(l)
	q.levels.placeAction(a)
}

// setLimits replaces the limits of lanes and actions.
func (q *line) setLimits(policy attune.QueuePolicy) {
	q.levels.setLimits(policy)
	for _, l := range q.levels.laneList {
		q.replace(l)
	}
	for _, a := range q.levels.actionList {
		q.levels.placeAction(a)
	}
}

// replace decides again whether a lane is ready.
func (q *line) replace(l *lane) {
	if l.waiting == 0 {
		q.levels.unplace(l)
		return
	}
	q.levels.place(l, q.waiters[l.first].Ticket)
}

// lastSince returns the highest sequence among the tickets that were enqueued at since or earlier, whether or not they have
// left; 0 without one. These are at the front, because times rise along the line.
func (q *line) lastSince(since time.Time) int64 {
	n, _ := slices.BinarySearchFunc(q.waiters, since, func(w waiter, since time.Time) int {
		if w.EnqueuedAt.After(since) {
			return 1
		}
		return -1
	})
	if n == 0 {
		return 0
	}
	return q.waiters[n-1].Sequence
}

// indexAfter returns the index of the first waiter with a sequence above the given one.
func (q *line) indexAfter(sequence int64) int {
	i, _ := slices.BinarySearchFunc(q.waiters, sequence+1, func(w waiter, s int64) int { return int(w.Sequence - s) })
	return i
}
