package replay

import (
	"time"

	"github.com/attune-go/attune"
)

// holdKind says where the time of a hold comes from.
type holdKind int

const (
	ownHold      holdKind = iota // the recorded run of the place
	borrowedHold                 // the recorded run of another place
	endlessHold                  // the run has not ended
)

// holds are how long places hold their slots.
type holds struct {
	own      []time.Duration // by index of the place; negative without a run that ended
	places   []Place
	recorded map[attune.ActionID][]time.Duration // of the runs that ended, in the order of their grants
	all      []time.Duration
	borrowed map[attune.ActionID]int // so many runs of the action were borrowed
}

func newHolds(h History, lag time.Duration) holds {
	r := holds{
		own: make([]time.Duration, len(h.Places)), places: h.Places,
		recorded: map[attune.ActionID][]time.Duration{}, borrowed: map[attune.ActionID]int{},
	}
	learned := h.learned(lag)
	for i, place := range h.Places {
		r.own[i] = -1
		if at, ended := learned[place.Sequence]; ended {
			r.own[i] = max(0, at.Sub(place.Grant.GrantedAt))
			r.recorded[place.Action] = append(r.recorded[place.Action], r.own[i])
			r.all = append(r.all, r.own[i])
		}
	}
	return r
}

// of returns how long the place with an index holds its slot.
func (r holds) of(i int) (time.Duration, holdKind) {
	place := r.places[i]
	switch {
	case r.own[i] >= 0:
		return r.own[i], ownHold
	case place.Grant != nil:
		return 0, endlessHold
	}
	runs := r.recorded[place.Action]
	if len(runs) == 0 {
		runs = r.all
	}
	if len(runs) == 0 {
		return 0, borrowedHold
	}
	n := r.borrowed[place.Action]
	r.borrowed[place.Action]++
	return runs[n%len(runs)], borrowedHold
}
