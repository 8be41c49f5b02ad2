package proof_test

import (
	"encoding/json"
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// some draws some of the pending elements, in any order, and removes them.
func some[T any](t *rapid.T, pending *[]T) []T {
	if len(*pending) == 0 {
		return nil
	}
	drawn := rapid.Permutation(*pending).Draw(t, "order")
	n := rapid.IntRange(1, len(drawn)).Draw(t, "n")
	*pending = drawn[n:]
	return drawn[:n]
}

// arrive sends some pending tickets to the queue, in any order.
func (h *history) arrive(t *rapid.T) {
	h.state.Acquire(h.queueClock(), some(t, &h.arrivals))
}

func (h *history) arriveAll(*rapid.T) {
	h.state.Acquire(h.queueClock(), h.arrivals)
	h.arrivals = nil
}

// backfill closes the first gap with the tickets that wait according to their rows.
func (h *history) backfill(*rapid.T) {
	gap, exists := h.state.Missing()
	if !exists {
		return
	}
	var tickets []attune.Ticket
	for _, ticket := range h.waiting() {
		if ticket.Sequence >= gap.From && ticket.Sequence <= gap.To {
			tickets = append(tickets, ticket)
		}
	}
	h.state.Backfill(h.queueClock(), gap, tickets)
}

// use puts a policy into force, with the next revision.
func (h *history) use(policy attune.QueuePolicy) {
	policy.Revision = h.policy.Revision + 1
	h.policy = policy
	h.Policies = append(h.Policies, policy)
	h.state.SetPolicy(h.queueClock(), policy)
}

func (h *history) setPolicy(t *rapid.T) { h.use(h.draws(t)) }

// worlds are the kinds of policies that a queue can have, by name.
func worlds() map[string]func(*rapid.T) attune.QueuePolicy {
	return map[string]func(*rapid.T) attune.QueuePolicy{"any policy": anyPolicy, "lanes that pass": passingLanes, "one line": oneLine, "rates of starts": startRates}
}

func anyPolicy(t *rapid.T) attune.QueuePolicy {
	policy := attune.QueuePolicy{
		Limit:     rapid.IntRange(0, 4).Draw(t, "limit"),
		Across:    rapid.SampledFrom([]attune.Across{"", attune.AcrossStrict, attune.AcrossSkip, attune.AcrossSkip}).Draw(t, "across"),
		MaxQueued: rapid.IntRange(2, 8).Draw(t, "max queued"),
		Overflow:  rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest}).Draw(t, "overflow"),
		QueueTimeout: attune.Duration(rapid.SampledFrom([]time.Duration{
			0, 0, 5 * time.Second,
		}).Draw(t, "timeout")),
		Rates: drawRates(t),
	}
	for action := range rapid.IntRange(0, 2).Draw(t, "actions") {
		policy.Actions = append(policy.Actions, attune.ActionPolicy{
			Action: attune.ActionID(1 + action), Limit: drawLimit(t, "limit of the action"), LimitPerKey: drawLimit(t, "limit per key"),
			MaxQueuedPerKey: drawLimit(t, "max queued per key"), Rates: drawRates(t),
			WhenBusy: rapid.SampledFrom([]attune.WhenBusy{"", "", attune.BusySkip, attune.BusyReplace}).Draw(t, "when busy"),
		})
	}
	return policy
}

// passingLanes draws a policy under which many lanes are blocked and pass each other.
func passingLanes(t *rapid.T) attune.QueuePolicy {
	limits := rapid.SampledFrom([]int{1, 1, 1, 2})
	policy := attune.QueuePolicy{
		Limit: rapid.IntRange(2, 4).Draw(t, "limit"), Across: attune.AcrossSkip, MaxQueued: 20, Overflow: attune.OverflowReject,
		Actions: []attune.ActionPolicy{
			{Action: 1, LimitPerKey: new(limits.Draw(t, "limit per key 1"))},
			{Action: 2, LimitPerKey: new(limits.Draw(t, "limit per key 2")), Limit: new(limits.Draw(t, "limit of action 2"))},
		},
	}
	if rapid.IntRange(0, 9).Draw(t, "strict") == 0 {
		policy.Across = attune.AcrossStrict
	}
	return policy
}

// oneLine draws a policy under which nothing passes the first ticket, and tickets expire soon.
func oneLine(t *rapid.T) attune.QueuePolicy {
	return attune.QueuePolicy{
		Limit: rapid.IntRange(1, 4).Draw(t, "limit"), MaxQueued: 20, Overflow: attune.OverflowReject,
		QueueTimeout: attune.Duration(2 * time.Second), Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: drawLimit(t, "limit per key")}},
	}
}

// startRates draws a policy whose rates delay many starts. Lanes pass each other, so no decision is lost.
func startRates(t *rapid.T) attune.QueuePolicy {
	drawn := func() []attune.StartRate {
		return []attune.StartRate{{
			Name: "rate", Limit: rapid.IntRange(1, 3).Draw(t, "starts"),
			Window: attune.Duration(rapid.IntRange(1, 3).Draw(t, "window")) * attune.Duration(time.Second),
		}}
	}
	policy := attune.QueuePolicy{
		Limit: 4, Across: attune.AcrossSkip, MaxQueued: 20, Overflow: attune.OverflowReject,
		Actions: []attune.ActionPolicy{{Action: 1, Rates: drawn()}},
	}
	if rapid.Bool().Draw(t, "of the queue") {
		policy.Rates = drawn()
	}
	return policy
}

func drawLimit(t *rapid.T, name string) *int {
	limit := rapid.SampledFrom([]int{-1, 0, 1, 1, 1, 2, 2}).Draw(t, name)
	if limit < 0 {
		return nil
	}
	return &limit
}

func drawRates(t *rapid.T) []attune.StartRate {
	if rapid.IntRange(0, 7).Draw(t, "rate") > 0 {
		return nil
	}
	return []attune.StartRate{{Name: "rate", Limit: rapid.IntRange(1, 2).Draw(t, "starts"), Window: attune.Duration(time.Second)}}
}

func (h *history) releaseAll() {
	h.state.Release(h.queueClock(), h.releases)
	h.releases = nil
}

// loseTurn takes a turn of the queue in which grants are acted upon, loses the turn, and takes it again later. A queue whose lanes
// pass each other acts only upon turns that it cannot lose.
func (h *history) loseTurn(t *rapid.T) {
	if h.state.Policy().Across == attune.AcrossSkip {
		return
	}
	before, err := json.Marshal(h.state)
	if err != nil {
		t.Fatal(err)
	}
	releases, arrivals := some(t, &h.releases), some(t, &h.arrivals)
	h.state.Release(h.queueClock(), releases)
	h.state.Acquire(h.queueClock(), arrivals)
	for _, grant := range h.state.Deliverable(rapid.IntRange(0, 3).Draw(t, "acted upon")) {
		h.act(grant)
	}
	h.state = new(semaphore.State)
	if err := json.Unmarshal(before, h.state); err != nil {
		t.Fatal(err)
	}
	h.database = h.database.Add(time.Duration(rapid.IntRange(0, 6).Draw(t, "seconds later")) * time.Second)
	for _, ticket := range releases {
		h.state.Release(h.queueClock(), []attune.Ticket{ticket})
	}
	h.state.Acquire(h.queueClock(), arrivals)
}

// grantsOf returns the logged grants of settled tickets.
func (h *history) grantsOf(settled []attune.Settlement) []attune.Grant {
	var grants []attune.Grant
	for _, settlement := range settled {
		for _, grant := range h.Grants {
			if grant.Same(settlement.Ticket) {
				grants = append(grants, grant.Grant)
			}
		}
	}
	return grants
}
