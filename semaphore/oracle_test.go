package semaphore_test

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// place is where the oracle believes a ticket is.
type place int

const (
	unsent place = iota // not acquired yet
	unseen              // ended before it was acquired
	behind              // arrived behind a gap
	waiting
	holding
	ended
)

type entry struct {
	ticket attune.Ticket
	place  place

	// While it holds a slot:
	attempt   int
	notBefore time.Time
	delivered bool
	after     int // settlements before the grant

	expired, rejected bool // how the ticket ended
}

// wrongPlace is a sequence with an enforcement that it does not belong to.
type wrongPlace struct {
	enforcement attune.EnforcementID
	sequence    int64
}

// oracle is a naive implementation of the semaphore: one list of all tickets, walked from the front each time.
type oracle struct {
	entries  []entry // index is sequence-1
	policy   attune.QueuePolicy
	mode     attune.QueueMode
	override *attune.LimitOverride
	granted  []int64             // sequences, in grant order; 0 for a ticket that ran under a lost decision
	settled  []int64             // sequences, in the order in which they ended without a grant; 0 for a wrong ticket
	wrong    map[wrongPlace]bool // cancelled by mistake
	recorded int                 // how many of settled have been recorded
}

func (o *oracle) in(p place) []int64 {
	var sequences []int64
	for _, e := range o.entries {
		if e.place == p {
			sequences = append(sequences, e.ticket.Sequence)
		}
	}
	return sequences
}

func (o *oracle) limit(now time.Time) int {
	if o.override != nil && !o.override.Until.IsZero() && !now.Before(o.override.Until) {
		o.override = nil
	}
	if o.override != nil {
		return o.override.Limit
	}
	return o.policy.Limit
}

// settle decides again about all tickets: arrivals without a gap in front, expiry, grants.
func (o *oracle) settle(now time.Time) {
	for i := range o.entries {
		if o.missing(i) {
			break
		}
		if o.entries[i].place == behind {
			o.entries[i].place = waiting
		}
	}
	for i := range o.entries {
		e := &o.entries[i]
		timeout := time.Duration(o.policy.QueueTimeout)
		if e.place == waiting && timeout > 0 && !now.Before(e.ticket.EnqueuedAt.Add(timeout)) {
			e.place = ended
			o.settled = append(o.settled, e.ticket.Sequence)
			e.expired = true
		}
	}
	for i := range o.entries {
		if e := &o.entries[i]; e.place == waiting && o.mode != attune.QueuePaused && len(o.in(holding)) < o.limit(now) {
			e.place, e.attempt, e.after = holding, max(e.ticket.Attempt, 1), len(o.settled)
			o.granted = append(o.granted, e.ticket.Sequence)
		}
	}
	for i := range o.entries {
		if e := &o.entries[i]; o.mode != attune.QueuePaused && !now.Before(e.notBefore) {
			e.notBefore = time.Time{}
		}
	}
}

// missing reports whether the entry at an index has not arrived. Wrong tickets make no difference.
func (o *oracle) missing(i int) bool {
	return o.entries[i].place == unsent || o.entries[i].place == unseen
}

// arrive adds a ticket, and reports whether it can be refused. A ticket that ended unseen stays ended.
func (o *oracle) arrive(e *entry) (refusable bool) {
	o.leave(e.ticket)
	if e.place == unseen {
		e.place = ended
		return false
	}
	e.place = behind
	return e.ticket.Attempt <= 1
}

// leave frees the slot of an enforcement's earlier place.
func (o *oracle) leave(ticket attune.Ticket) {
	for i := range o.entries {
		e := &o.entries[i]
		if e.place == holding && e.ticket.Enforcement == ticket.Enforcement && e.ticket.Sequence < ticket.Sequence {
			e.place = ended
		}
	}
}

// end removes a ticket. A ticket that has not arrived is still missing, and frees no slot.
func (o *oracle) end(ticket attune.Ticket) {
	if e := &o.entries[ticket.Sequence-1]; e.place == unsent {
		e.place = unseen
	} else if e.place != unseen {
		e.place = ended
	}
}

// record records the next n settlements. A settled ticket without waiting tickets in front can have been granted by a lost
// decision; record returns the grants of such tickets. Grants since the settlements are not delivered, so they are revoked.
func (o *oracle) record(n int, heldSlot func() bool) (held []attune.Grant) {
	settled := slices.Sorted(slices.Values(o.settled[o.recorded : o.recorded+n]))
	for _, sequence := range settled {
		if sequence == 0 {
			continue
		}
		inFront := func(e entry) bool {
			return e.place == unsent || e.place == unseen || e.place == behind || e.place == waiting || o.tentative(e.ticket) ||
				slices.Contains(o.settled[o.recorded+n:], e.ticket.Sequence)
		}
		if !slices.ContainsFunc(o.entries[:sequence-1], inFront) && heldSlot() {
			held = append(held, attune.Grant{Ticket: o.entries[sequence-1].ticket})
		}
	}
	if len(held) > 0 {
		for i := range o.entries {
			if e := &o.entries[i]; o.tentative(e.ticket) {
				e.place = waiting
				o.granted = slices.DeleteFunc(o.granted, func(s int64) bool { return s == e.ticket.Sequence })
			}
		}
	}
	o.recorded += n
	for i := range held {
		e := &o.entries[held[i].Sequence-1]
		o.leave(e.ticket)
		e.place, e.expired, e.rejected, e.after = holding, false, false, o.recorded
		e.attempt, e.notBefore, e.delivered = max(e.ticket.Attempt, 1), time.Time{}, false
		o.granted = append(o.granted, e.ticket.Sequence)
		held[i].Number, held[i].Attempt = int64(len(o.granted)), e.attempt
	}
	return held
}

// tentative reports whether a grant was decided after a settlement that is not recorded.
func (o *oracle) tentative(ticket attune.Ticket) bool {
	e := o.entries[ticket.Sequence-1]
	return e.place == holding && e.after > o.recorded
}

func (o *oracle) count(is func(entry) bool) (n int) {
	for _, e := range o.entries {
		if is(e) {
			n++
		}
	}
	return n
}

// begun returns the sequences of the holders whose attempt can start and is not delivered.
func (o *oracle) begun() []int64 {
	var sequences []int64
	for _, e := range o.entries {
		if e.place == holding && !e.delivered && e.notBefore.IsZero() {
			sequences = append(sequences, e.ticket.Sequence)
		}
	}
	return sequences
}

// bound drops one ticket per newcomer in a full line.
func (o *oracle) bound(newcomers int) {
	for ; newcomers > 0 && len(o.in(waiting))+len(o.in(behind)) > o.policy.MaxQueued && len(o.in(waiting)) > 0; newcomers-- {
		line := o.in(waiting)
		victim := line[0]
		if o.policy.Overflow == attune.OverflowReject {
			line = slices.DeleteFunc(line, func(sequence int64) bool { return o.entries[sequence-1].ticket.Attempt > 1 })
			if len(line) == 0 {
				return
			}
			victim = line[len(line)-1]
		}
		o.entries[victim-1].place = ended
		o.entries[victim-1].rejected = true
		o.settled = append(o.settled, victim)
	}
}
