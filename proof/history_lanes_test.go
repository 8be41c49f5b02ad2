package proof_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
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

func (h *history) arriveAll() {
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

func (h *history) setPolicy(t *rapid.T) { h.use(drawPolicy(t)) }

func drawPolicy(t *rapid.T) attune.QueuePolicy {
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
