package proof

import (
	"slices"
	"time"
)

// slots are the slots that the grants of one level took: of the queue, of an action, or of a lane.
type slots struct {
	open     int         // grants that still hold their slots
	released []time.Time // when the others gave theirs back, ascending
	seen     int         // the queue provably knew that many of the first releases
	last     int         // the index of the latest decision; -1 without one
	freedBy  []int       // the indices of the decisions that counted a slot as freed, ascending
}

// at returns the slots of a level, from a map by level.
func at[K comparable](levels map[K]*slots, level K) *slots {
	s := levels[level]
	if s == nil {
		s = &slots{last: -1}
		levels[level] = s
	}
	return s
}

// until counts the slots that were given back until t.
func (s *slots) until(t time.Time) int { return countUntil(s.released, t) }

// countUntil counts the times up to t, t included. The times are ascending.
func countUntil(times []time.Time, t time.Time) int {
	n, _ := slices.BinarySearchFunc(times, t, func(at, t time.Time) int {
		if at.After(t) {
			return 1
		}
		return -1
	})
	return n
}

// held returns how many slots were surely held at a decision. A slot that was given back at the instant of the request counts as
// free.
func (s *slots) held(d *decision) int { return s.open + len(s.released) - s.until(d.RequestedAt) }

// countedAt returns the least and the greatest number of slots that the queue can have counted as held at a decision.
func (s *slots) countedAt(d *decision) holding {
	if d.exact {
		freed, _ := slices.BinarySearch(s.freedBy, d.index+1)
		counted := s.open + len(s.released) - freed
		return holding{counted, counted}
	}
	return holding{s.held(d), s.mostHeld(d)}
}

// mostHeld returns how many slots the queue can have counted as held at a decision.
func (s *slots) mostHeld(d *decision) int {
	unseen := max(0, s.until(d.RequestedAt)-s.seenAt(d.known))
	return s.held(d) + min(d.hidden, unseen+d.absent)
}

// seenAt returns how many of the first releases the queue provably knew at a checkpoint. A checkpoint before the latest decision
// says nothing about the slot of that decision.
func (s *slots) seenAt(known checkpoint) int {
	if known.decision == nil || known.decision.index <= s.last {
		return s.seen
	}
	return max(s.seen, s.until(known.decision.RequestedAt))
}

// see notes that the queue knew, at a decision, all releases until its request.
func (s *slots) see(d *decision) { s.seen = max(s.seen, s.until(d.RequestedAt)) }

// take adds the slot of a decision.
func (s *slots) take(d *decision) {
	s.seen = s.seenAt(d.known)
	s.last = d.index
	if d.ReleasedAt == nil {
		s.open++
		return
	}
	at, _ := slices.BinarySearchFunc(s.released, *d.ReleasedAt, time.Time.Compare)
	s.released = slices.Insert(s.released, at, *d.ReleasedAt)
	s.seen = min(s.seen, at)
}

// fullUntil returns the time until which at least limit slots were held; the zero time if they never were, and false if they
// still are.
func (s *slots) fullUntil(limit int) (t time.Time, open bool) {
	needed := limit - s.open // among those that were given back
	switch {
	case needed <= 0:
		return t, false
	case needed > len(s.released):
		return t, true
	default:
		return s.released[len(s.released)-needed], true
	}
}
