package semaphore

import "github.com/attune-go/attune"

// manyDropped is the number of tickets from which it is worth the cost to index the holders.
const manyDropped = 8

// dropping frees the slots of many holders: a search and a removal for each would cost as much as the queue has holders. Between
// [State.dropping] and [dropping.finish], the list of the holders still has those that were dropped.
type dropping struct {
	state *State
	index map[place]int // of the holders; nil while they are searched
	gone  map[int]bool  // the indices of the dropped holders
}

// dropping begins to free the slots of tickets.
func (s *State) dropping(tickets []attune.Ticket) *dropping {
	d := &dropping{state: s}
	if len(tickets) >= manyDropped {
		d.index, d.gone = make(map[place]int, len(s.holders)), make(map[int]bool, len(tickets))
		for i, holder := range s.holders {
			d.index[placeOf(holder.Ticket)] = i
		}
	}
	return d
}

// holder frees the slot of a ticket, and reports whether the ticket was a holder.
func (d *dropping) holder(ticket attune.Ticket) bool {
	if d.index == nil {
		return d.state.dropHolder(ticket)
	}
	i, found := d.index[placeOf(ticket)]
	if !found || d.gone[i] {
		return false
	}
	d.gone[i] = true
	d.state.freeSlot(d.state.holders[i])
	return true
}

// finish removes the dropped holders from the list. After that, the holders are searched.
func (d *dropping) finish() {
	if d.index == nil {
		return
	}
	kept := d.state.holders[:0]
	for i, holder := range d.state.holders {
		if !d.gone[i] {
			kept = append(kept, holder)
		}
	}
	clear(d.state.holders[len(kept):])
	d.state.holders, d.index = kept, nil
}
