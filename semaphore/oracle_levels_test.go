package semaphore_test

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// rateName names a rate of starts of an action, or of the queue (0).
type rateName struct {
	action attune.ActionID
	name   string
}

// eligible returns the first ticket that may be granted in a queue with room.
func (o *oracle) eligible(now time.Time) *entry {
	lanes := map[int32]bool{} // with a ticket in front
	for i := range o.entries {
		e := &o.entries[i]
		if e.place != waiting || lanes[e.ticket.Lane] {
			continue
		}
		lanes[e.ticket.Lane] = true
		limits := o.limits(e.ticket)
		inLane := o.count(func(h entry) bool { return h.place == holding && h.ticket.Lane == e.ticket.Lane })
		ofAction := o.count(func(h entry) bool { return h.place == holding && h.ticket.Action == e.ticket.Action })
		perLane := limits.LimitPerKey
		if manual, set := o.manual[e.ticket.Lane]; set {
			perLane = &manual.Limit
		}
		full := perLane != nil && inLane >= *perLane || limits.Limit != nil && ofAction >= *limits.Limit
		if !full && o.rateAllows(now, e.ticket.Action) {
			return e
		}
		if o.policy.Across != attune.AcrossSkip {
			return nil
		}
	}
	return nil
}

func (o *oracle) limits(ticket attune.Ticket) attune.ActionPolicy {
	for _, limits := range o.policy.Actions {
		if limits.Action == ticket.Action {
			return limits
		}
	}
	return attune.ActionPolicy{}
}

// rates yields the rates that the starts of an action pass.
func (o *oracle) rates(action attune.ActionID) map[rateName]attune.StartRate {
	rates := map[rateName]attune.StartRate{}
	for _, rate := range o.policy.Rates {
		rates[rateName{0, rate.Name}] = rate
	}
	for _, rate := range o.limits(attune.Ticket{Action: action}).Rates {
		rates[rateName{action, rate.Name}] = rate
	}
	return rates
}

// rateAllows counts the starts in the window that ends now.
func (o *oracle) rateAllows(now time.Time, action attune.ActionID) bool {
	for name, rate := range o.rates(action) {
		inWindow := 0
		for _, at := range o.starts[name] {
			if at.After(now.Add(-time.Duration(rate.Window))) {
				inWindow++
			}
		}
		if inWindow >= rate.Limit {
			return false
		}
	}
	return true
}

// start counts a start. A rate then forgets the starts that have left its window.
func (o *oracle) start(now time.Time, action attune.ActionID) {
	for name, rate := range o.rates(action) {
		o.starts[name] = slices.DeleteFunc(append(slices.Clone(o.starts[name]), now), func(at time.Time) bool {
			return !at.After(now.Add(-time.Duration(rate.Window)))
		})
	}
}

// setPolicy sets a policy. A rate with a name that stays remembers as many starts as its former limit and its next limit, within the
// windows in force at the starts.
func (o *oracle) setPolicy(policy attune.QueuePolicy) {
	o.remember(o.policy)
	o.policy = policy
	o.remember(policy)
}

// remember forgets the starts that no rate of a policy needs.
func (o *oracle) remember(policy attune.QueuePolicy) {
	kept := map[rateName][]time.Time{}
	keep := func(action attune.ActionID, rates []attune.StartRate) {
		for _, rate := range rates {
			all := o.starts[rateName{action, rate.Name}]
			kept[rateName{action, rate.Name}] = all[max(0, len(all)-rate.Limit):]
		}
	}
	keep(0, policy.Rates)
	for _, limits := range policy.Actions {
		keep(limits.Action, limits.Rates)
	}
	o.starts = kept
}
