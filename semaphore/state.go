package semaphore

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// State is everything there is to know about one queue. The zero value is not usable: see [New].
//
// It is not safe for concurrent use.
type State struct {
	policy   attune.QueuePolicy
	mode     attune.QueueMode
	override *attune.LimitOverride // a limit set by hand; nil: the policy's limit is in force

	next   int64 // the lowest sequence not seen yet: all below wait, hold, or have ended
	grants int64 // the number of the last grant decided

	generation int64 // of the grants: how often the queue was rebuilt

	holders  []Holder            // in grant order
	waiting  []attune.Ticket     // in sequence order, without gaps but for tickets that have ended
	early    []attune.Ticket     // tickets behind a gap, in sequence order, all above next
	skipped  []int64             // sequences above next that ended before their turn to join the line, in order
	settling []attune.Settlement // ended without a grant, not yet recorded
	recorded int64               // how many have been recorded
	doubted  []attune.Ticket     // have ended, and were acquired again

	changes  int64           // the number of the last change by hand
	unlogged []pendingChange // changes by hand that are not recorded yet
	made     []madeRequest   // the last requests for changes, and those of all unrecorded changes, in number order

	inspectAfter time.Duration // how long a slot is held before its holder is inspected
	sleep        sleep

	counters Counters
}

// Holder is a ticket that has a slot.
type Holder struct {
	attune.Grant
	Delivered bool      `json:"delivered"`  // whether the grant has reached its enforcement
	InspectAt time.Time `json:"inspect_at"` // when to look whether it still should hold its slot
	// After is how many settlements were decided before the grant was: as long as one of them is not recorded, the slot may
	// turn out to be taken.
	After int64 `json:"after,omitempty"`
}

// Counters count what happened since the queue was first loaded. At every moment
//
//	Accepted = waiting + holders + Completed + Rejected + Cancelled + Expired + Withdrawn
type Counters struct {
	Accepted  int64 `json:"accepted"`  // tickets taken into the line, or loaded with it
	Granted   int64 `json:"granted"`   // grants decided
	Completed int64 `json:"completed"` // holders released
	Rejected  int64 `json:"rejected"`  // waiting tickets refused or dropped by the bound
	Cancelled int64 `json:"cancelled"` // waiting tickets cancelled
	Expired   int64 `json:"expired"`   // waiting tickets whose time was up
	Withdrawn int64 `json:"withdrawn"` // waiting tickets released: they ran by a decision that was lost
	Repeated  int64 `json:"repeated"`  // acquires of tickets seen before
	Unknown   int64 `json:"unknown"`   // releases and cancels of tickets that neither wait nor hold
	Skipped   int64 `json:"skipped"`   // sequences of a gap that turned out to have ended already
	Recovered int64 `json:"recovered"` // of the completed: slots whose release was lost, found by inspection
	Retried   int64 `json:"retried"`   // attempts after the first that were asked for by holders

	Unloggable int64 `json:"unloggable,omitempty"` // changes by hand that the rows refuse for ever
}

// InspectAfter is how long a slot is held before its holder is inspected. A lost release keeps a slot occupied no longer than
// that. A longer run costs one inspection per interval.
const InspectAfter = 5 * time.Minute

// New returns the state of a queue as its rows tell it. A ticket that the rows call granted holds a slot, and its grant is
// still to be delivered: a second delivery is harmless, a holder that gets none is stuck. The grant belongs to this
// generation, because decisions of earlier generations are not valid any more. New decides nothing: see [State.Rebuilt].
func New(snapshot attune.QueueSnapshot) *State {
	s := &State{
		policy:   snapshot.Policy,
		mode:     cmp.Or(snapshot.Mode, attune.QueueOpen),
		override: snapshot.Override,
		changes:  snapshot.LastChange, inspectAfter: InspectAfter, sleep: sleep{after: SleepAfter},
		next:   snapshot.LastSequence + 1,
		grants: snapshot.LastGrant, generation: snapshot.Generation,
	}
	for _, grant := range snapshot.Holders {
		grant.Generation = snapshot.Generation
		s.holders = append(s.holders, Holder{Grant: grant})
	}
	for _, ticket := range snapshot.Waiting {
		s.enqueue(ticket)
	}
	s.counters.Accepted = int64(len(s.holders) + len(s.waiting))
	s.counters.Granted = int64(len(s.holders))
	return s
}

// Rebuilt decides for the first time about a state that [New] has made. The bound applies to every waiting ticket: the rows do
// not tell which tickets joined a line that was already full.
func (s *State) Rebuilt(now time.Time) {
	s.decide(now)
	s.bound(len(s.waiting))
}

// Policy is the policy in force.
func (s *State) Policy() attune.QueuePolicy { return s.policy }

// Mode is what the queue does now. A limit of 0 stops grants in every mode.
func (s *State) Mode() attune.QueueMode { return s.mode }

// Limit is how many may hold a slot now: the override's limit if there is one, otherwise the policy's.
func (s *State) Limit() int {
	if s.override != nil {
		return s.override.Limit
	}
	return s.policy.Limit
}

// SetInspectAfter replaces [InspectAfter] for grants to come.
func (s *State) SetInspectAfter(d time.Duration) { s.inspectAfter = d }

// Override is the limit set by hand, if there is one.
func (s *State) Override() (attune.LimitOverride, bool) {
	if s.override == nil {
		return attune.LimitOverride{}, false
	}
	return *s.override, true
}

// Counters is what happened so far.
func (s *State) Counters() Counters { return s.counters }

// Active is the number of slots held.
func (s *State) Active() int { return len(s.holders) }

// Waiting is the number of tickets in the line, those behind a gap included.
func (s *State) Waiting() int { return len(s.waiting) + len(s.early) }

// Holders returns a copy of the holders, in grant order.
func (s *State) Holders() []Holder { return slices.Clone(s.holders) }

// Front returns a copy of the first n waiting tickets, in the order in which they will be granted.
func (s *State) Front(n int) []attune.Ticket {
	front := slices.Clone(s.waiting[:min(n, len(s.waiting))])
	return append(front, s.early[:min(n-len(front), len(s.early))]...)
}

// Position is the place of a waiting enforcement: 1 is next. It is 0 for one that does not wait.
func (s *State) Position(id attune.EnforcementID) int {
	for i, ticket := range s.waiting {
		if ticket.Enforcement == id {
			return i + 1
		}
	}
	for i, ticket := range s.early {
		if ticket.Enforcement == id {
			return len(s.waiting) + i + 1
		}
	}
	return 0
}

// Awaits reports whether a ticket waits for a slot, or is still to arrive: the word that it was accepted may be on its way.
func (s *State) Awaits(ticket attune.Ticket) bool {
	if ticket.Sequence < s.next {
		return placeIn(s.waiting, ticket) >= 0
	}
	_, ended := slices.BinarySearch(s.skipped, ticket.Sequence)
	return !ended
}

// WakeAt is the time at which [State.Advance] has something to do, if there is one.
func (s *State) WakeAt() (time.Time, bool) {
	var at time.Time
	if len(s.waiting) > 0 && s.policy.QueueTimeout > 0 {
		at = s.deadline(s.waiting[0])
	}
	if s.override != nil {
		at = Earlier(at, s.override.Until)
	}
	if s.mode != attune.QueuePaused {
		for i := range s.holders {
			at = Earlier(at, s.holders[i].NotBefore)
		}
	}
	return at, !at.IsZero()
}

// Earlier is the earlier of two deadlines, of which a zero one is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// InspectAt is the earliest time at which [State.Suspects] returns a grant. It is false if no ticket holds a slot.
func (s *State) InspectAt() (time.Time, bool) {
	if len(s.holders) == 0 {
		return time.Time{}, false
	}
	next := slices.MinFunc(s.holders, func(a, b Holder) int { return a.InspectAt.Compare(b.InspectAt) })
	return next.InspectAt, true
}

func (s *State) deadline(t attune.Ticket) time.Time {
	return t.EnqueuedAt.Add(time.Duration(s.policy.QueueTimeout))
}
