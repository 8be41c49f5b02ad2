package semaphore

import "github.com/attune-go/attune"

// Deliverable returns up to n undelivered grants, in grant order, without retries that are still delayed and without tentative
// grants. A grant is tentative until every settlement decided before it is recorded: see [State.SettlementsRecorded].
func (s *State) Deliverable(n int) []attune.Grant { return s.undelivered(n, s.recorded) }

// GrantsAfter returns the grants with a number above the given one whose slots are held, in grant order.
func (s *State) GrantsAfter(number int64) []attune.Grant {
	first := len(s.holders)
	for first > 0 && s.holders[first-1].Number > number {
		first--
	}
	grants := make([]attune.Grant, 0, len(s.holders)-first)
	for _, holder := range s.holders[first:] {
		grants = append(grants, holder.Grant)
	}
	return grants
}

// HoldAfter lets the state decide no grant with a number above the given one; 0 ends that. A replay of recorded grants uses it to
// decide each of them when the queue did. It is not part of the carried state.
func (s *State) HoldAfter(number int64) { s.heldAfter = number }

// undelivered returns up to n undelivered grants that were decided after at most settledBefore settlements.
func (s *State) undelivered(n int, settledBefore int64) []attune.Grant {
	var grants []attune.Grant
	for _, holder := range s.holders {
		if len(grants) == n {
			break
		}
		if !holder.Delivered && holder.NotBefore.IsZero() && holder.SettledBefore <= settledBefore {
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// Delivered marks the holders of delivered grants. It skips a grant whose holder was released, or meanwhile holds its slot for
// another attempt.
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

// redeliver marks a holder's grant as undelivered, and reports whether the ticket is a holder.
func (s *State) redeliver(ticket attune.Ticket) bool {
	i := s.holderOf(ticket)
	if i >= 0 {
		s.holders[i].Delivered = false
	}
	return i >= 0
}
