package replay

import (
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// Plan is what a simulation runs under.
type Plan struct {
	// Policies are in force one after the other. The first one is in force from the start.
	Policies []Policy
	// Choices are the lanes and the charges of the arrivals. nil leaves the recorded lanes, and charges nothing.
	Choices *Choices
	// Gates judge the arrivals, those included that a gate has really refused. With nil, the gates decide as they did. Gates need Choices.
	Gates *Gates
}

// AsRecorded is the plan of the policies that were in force.
func AsRecorded(h History) Plan { return Plan{Policies: h.Policies} }

// Simulate replays arrivals, holds and manual changes under a plan. See the package documentation.
func Simulate(h History, plan Plan) Outcome {
	s := newSimulation(h, plan)
	for len(s.events) > 0 {
		s.step()
	}
	for s.wake(time.Time{}) {
	}
	return s.finish()
}

// simulation is a replay in virtual time. The state has sequences of its own, in the order of the arrivals.
type simulation struct {
	history History
	plan    Plan
	state   *semaphore.State
	lag     time.Duration
	holds   holds
	gates   *gatekeeper // nil if the gates decide as they did

	events   events
	places   []int       // index in history.Places, by the sequence of the state
	sequence []int64     // of the state, by index in history.Places; 0 before the arrival
	next     map[int]int // the index of the place that an enforcement takes after another
	follows  []bool      // the place is one that an enforcement takes after another, by index
	ends     []time.Time // when the hold of a place ends, by index; zero without a hold that ends
	queued   []time.Time // when a place was taken, by index; zero before the arrival

	at      time.Time
	grants  int64 // the number of the last grant seen
	waited  []time.Duration
	outcome Outcome
	meter   *meter
}

func newSimulation(h History, plan Plan) *simulation {
	if plan.Gates != nil {
		h.Places = arrivals(h)
	}
	s := &simulation{
		history: h, plan: plan, lag: h.Lag(), at: h.From, places: []int{-1},
		sequence: make([]int64, len(h.Places)), ends: make([]time.Time, len(h.Places)), queued: make([]time.Time, len(h.Places)),
		next: map[int]int{}, follows: make([]bool, len(h.Places)),
		outcome: Outcome{Left: map[attune.Reason]int{}},
	}
	s.holds = newHolds(h, s.lag)
	if plan.Gates != nil {
		s.gates = newGatekeeper(*plan.Gates, plan.Choices)
	} else {
		s.outcome.refuse(h.Refused)
	}
	s.meter = &meter{from: h.From, to: h.To, at: h.From, outcome: &s.outcome}
	s.follow()
	for i := range plan.Policies[1:] {
		s.push(event{at: plan.Policies[i+1].At, kind: policyEvent, index: i + 1})
	}
	for i, change := range h.Changes {
		s.push(event{at: change.At, kind: changeEvent, index: i})
	}
	s.start()
	return s
}

// arrivals returns the places together with the refused arrivals, in the order of their times.
func arrivals(h History) []Place {
	all := slices.Concat(h.Places, h.Refused)
	slices.SortStableFunc(all, func(a, b Place) int { return a.EnqueuedAt.Compare(b.EnqueuedAt) })
	return all
}

// follow finds the places that enforcements take one after the other. The first place of each arrives as recorded.
func (s *simulation) follow() {
	latest := make(map[attune.EnforcementID]int, len(s.history.Places))
	for i, place := range s.history.Places {
		if s.gone(i) {
			continue
		}
		if before, known := latest[place.Enforcement]; known {
			s.next[before], s.follows[i] = i, true
		} else if !place.EnqueuedAt.Before(s.history.From) {
			s.push(event{at: place.EnqueuedAt.Add(max(0, s.lag)), kind: arrivalEvent, index: i})
		}
		latest[place.Enforcement] = i
	}
}

// gone reports whether the queue had learned before the period that the place with an index gave its slot back.
func (s *simulation) gone(i int) bool {
	place, own := s.history.Places[i], s.holds.own[i]
	return place.Grant != nil && own >= 0 && place.Grant.GrantedAt.Add(own).Before(s.history.From)
}

// start lets the places of the start of the period wait or hold their slots.
func (s *simulation) start() {
	snapshot := attune.QueueSnapshot{Policy: s.plan.Policies[0].QueuePolicy, Mode: s.history.Mode, Override: s.history.Override}
	for i, place := range s.history.Places {
		if place.heldAt(s.history.From) && !s.gone(i) {
			snapshot.LastGrant++
			snapshot.Holders = append(snapshot.Holders, attune.Grant{Ticket: s.ticket(i), Number: snapshot.LastGrant})
			s.hold(i, place.Grant.GrantedAt)
			s.runs(place)
		}
	}
	for i, place := range s.history.Places {
		if !place.heldAt(s.history.From) && !s.follows[i] && place.EnqueuedAt.Before(s.history.From) {
			snapshot.Waiting = append(snapshot.Waiting, s.ticket(i))
		}
	}
	snapshot.LastSequence = int64(len(s.places) - 1)
	s.grants = snapshot.LastGrant
	s.state = semaphore.New(snapshot)
	s.state.SetSleepAfter(0)
	s.state.Rebuilt(s.at)
	s.collect()
}

// ticket returns the next ticket of the state, for the place with an index.
func (s *simulation) ticket(i int) attune.Ticket {
	place := s.history.Places[i]
	ticket := place.Ticket
	ticket.Sequence = int64(len(s.places))
	if s.follows[i] {
		ticket.EnqueuedAt = s.at
	}
	s.queued[i] = ticket.EnqueuedAt
	if place.Attempt > 1 {
		s.runs(place)
	}
	if s.plan.Choices != nil {
		ticket.Lane = s.plan.Choices.lane(place)
	}
	s.sequence[i] = ticket.Sequence
	s.places = append(s.places, i)
	return ticket
}

func (s *simulation) push(e event) { s.events.push(e) }

// step makes what happens next, and everything of the same kind at the same instant.
func (s *simulation) step() {
	if s.wake(s.events[0].at) {
		return
	}
	first := s.events[0]
	s.at = attune.Later(s.at, first.at)
	s.meter.until(s.at)
	var released, arrived []attune.Ticket
	for len(s.events) > 0 && s.events[0].at.Equal(first.at) && s.events[0].kind == first.kind {
		switch e := s.events.pop(); e.kind {
		case policyEvent:
			policy := s.plan.Policies[e.index].QueuePolicy
			s.state.SetPolicy(s.at, policy)
		case changeEvent:
			s.change(s.history.Changes[e.index])
		case releaseEvent:
			if s.ends[e.index].Equal(e.at) {
				released = append(released, s.known(e.index))
				s.requeue(e.index)
			}
		case arrivalEvent:
			if s.admits(e.index) {
				arrived = append(arrived, s.ticket(e.index))
			}
		}
	}
	if len(released) > 0 {
		s.state.Release(s.at, released)
	}
	if len(arrived) > 0 {
		s.state.Acquire(s.at, arrived)
	}
	s.collect()
}

// admits reports whether the gates admit the place with an index. A retry is no acceptance, so it passes.
func (s *simulation) admits(i int) bool {
	place := s.history.Places[i]
	if s.gates == nil || place.Attempt > 1 {
		return true
	}
	chosen := s.plan.Choices.byID[place.Enforcement]
	reason, admitted := chosen.refused, chosen.refused == ""
	if admitted {
		reason, admitted = s.gates.admit(place.Enforcement, place.EnqueuedAt, chosen.charges)
	}
	if !admitted {
		s.outcome.Left[reason]++
	}
	return admitted
}

// runs keeps the units of a place that runs.
func (s *simulation) runs(place Place) {
	if s.gates != nil {
		s.gates.runs(place.Enforcement)
	}
}

// wake makes the decision that is due before a time, if there is one; a zero time is later than all others.
func (s *simulation) wake(before time.Time) bool {
	at, ok := s.state.WakeAt()
	if !ok || !before.IsZero() && !at.Before(before) {
		return false
	}
	s.at = attune.Later(s.at, at)
	s.meter.until(s.at)
	s.state.Advance(s.at)
	s.collect()
	return true
}

// change makes a recorded change.
func (s *simulation) change(change attune.QueueChange) {
	request, ok := requestOf(change)
	if change.Kind == attune.ChangeCancel {
		request.Ticket, ok = s.waits(change.Enforcement)
	}
	if ok {
		_, _ = s.state.Change(s.at, request) // a change without effect is refused
		s.state.ChangesRecorded(1)
	}
}

// waits returns the ticket of an enforcement that has arrived and was not granted.
func (s *simulation) waits(id attune.EnforcementID) (attune.Ticket, bool) {
	_, ticket := s.state.Find(id)
	return ticket, ticket.Enforcement != 0
}

// known returns what identifies the ticket of the place with an index.
func (s *simulation) known(i int) attune.Ticket {
	return attune.Ticket{Enforcement: s.history.Places[i].Enforcement, Sequence: s.sequence[i]}
}

// collect takes the decisions of the state: grants, ends without a grant, and holders that must end.
func (s *simulation) collect() {
	for _, grant := range s.state.GrantsAfter(s.grants) {
		i := s.places[grant.Sequence]
		s.grants = grant.Number
		s.outcome.Granted++
		s.outcome.Order = append(s.outcome.Order, s.history.Places[i].Sequence)
		s.waited = append(s.waited, max(0, s.at.Sub(attune.Later(s.queued[i], s.history.From))))
		s.hold(i, s.at)
		s.runs(s.history.Places[i])
	}
	settled := s.state.UnrecordedSettlements(math.MaxInt)
	for _, settlement := range settled {
		s.outcome.Left[settlement.Reason]++
		if s.gates != nil {
			s.gates.refund(settlement.Enforcement)
		}
	}
	s.state.SettlementsRecorded(s.at, len(settled), nil)
	for _, grant := range s.toEnd() {
		i := s.places[grant.Sequence]
		if end := s.at.Add(max(0, s.lag)); s.ends[i].IsZero() || end.Before(s.ends[i]) {
			s.release(i, end)
		}
		s.state.AskedToEnd([]attune.Grant{grant})
	}
	s.meter.set(s.state.Waiting(), s.state.Active(), s.state.Limit())
}

// toEnd returns the grants whose holders newcomers replace.
func (s *simulation) toEnd() []attune.Grant {
	replaces := func(p attune.ActionPolicy) bool { return p.WhenBusy == attune.BusyReplace }
	if !slices.ContainsFunc(s.state.Policy().Actions, replaces) {
		return nil
	}
	return s.state.ToEnd(s.state.Active())
}

// hold lets the place with an index hold its slot from a time on.
func (s *simulation) hold(i int, from time.Time) {
	hold, kind := s.holds.of(i)
	switch kind {
	case borrowedHold:
		s.outcome.Borrowed++
	case endlessHold:
		s.outcome.Unfinished++
		return
	case ownHold:
	}
	s.release(i, attune.Later(from.Add(hold), s.at))
}

func (s *simulation) release(i int, at time.Time) {
	s.ends[i] = at
	s.push(event{at: at, kind: releaseEvent, index: i})
}

// requeue lets the next place of the enforcement arrive as long after the release as it did.
func (s *simulation) requeue(i int) {
	next, known := s.next[i]
	if !known {
		return
	}
	after := time.Duration(0)
	if grant := s.history.Places[i].Grant; grant != nil && grant.ReleasedAt != nil {
		after = max(0, s.history.Places[next].EnqueuedAt.Sub(*grant.ReleasedAt))
	}
	s.push(event{at: s.at.Add(after), kind: arrivalEvent, index: next})
}

func (s *simulation) finish() Outcome {
	s.meter.finish()
	s.outcome.Waits = waitsOf(s.waited)
	s.outcome.Waiting = s.state.Waiting()
	return s.outcome
}
