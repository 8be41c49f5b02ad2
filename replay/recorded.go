package replay

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// Agreement compares the order in which the core decides the recorded grants with the recorded order.
type Agreement struct {
	Grants int // recorded grants of the period
	Agreed int // grants that the core decides in their recorded place
	// First is the first difference; nil without one.
	First *Difference
}

// Difference is a recorded grant that the core does not decide.
type Difference struct {
	Number   int64 // of the recorded grant
	Sequence int64 // of the recorded grant
	Replayed int64 // the sequence that the core grants instead; 0 if it grants none
}

// Complete reports whether the core decides every recorded grant in its place.
func (a Agreement) Complete() bool { return a.Agreed == a.Grants }

// Recorded replays the recorded grants of the period under the policies that were in force. See the package documentation.
func Recorded(h History) Agreement {
	r := &recorded{history: h, freed: h.freed(), changes: h.Changes}
	var agreement Agreement
	for i, grant := range h.Grants {
		if !grant.GrantedAt.Before(h.To) {
			continue
		}
		if i == 0 || grant.Generation != h.Grants[i-1].Generation {
			r.begin(grant)
		}
		agreement.Grants++
		switch got := r.decide(grant); {
		case got == grant.Sequence:
			agreement.Agreed++
		case agreement.First == nil:
			agreement.First = &Difference{Number: grant.Number, Sequence: grant.Sequence, Replayed: got}
		}
	}
	return agreement
}

// recorded is the replay of the recorded grants. The state has sequences of its own, without gaps.
type recorded struct {
	history History
	state   *semaphore.State
	freed   map[int64]bool // the recorded sequences whose slots some grant saw become free

	tickets map[int64]attune.Ticket // of the state, by recorded sequence
	known   []Place                 // by the sequence of the state
	grants  int64                   // the number of the state's last grant; the first one is 2

	generation int64

	places  []Place              // of the generation, not revealed yet
	changes []attune.QueueChange // not made yet
}

// begin starts a generation of the queue with its first grant. The queue knew the places that it saw become free, and every place
// that held its slot when the generation began.
func (r *recorded) begin(first attune.LoggedGrant) {
	snapshot := attune.QueueSnapshot{
		Policy: unbounded(r.history.policyOf(first)), LastGrant: 1, Mode: r.history.Mode, Override: r.history.Override,
	}
	if r.state != nil {
		snapshot.Mode, snapshot.Override = r.state.Mode(), nil
		if override, ok := r.state.Override(); ok {
			snapshot.Override = &override
		}
	}
	snapshot.Mode = undrained(snapshot.Mode)
	r.tickets, r.known, r.places, r.grants = map[int64]attune.Ticket{}, []Place{{}}, nil, 1
	r.generation = first.Generation
	for _, place := range r.history.Places {
		switch grant := place.Grant; {
		case grant == nil || grant.Number >= first.Number:
			r.places = append(r.places, place)
		case r.heldBefore(*grant, first):
			snapshot.Holders = append(snapshot.Holders, attune.Grant{Ticket: r.ticket(place), Number: 1})
		}
	}
	snapshot.LastSequence = int64(len(r.known) - 1)
	r.state = semaphore.New(snapshot)
	r.state.SetSleepAfter(0)
	r.state.HoldAfter(r.grants)
}

// ticket returns the next ticket of the state, for a place.
func (r *recorded) ticket(place Place) attune.Ticket {
	ticket := place.Ticket
	ticket.Sequence, ticket.Attempt = int64(len(r.known)), 0
	r.tickets[place.Sequence] = ticket
	r.known = append(r.known, place)
	return ticket
}

// heldBefore reports whether the queue counted the slot of an earlier grant as held before it decided the first grant of a
// generation or period.
func (r *recorded) heldBefore(grant, first attune.LoggedGrant) bool {
	unseen := r.state == nil && grant.Generation == first.Generation // no grant before the period has seen it become free
	return unseen || r.freed[grant.Sequence] || grant.ReleasedAt == nil || !grant.ReleasedAt.Before(first.RequestedAt)
}

// decide lets the state decide one grant with what the queue knew at the recorded one. It returns the recorded sequence of the
// ticket; 0 without a grant.
func (r *recorded) decide(grant attune.LoggedGrant) int64 {
	at := grant.GrantedAt
	r.change(grant)
	r.state.SetPolicy(at, unbounded(r.history.policyOf(grant)))
	r.reveal(at, grant.Sequence)
	r.release(at, grant.Freed)
	r.clear(at, grant.Sequence)
	for {
		place := r.next(at)
		if !r.left(place) {
			return place.Sequence
		}
		r.state.Release(at, []attune.Ticket{r.tickets[place.Sequence]})
	}
}

// next lets the state decide one grant, and returns its place; an empty one without a grant.
func (r *recorded) next(at time.Time) Place {
	r.state.HoldAfter(r.grants + 1)
	r.state.Advance(at)
	decided := r.state.GrantsAfter(r.grants)
	if len(decided) > 0 {
		r.grants++
	}
	r.state.HoldAfter(r.grants)
	if len(decided) == 0 {
		return Place{}
	}
	return r.known[decided[0].Sequence]
}

// left reports whether a place left the line without a grant that the generation acted upon. The rows do not show when the queue
// decided that. What the queue would have granted, if it had waited, had left. What is in front of a granted ticket had left, too.
func (r *recorded) left(place Place) bool {
	if place.Grant == nil {
		return place.Status != ""
	}
	return place.Grant.Generation != r.generation
}

// clear takes the places that left out of the way of a place.
func (r *recorded) clear(at time.Time, sequence int64) {
	for {
		place, found := r.inFront(sequence)
		if !found || !r.left(place) {
			return
		}
		ticket := r.tickets[place.Sequence]
		request := attune.ChangeRequest{
			ID: fmt.Sprintf("left %d", place.Sequence), Author: author(), Kind: attune.ChangeCancel, Ticket: ticket,
		}
		_, _ = r.state.Change(at, request)
		r.state.SettlementsRecorded(at, 1, nil)
		r.state.ChangesRecorded(1)
	}
}

// inFront returns the place that the state would grant before another one, in its lane or in the line.
func (r *recorded) inFront(sequence int64) (Place, bool) {
	for _, obstacle := range r.state.Obstacles(r.tickets[sequence]) {
		if obstacle.Kind == semaphore.ObstacleAhead {
			return r.known[obstacle.Ahead], true
		}
	}
	return Place{}, false
}

// change makes the recorded changes of the mode and of limits that the queue had made before a grant.
func (r *recorded) change(grant attune.LoggedGrant) {
	for len(r.changes) > 0 && r.changes[0].Number <= grant.Changes {
		change := r.changes[0]
		r.changes = r.changes[1:]
		if change.Kind == attune.ChangeCancel {
			continue
		}
		if request, ok := requestOf(change); ok {
			request.Mode = undrained(request.Mode)
			_, _ = r.state.Change(change.At, request) // a change without effect is refused
			r.state.ChangesRecorded(1)
		}
	}
}

// reveal lets the places up to a recorded sequence arrive: the queue grants nothing behind a ticket that has not arrived.
func (r *recorded) reveal(at time.Time, sequence int64) {
	var tickets []attune.Ticket
	for len(r.places) > 0 && r.places[0].Sequence <= sequence {
		tickets = append(tickets, r.ticket(r.places[0]))
		r.places = r.places[1:]
	}
	r.state.Acquire(at, tickets)
}

// release frees the slots that the queue had seen become free.
func (r *recorded) release(at time.Time, freed []int64) {
	var tickets []attune.Ticket
	for _, sequence := range freed {
		if ticket, known := r.tickets[sequence]; known {
			tickets = append(tickets, ticket)
		}
	}
	r.state.Release(at, tickets)
}

// undrained returns a mode that refuses no ticket: they leave as recorded.
func undrained(mode attune.QueueMode) attune.QueueMode {
	if mode == attune.QueueDraining {
		return attune.QueueOpen
	}
	return mode
}

// unbounded returns a policy without what makes tickets leave the line: they leave as recorded.
func unbounded(policy attune.QueuePolicy) attune.QueuePolicy {
	policy.MaxQueued, policy.QueueTimeout, policy.Overflow = math.MaxInt, 0, attune.OverflowReject
	policy.Actions = slices.Clone(policy.Actions)
	for i := range policy.Actions {
		policy.Actions[i].MaxQueuedPerKey, policy.Actions[i].WhenBusy = nil, attune.BusyWait
	}
	return policy
}
