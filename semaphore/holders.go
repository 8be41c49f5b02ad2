package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// addHolder gives a slot to a ticket that does not wait.
func (s *State) addHolder(holder Holder) {
	s.line.hold(holder.Ticket)
	s.keepHolder(holder)
}

// precise returns a time in the precision of the carried state, milliseconds. Grants and manual changes have it from their decision on,
// so that their order can be read from their times.
func precise(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

// keepHolder adds a holder that the line has counted.
func (s *State) keepHolder(holder Holder) {
	holder.GrantedAt = precise(holder.GrantedAt)
	holder.InspectAt = precise(holder.InspectAt)
	s.holders = append(s.holders, holder)
}

// dropHolderAt frees the slot of the holder with an index. The lane and the action that get room are those of the holder.
func (s *State) dropHolderAt(index int) Holder {
	holder := s.holders[index]
	s.holders = slices.Delete(s.holders, index, index+1)
	s.freeSlot(holder)
	return holder
}

// freeSlot frees the slot of a holder that is removed from the list.
func (s *State) freeSlot(holder Holder) {
	s.line.free(holder.Ticket)
	s.freed = append(s.freed, holder.Sequence)
}

// holderOf returns the index of the holder with this ticket, or -1. Another place of the same enforcement is another ticket.
func (s *State) holderOf(ticket attune.Ticket) int {
	return slices.IndexFunc(s.holders, func(h Holder) bool { return h.Same(ticket) })
}

// dropHolder frees the slot of a ticket, and reports whether the ticket was a holder.
func (s *State) dropHolder(ticket attune.Ticket) bool {
	i := s.holderOf(ticket)
	if i >= 0 {
		s.dropHolderAt(i)
	}
	return i >= 0
}

// freeEarlierPlace frees the slot that the ticket's enforcement holds for an earlier place.
func (s *State) freeEarlierPlace(ticket attune.Ticket) {
	before := func(h Holder) bool { return h.Enforcement == ticket.Enforcement && h.Sequence < ticket.Sequence }
	if i := slices.IndexFunc(s.holders, before); i >= 0 {
		s.dropHolderAt(i)
		s.counters.Completed++
	}
}
