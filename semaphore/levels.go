package semaphore

import "github.com/attune-go/attune"

// levels are the lanes and the actions of a queue that have waiting tickets or holders, with their limits.
//
// A lane is ready while it has a waiting ticket, and fewer holders than the limit of that ticket's action for a lane. An action
// can start while it has room and no rate of its starts is used up. The ready lanes of an action are in a heap, and the
// actions that can start and have a ready lane are in another heap. So the ticket to grant is on top, and a lane that
// cannot be granted costs nothing.
type levels struct {
	lanes   map[int32]*lane
	actions map[attune.ActionID]*action
	ready   byHead[*action]
	limits  map[attune.ActionID]attune.ActionLimits
	closed  map[attune.ActionID]bool // the actions with a rate that is used up; wholeQueue if that is one of the queue
}

// lane is one lane of a queue.
type lane struct {
	number      int32
	first, last int // indices of the first and the last waiter; meaningless without waiters
	waiting     int
	holders     int
	sequence    int64   // of the first waiter, while the lane is ready
	readyIn     *action // the action of the first waiter, while the lane is ready; nil otherwise
	index       int     // in readyIn.ready
}

func (l *lane) head() int64 { return l.sequence }
func (l *lane) slot() *int  { return &l.index }

// action is one action of a queue.
type action struct {
	id      attune.ActionID
	waiting int
	holders int
	ready   byHead[*lane]
	index   int // in levels.ready
}

func (a *action) head() int64 { return a.ready.top().sequence }
func (a *action) slot() *int  { return &a.index }

func newLevels() levels {
	return levels{
		lanes: make(map[int32]*lane), actions: make(map[attune.ActionID]*action),
		limits: make(map[attune.ActionID]attune.ActionLimits), closed: make(map[attune.ActionID]bool),
	}
}

// lane returns the lane with a number.
func (v *levels) lane(number int32) *lane {
	if v.lanes[number] == nil {
		v.lanes[number] = &lane{number: number}
	}
	return v.lanes[number]
}

// action returns the action with an id.
func (v *levels) action(id attune.ActionID) *action {
	if v.actions[id] == nil {
		v.actions[id] = &action{id: id}
	}
	return v.actions[id]
}

// eligible returns the ready lane whose first ticket has the lowest sequence of all; nil without one.
func (v *levels) eligible() *lane {
	if v.ready.Len() == 0 {
		return nil
	}
	return v.ready.top().ready.top()
}

// place decides whether a lane with waiting tickets is ready. first is its first ticket.
func (v *levels) place(l *lane, first attune.Ticket) {
	a := v.action(first.Action)
	if limit := v.limits[a.id].LimitPerKey; limit != nil && l.holders >= *limit {
		v.unplace(l)
		return
	}
	if l.readyIn != a {
		v.unplace(l)
	}
	l.sequence, l.readyIn = first.Sequence, a
	a.ready.set(l)
	v.placeAction(a)
}

// unplace makes a lane not ready. It forgets the lane if that is empty.
func (v *levels) unplace(l *lane) {
	if a := l.readyIn; a != nil {
		a.ready.remove(l)
		l.readyIn = nil
		v.placeAction(a)
	}
	if l.waiting == 0 && l.holders == 0 {
		delete(v.lanes, l.number)
	}
}

// placeAction decides whether an action can start. It forgets the action if that is empty.
func (v *levels) placeAction(a *action) {
	limit := v.limits[a.id].Limit
	switch full := limit != nil && a.holders >= *limit; {
	case a.waiting == 0 && a.holders == 0:
		v.ready.remove(a)
		delete(v.actions, a.id)
	case full || v.closed[a.id] || a.ready.Len() == 0:
		v.ready.remove(a)
	default:
		v.ready.set(a)
	}
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
	for _, l := range v.lanes {
		l.waiting = 0
		v.unplace(l)
	}
	for _, a := range v.actions {
		a.waiting = 0
		v.placeAction(a)
	}
}
