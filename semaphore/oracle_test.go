package semaphore_test

import (
	"maps"
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

	mustEnd, asked bool // a later ticket replaces the holder, and the holder knows

	expired, rejected, replaced bool // how the ticket ended
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
	manual   map[int32]attune.LimitOverride // the manual limits of lanes
	granted  []int64                        // sequences, in grant order; 0 for a ticket that ran under a lost decision
	settled  []int64                        // sequences, in the order in which they ended without a grant; 0 for a wrong ticket
	wrong    map[wrongPlace]bool            // cancelled by mistake
	recorded int                            // how many of settled have been recorded

	joined  []int64                  // sequences of the newcomers that joined the line in the current operation
	touched map[int32]bool           // lanes with an arrival that replaces, or with a ticket that came back
	starts  map[rateName][]time.Time // what each rate remembers
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

// settle decides again about all tickets: arrivals without a gap in front, replaced ones, expiry, starts, bounds.
func (o *oracle) settle(now time.Time) {
	for i := range o.entries {
		e := &o.entries[i]
		if o.missing(i) {
			break
		}
		if e.place == behind {
			e.place = waiting
			if e.ticket.Attempt <= 1 {
				o.joined = append(o.joined, e.ticket.Sequence)
				if o.limits(e.ticket).WhenBusy == attune.BusyReplace {
					o.touched[e.ticket.Lane] = true
				}
			}
		}
	}
	o.replace()
	o.decide(now)
	o.bound()
	o.decide(now)
}

// replace ends what stands in front of the last newcomer of a lane that replaces the others.
func (o *oracle) replace() {
	for _, lane := range slices.Sorted(maps.Keys(o.touched)) {
		newest := int64(0)
		for _, e := range o.entries {
			if e.place == waiting && e.ticket.Lane == lane && e.ticket.Attempt <= 1 && o.limits(e.ticket).WhenBusy == attune.BusyReplace {
				newest = e.ticket.Sequence
			}
		}
		for i := range o.entries {
			e := &o.entries[i]
			if e.ticket.Lane != lane || e.ticket.Sequence >= newest {
				continue
			}
			if e.place == waiting {
				o.drop(e.ticket.Sequence, &e.replaced)
			}
			e.mustEnd = e.mustEnd || e.place == holding
		}
	}
	o.touched = map[int32]bool{}
}

func (o *oracle) drop(sequence int64, how *bool) {
	o.entries[sequence-1].place = ended
	*how = true
	o.settled = append(o.settled, sequence)
}

func (o *oracle) decide(now time.Time) {
	maps.DeleteFunc(o.manual, func(_ int32, l attune.LimitOverride) bool { return !l.Until.IsZero() && !now.Before(l.Until) })
	for i := range o.entries {
		e := &o.entries[i]
		timeout := time.Duration(o.policy.QueueTimeout)
		if e.place == waiting && timeout > 0 && !now.Before(e.ticket.EnqueuedAt.Add(timeout)) {
			o.drop(e.ticket.Sequence, &e.expired)
		}
	}
	if o.mode == attune.QueuePaused {
		o.limit(now)
		return
	}
	for _, sequence := range o.granted {
		if sequence == 0 {
			continue
		}
		e := &o.entries[sequence-1]
		if e.place == holding && !e.notBefore.IsZero() && !now.Before(e.notBefore) && o.rateAllows(now, e.ticket.Action) {
			e.notBefore = time.Time{}
			o.start(now, e.ticket.Action)
		}
	}
	for len(o.in(holding)) < o.limit(now) {
		e := o.eligible(now)
		if e == nil {
			return
		}
		e.place, e.attempt, e.after, e.mustEnd, e.asked = holding, max(e.ticket.Attempt, 1), len(o.settled), false, false
		e.delivered, e.notBefore = false, time.Time{}
		o.granted = append(o.granted, e.ticket.Sequence)
		o.start(now, e.ticket.Action)
	}
}

// missing reports whether the entry at an index has not arrived. Wrong tickets make no difference.
func (o *oracle) missing(i int) bool {
	return o.entries[i].place == unsent || o.entries[i].place == unseen
}

// arrive adds a ticket. A ticket that ended unseen stays ended.
func (o *oracle) arrive(e *entry) {
	o.leave(e.ticket)
	if e.place == unseen {
		e.place = ended
		return
	}
	e.place = behind
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
				o.touched[e.ticket.Lane] = true
				o.granted = slices.DeleteFunc(o.granted, func(s int64) bool { return s == e.ticket.Sequence })
			}
		}
	}
	o.recorded += n
	for i := range held {
		e := &o.entries[held[i].Sequence-1]
		o.leave(e.ticket)
		e.place, e.expired, e.rejected, e.replaced, e.after = holding, false, false, false, o.recorded
		e.mustEnd, e.asked = false, false
		o.touched[e.ticket.Lane] = true
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

// bound makes one ticket leave per newcomer that is one too many: first for when_busy, then in its lane, then in the line.
func (o *oracle) bound() {
	dropOldest := o.policy.Overflow == attune.OverflowDropOldest
	if !dropOldest {
		slices.Reverse(o.joined)
	}
	for _, rule := range []string{"busy", "lane", "line"} {
		for _, sequence := range o.joined {
			e := &o.entries[sequence-1]
			limits, line := o.limits(e.ticket), o.in(waiting)
			lane := slices.DeleteFunc(slices.Clone(line), func(s int64) bool { return o.entries[s-1].ticket.Lane != e.ticket.Lane })
			victim := int64(0)
			switch {
			case e.place != waiting:
			case rule == "busy" && limits.WhenBusy == attune.BusySkip:
				victim = sequence
			case rule == "lane" && limits.MaxQueuedPerKey != nil && len(lane) > *limits.MaxQueuedPerKey:
				if victim = sequence; dropOldest {
					victim = lane[0]
				}
			case rule == "line" && len(line) > o.policy.MaxQueued:
				if victim = sequence; dropOldest && lane[0] == sequence {
					victim = line[0]
				} else if dropOldest {
					victim = lane[0]
				}
			}
			if victim > 0 {
				o.drop(victim, &o.entries[victim-1].rejected)
			}
		}
	}
	o.joined = nil
}
