package api

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// heldBy returns everything that keeps a ticket from its grant, the widest level first.
func heldBy(w attune.Wait) []Obstacle {
	var all []Obstacle
	if w.Mode == attune.QueuePaused {
		all = append(all, Obstacle{Level: heldByPause})
	}
	all = append(all, levelOfQueue(w)...)
	all = append(all, levelOfAction(w)...)
	all = append(all, levelOfLane(w)...)
	return append(all, ratesReached(w)...)
}

// member is one enforcement that holds a slot or waits in front.
type member struct {
	action attune.Ref
	lane   int32
}

// levelObstacle returns a level with the holders and the tickets in front that belong to it.
func levelObstacle(level string, count attune.LevelCount, limit int, w attune.Wait, belongs func(member) bool) Obstacle {
	o := Obstacle{Level: level, Limit: &limit, Active: &count.Active, Ahead: count.Ahead}
	for _, h := range w.Holders {
		if len(o.Holders) < attune.MaxWaitList && belongs(member{h.Action, h.Lane}) {
			o.Holders = append(o.Holders, WaitHolder{
				Enforcement: h.Enforcement, Action: h.Action, Key: keyText(h.LaneName), HeldSince: h.HeldSince,
				Execution: h.Execution, Status: h.Status, Worker: h.Worker, RetryAt: h.RetryAt,
			})
		}
	}
	for _, t := range w.InFront {
		if len(o.InFront) < attune.MaxWaitList && belongs(member{t.Action, t.Lane}) {
			o.InFront = append(o.InFront, WaitInFront{
				Enforcement: t.Enforcement, Action: t.Action, Key: keyText(t.LaneName), Sequence: t.Sequence, QueuedAt: t.QueuedAt,
			})
		}
	}
	return o
}

// levelOfQueue returns the queue if it has no room, or if every ticket in front must be granted first.
func levelOfQueue(w attune.Wait) []Obstacle {
	skip, full := w.Policy.Across == attune.AcrossSkip, w.Queue.Active >= int64(w.Limit())
	if !full && (skip || w.Queue.Ahead == 0) {
		return nil
	}
	count := w.Queue
	if skip {
		count.Ahead = w.First
	}
	o := levelObstacle(heldByQueue, count, w.Limit(), w, func(member) bool { return true })
	o.Until = untilOf(w.Override)
	return []Obstacle{o}
}

func levelOfAction(w attune.Wait) []Obstacle {
	limit := w.Policy.Of(w.Ticket.Action).Limit
	if limit == nil || w.Action.Active < int64(*limit) {
		return nil
	}
	o := levelObstacle(heldByAction, w.Action, *limit, w, func(m member) bool { return m.action == w.ActionRef })
	o.Action = w.ActionRef
	return []Obstacle{o}
}

// levelOfLane returns the lane if it has no room, or if others of it come first.
func levelOfLane(w attune.Wait) []Obstacle {
	limit := w.LaneLimit()
	full := limit != nil && w.Lane.Active >= int64(*limit)
	if w.Ticket.Lane == 0 || !full && w.Lane.Ahead == 0 {
		return nil
	}
	o := levelObstacle(heldByLane, w.Lane, 0, w, func(m member) bool { return m.lane == w.Ticket.Lane })
	o.Limit, o.Until, o.Key = limit, untilOf(w.LaneOverride), keyText(w.LaneName)
	return []Obstacle{o}
}

func untilOf(o *attune.LimitOverride) *time.Time {
	if o == nil || o.Until.IsZero() {
		return nil
	}
	return &o.Until
}

// ratesReached returns the rates of starts that allow no start at the instant of the wait.
func ratesReached(w attune.Wait) []Obstacle {
	all := ratesOf(w, "", w.Policy.Rates, func(attune.ActionID) bool { return true })
	return append(all, ratesOf(w, w.ActionRef, w.Policy.Of(w.Ticket.Action).Rates,
		func(id attune.ActionID) bool { return id == w.Ticket.Action })...)
}

func ratesOf(w attune.Wait, action attune.Ref, rates []attune.StartRate, counts func(attune.ActionID) bool) (all []Obstacle) {
	starts := startsOf(w.Starts, counts)
	ahead := w.Queue.Ahead
	if action != "" {
		ahead = w.Action.Ahead
	}
	for _, rate := range rates {
		if opensAt := rate.OpensAt(starts); opensAt.After(w.At) {
			active := startsIn(rate, starts, w.At)
			all = append(all, Obstacle{
				Level: heldByRate, Rate: rate.Name, Action: action, Limit: &rate.Limit, Window: &rate.Window,
				Active: &active, OpensAt: &opensAt,
				Ahead: ahead,
			})
		}
	}
	return all
}

// startsOf returns the starts that a rate counts, in order.
func startsOf(all []attune.ActionStarts, counts func(attune.ActionID) bool) (starts []int64) {
	for _, of := range all {
		if counts(of.Action) {
			starts = append(starts, of.At...)
		}
	}
	slices.Sort(starts)
	return starts
}

// startsIn counts the starts in the window of a rate that ends at a time.
func startsIn(rate attune.StartRate, starts []int64, at time.Time) (n int64) {
	for _, start := range starts {
		if rate.Leaves(start).After(at) {
			n++
		}
	}
	return n
}
