package semaphore

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// State is the complete state of one queue. Create it with [New]; the zero value is not usable. A State is not safe for
// concurrent use.
//
// Stored in Temporal's history: its JSON form is in the input of every run of the queue's workflow.
type State struct {
	policy   attune.QueuePolicy
	mode     attune.QueueMode
	override *attune.LimitOverride // the manual limit; nil if the policy's limit is in force

	laneLimits []attune.LaneLimit // the manual limits of lanes, in the order of the lanes

	next      int64 // the lowest unseen sequence: every lower one waits, holds a slot, or has ended
	lastGrant int64 // the number of the last grant
	heldAfter int64 // see HoldAfter; 0 holds nothing

	generation int64 // how often the queue was rebuilt; part of every grant
	accepted   int64 // between New and Rebuilt: see [attune.QueueSnapshot]

	holders    []Holder            // in grant order; see addHolder and dropHolderAt
	freed      []int64             // the sequences of the slots that became free since the last grant
	line       line                // the waiting tickets, without gaps but for tickets that have ended
	joined     []attune.Ticket     // newcomers that joined the line in the current operation, in sequence order
	replacing  []int32             // lanes with arrivals or returns in the current operation: see replaceOthers
	logs       []startLog          // of the rates of starts
	openedAt   time.Time           // when the rates were last opened and closed; zero without rates
	early      []attune.Ticket     // tickets behind a gap, in sequence order, all above next
	endedEarly []int64             // sequences above next whose tickets arrived and ended behind a gap, in order
	unseen     []place             // places above next that ended before a ticket arrived: see place
	settling   []attune.Settlement // tickets that ended without a grant, not yet recorded
	recorded   int64               // the number of recorded settlements
	reacquired []attune.Ticket     // ended tickets that were acquired again; see Reacquired

	lastChange        int64           // the number of the last manual change
	unrecordedChanges []pendingChange // in number order
	made              []madeRequest   // the latest change requests, and the requests of all unrecorded changes, in number order

	inspectAfter time.Duration // see InspectAfter
	sleep        sleep

	counters Counters
}

// Holder is a ticket that holds a slot.
//
// Stored in Temporal's history: part of the carried [State].
type Holder struct {
	attune.Grant
	Delivered bool      `json:"delivered"`  // whether the grant has reached its enforcement
	InspectAt time.Time `json:"inspect_at"` // when the holder is due for inspection
	// SettledBefore is the number of settlements decided before the grant. Until all of them are recorded, the grant is
	// tentative: a row can show that a settled ticket holds the slot.
	SettledBefore int64 `json:"settled_before,omitempty"`
	Replaced      bool  `json:"replaced,omitempty"`     // a later newcomer of the lane replaces the holder
	AskedToEnd    bool  `json:"asked_to_end,omitempty"` // the execution of a replaced holder has been asked to end
}

// Counters count events since the queue was first loaded. At every moment
//
//	Accepted = waiting + holders + Completed + Rejected + Cancelled + Expired + Withdrawn
//
// Stored in Temporal's history: part of the carried [State].
type Counters struct {
	Accepted  int64 `json:"accepted"`  // tickets that joined the line or were loaded
	Granted   int64 `json:"granted"`   // grants decided
	Completed int64 `json:"completed"` // slots released
	Rejected  int64 `json:"rejected"`  // newcomers refused, and waiting tickets dropped
	Cancelled int64 `json:"cancelled"` // waiting tickets cancelled
	Expired   int64 `json:"expired"`   // waiting tickets whose deadline passed
	Withdrawn int64 `json:"withdrawn"` // waiting tickets released: they ran under a grant whose decision was lost
	Repeated  int64 `json:"repeated"`  // acquires of tickets that were seen before
	Unknown   int64 `json:"unknown"`   // releases, retries and cancels that match no ticket
	Skipped   int64 `json:"skipped"`   // sequences of a gap whose tickets had already ended
	Recovered int64 `json:"recovered"` // completed slots whose release was lost; an inspection found them
	Retried   int64 `json:"retried"`   // retries that keep their slots

	Unrecordable int64 `json:"unrecordable,omitempty"` // manual changes that the database refuses permanently
}

// New returns the state of a queue from its rows. Every granted ticket holds a slot, and its grant is delivered again: a second
// delivery is harmless, but a holder without a grant is stuck. The grants get the generation of the snapshot, because those of
// earlier generations are void. New decides nothing: see [State.Rebuilt].
func New(snapshot attune.QueueSnapshot) *State {
	s := &State{
		mode:       cmp.Or(snapshot.Mode, attune.QueueOpen),
		override:   snapshot.Override,
		lastChange: snapshot.LastChange, inspectAfter: InspectAfter, sleep: sleep{after: SleepAfter},
		next:      snapshot.LastSequence + 1,
		lastGrant: snapshot.LastGrant, generation: snapshot.Generation, accepted: snapshot.Accepted,
		line: newLine(),
	}
	s.usePolicy(snapshot.Policy)
	s.useLaneLimits(snapshot.LaneLimits)
	s.loadStarts(snapshot.Starts)
	for _, grant := range snapshot.Holders {
		grant.Generation = snapshot.Generation
		s.addHolder(Holder{Grant: grant})
	}
	for _, ticket := range snapshot.Waiting {
		s.line.append(ticket)
	}
	s.counters.Accepted = int64(len(s.holders) + s.line.length)
	s.counters.Granted = int64(len(s.holders))
	return s
}

// Rebuilt makes the first decisions on a state from [New], which may have been encoded meanwhile. The bounds of the line and when_busy
// apply to the newcomers: the waiting tickets above [attune.QueueSnapshot].Accepted.
func (s *State) Rebuilt(now time.Time) {
	for ticket := range s.line.all() {
		if ticket.Sequence > s.accepted {
			s.join(ticket)
		}
	}
	s.accepted = 0
	s.proceed(now)
}

// Policy returns the policy in force.
func (s *State) Policy() attune.QueuePolicy { return s.policy }

// Mode returns the current mode. A limit of 0 stops grants in every mode.
func (s *State) Mode() attune.QueueMode { return s.mode }

// Limit returns the maximum number of holders: the manual limit or the policy's.
func (s *State) Limit() int {
	if s.override != nil {
		return s.override.Limit
	}
	return s.policy.Limit
}

// Override returns the manual limit, if there is one.
func (s *State) Override() (attune.LimitOverride, bool) {
	if s.override == nil {
		return attune.LimitOverride{}, false
	}
	return *s.override, true
}

// Counters returns the counters.
func (s *State) Counters() Counters { return s.counters }

// Active returns the number of holders.
func (s *State) Active() int { return len(s.holders) }

// Waiting returns the number of waiting tickets, including tickets behind a gap.
func (s *State) Waiting() int { return s.line.length + len(s.early) }

// Holders returns a copy of the holders, in grant order.
func (s *State) Holders() []Holder { return slices.Clone(s.holders) }

// Front returns a copy of the first n waiting tickets, in sequence order.
func (s *State) Front(n int) []attune.Ticket {
	front := make([]attune.Ticket, 0, min(n, s.Waiting()))
	for ticket := range s.inLine() {
		if len(front) == n {
			break
		}
		front = append(front, ticket)
	}
	return front
}

// Position returns the position of an enforcement in the line: 1 is next, 0 means that it does not wait.
func (s *State) Position(id attune.EnforcementID) int {
	position, _ := s.Find(id)
	return position
}

// Find returns the position and the ticket of a waiting enforcement: 1 is next, 0 means that it does not wait.
func (s *State) Find(id attune.EnforcementID) (position int, ticket attune.Ticket) {
	for ticket := range s.inLine() {
		position++
		if ticket.Enforcement == id {
			return position, ticket
		}
	}
	return 0, attune.Ticket{}
}

// inLine yields the waiting tickets in sequence order, including tickets behind a gap.
func (s *State) inLine() iter.Seq[attune.Ticket] {
	return func(yield func(attune.Ticket) bool) {
		for ticket := range s.line.all() {
			if !yield(ticket) {
				return
			}
		}
		for _, ticket := range s.early {
			if !yield(ticket) {
				return
			}
		}
	}
}

// WakeAt returns the next deadline: the queue timeout of the first ticket, the end of a manual limit of the queue or of a lane,
// the delayed start of a retry, the time at which a rate of starts allows the next one, or the next check for tickets that have
// waited for long. At that time the caller calls [State.Advance].
func (s *State) WakeAt() (time.Time, bool) {
	at := s.sleep.checkAt
	if s.line.length > 0 && s.policy.QueueTimeout > 0 {
		at = attune.Earlier(at, s.deadline(s.line.waiters[s.line.first].Ticket))
	}
	if s.override != nil {
		at = attune.Earlier(at, s.override.Until)
	}
	for _, limit := range s.laneLimits {
		at = attune.Earlier(at, limit.Until)
	}
	if s.mode != attune.QueuePaused {
		at = attune.Earlier(at, s.nextStart())
	}
	return at, !at.IsZero()
}

func (s *State) deadline(t attune.Ticket) time.Time {
	return t.EnqueuedAt.Add(time.Duration(s.policy.QueueTimeout))
}
