package replay

import (
	"cmp"
	"time"
)

// kind says what an event is. At one instant, a queue applies releases before manual changes, and those before arrivals.
type kind int

const (
	policyEvent kind = iota
	releaseEvent
	changeEvent
	arrivalEvent
)

// event is something that happens to the queue.
type event struct {
	at    time.Time
	kind  kind
	index int // of a policy, a place or a change
}

func (e event) compare(other event) int {
	return cmp.Or(e.at.Compare(other.at), cmp.Compare(e.kind, other.kind), cmp.Compare(e.index, other.index))
}

// events is a heap of events, the next one on top.
type events []event

func (h *events) push(e event) {
	*h = append(*h, e)
	all := *h
	i := len(all) - 1
	for i > 0 && e.compare(all[(i-1)/2]) < 0 {
		all[i] = all[(i-1)/2]
		i = (i - 1) / 2
	}
	all[i] = e
}

// pop removes the next event. The heap must not be empty.
func (h *events) pop() event {
	all := *h
	top, last := all[0], all[len(all)-1]
	all = all[:len(all)-1]
	*h = all
	i := 0
	for child := 1; child < len(all); child = 2*i + 1 {
		if child+1 < len(all) && all[child+1].compare(all[child]) < 0 {
			child++
		}
		if last.compare(all[child]) <= 0 {
			break
		}
		all[i] = all[child]
		i = child
	}
	if len(all) > 0 {
		all[i] = last
	}
	return top
}
