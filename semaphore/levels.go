package semaphore

import (
	"slices"

	"github.com/attune-go/attune"
)

// levels are the lanes and the actions of a queue that have waiting tickets or holders, with their limits. Empty ones are
// forgotten when the line is swept.
//
// A lane is ready while it has a waiting ticket, and fewer holders than its manual limit or the limit of that ticket's action for a
// lane. An action
// can start while it has room and no rate of its starts is used up. The ready lanes of an action are in a heap, and the
// actions that can start and have a ready lane are in another heap. So the ticket to grant is on top, and a lane that
// cannot be granted costs nothing.
type levels struct {
	lanes      map[int32]*lane
	actions    map[attune.ActionID]*action
	laneList   []*lane   // the lanes in the order of their arrival: the order of a map is not the same on every replay
	actionList []*action // the actions, likewise
	ready      byHead[*action]
	limits     map[attune.ActionID]attune.ActionPolicy
	manual     map[int32]int            // the manual limits of lanes
	closed     map[attune.ActionID]bool // the actions with a rate that is used up; wholeQueue if that is one of the queue
}

// lane is one lane of a queue.
type lane struct {
	number      int32
	first, last int // indices of the first and the last waiter; meaningless without waiters
	waiting     int
	holders     int
	readyIn     *action // the action of the first waiter, while the lane is ready; nil otherwise
	index       int     // in readyIn.ready
}

func (l *lane) slot() *int { return &l.index }

// action is one action of a queue.
type action struct {
	id      attune.ActionID
	waiting int
	holders int
	ready   byHead[*lane]
	index   int // in levels.ready
}

func (a *action) slot() *int { return &a.index }

func newLevels() levels {
	return levels{
		lanes: make(map[int32]*lane), actions: make(map[attune.ActionID]*action),
		limits: make(map[attune.ActionID]attune.ActionPolicy), manual: make(map[int32]int), closed: make(map[attune.ActionID]bool),
	}
}

// lane returns the lane with a number.
func (v *levels) lane(number int32) *lane {
	l := v.lanes[number]
	if l == nil {
		l = &lane{number: number}
		v.lanes[number], v.laneList = l, append(v.laneList, l)
	}
	return l
}

// action returns the action with an id.
func (v *levels) action(id attune.ActionID) *action {
	a := v.actions[id]
	if a == nil {
		a = &action{id: id}
		v.actions[id], v.actionList = a, append(v.actionList, a)
	}
	return a
}

// eligible returns the ready lane whose first ticket has the lowest sequence of all; nil without one.
func (v *levels) eligible() *lane {
	if v.ready.empty() {
		return nil
	}
	return v.ready.top().ready.top()
}

// place decides whether a lane with waiting tickets is ready. first is its first ticket.
func (v *levels) place(l *lane, first attune.Ticket) {
	a := v.action(first.Action)
	if limit := v.limitOfLane(l.number, a.id); limit != nil && l.holders >= *limit {
		v.unplace(l)
		return
	}
	if l.readyIn != a {
		v.unplace(l)
	}
	l.readyIn = a
	a.ready.set(l, first.Sequence)
	v.placeAction(a)
}

// limitOfLane returns the limit of a lane whose first ticket asks for an action; nil means any number.
func (v *levels) limitOfLane(number int32, first attune.ActionID) *int {
	if limit, set := v.manual[number]; set {
		return &limit
	}
	return v.limits[first].LimitPerKey
}

// unplace makes a lane not ready.
func (v *levels) unplace(l *lane) {
	if a := l.readyIn; a != nil {
		a.ready.remove(l)
		l.readyIn = nil
		v.placeAction(a)
	}
}

// forgetEmpty forgets the lanes and actions without waiting tickets and holders.
func (v *levels) forgetEmpty() {
	v.laneList = slices.DeleteFunc(v.laneList, func(l *lane) bool {
		empty := l.waiting == 0 && l.holders == 0
		if empty {
			delete(v.lanes, l.number)
		}
		return empty
	})
	v.actionList = slices.DeleteFunc(v.actionList, func(a *action) bool {
		empty := a.waiting == 0 && a.holders == 0
		if empty {
			delete(v.actions, a.id)
		}
		return empty
	})
}

// placeAction decides whether an action can start.
func (v *levels) placeAction(a *action) {
	limit := v.limits[a.id].Limit
	if full := limit != nil && a.holders >= *limit; full || v.closed[a.id] || a.ready.empty() {
		v.ready.remove(a)
		return
	}
	v.ready.set(a, a.ready.lowest())
}

// setLimits replaces the limits, and opens all actions. The caller places all lanes and actions again.
func (v *levels) setLimits(policy attune.QueuePolicy) {
	clear(v.closed)
	clear(v.limits)
	for _, limits := range policy.Actions {
		v.limits[limits.Action] = limits
	}
}

// setClosed opens or closes an action.
func (v *levels) setClosed(id attune.ActionID, closed bool) {
	if v.closed[id] == closed {
		return
	}
	if v.closed[id] = closed; !closed {
		delete(v.closed, id)
	}
	if a := v.actions[id]; a != nil {
		v.placeAction(a)
	}
}

// clearWaiting removes all waiting tickets.
func (v *levels) clearWaiting() {
	for _, l := range v.laneList {
		l.waiting = 0
		v.unplace(l)
	}
	for _, a := range v.actionList {
		a.waiting = 0
		v.placeAction(a)
	}
}

func (v *levels) holdersOfLane(number int32) int {
	if l := v.lanes[number]; l != nil {
		return l.holders
	}
	return 0
}

func (v *levels) holdersOfAction(id attune.ActionID) int {
	if a := v.actions[id]; a != nil {
		return a.holders
	}
	return 0
}
