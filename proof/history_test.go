package proof_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

const key attune.QueueKey = "shop.deploy"

// rows is everything that is stored about one queue.
type rows struct {
	stats        attune.QueueStats
	enforcements []attune.Enforcement
	grants       []attune.LoggedGrant
}

// count makes the counts those of the enforcements.
func (r *rows) count() {
	r.stats = attune.QueueStats{Queue: key, TotalEnqueued: int64(len(r.enforcements))}
	for _, e := range r.enforcements {
		switch e.Status {
		case attune.EnforcementQueued:
			r.stats.QueueLength++
		case attune.EnforcementGranted:
			r.stats.ActiveCount++
		case attune.EnforcementExecuted:
			r.stats.TotalCompleted++
		default:
			r.stats.TotalDropped++
		}
	}
}

func (r *rows) enforcement(sequence int64) *attune.Enforcement { return &r.enforcements[sequence-1] }

// history drives a semaphore and writes the rows that a database would have: grants and ends are stored some time after
// they were decided, and not in the order in which they were.
type history struct {
	rows

	state    *semaphore.State
	database time.Time // each look at it is later than the one before
	revision int64
}

func newHistory() *history {
	policy := attune.QueuePolicy{Revision: 1, Limit: 2, MaxQueued: 6, Overflow: attune.OverflowReject}
	return &history{
		state:    semaphore.New(attune.QueueSnapshot{Policy: policy}),
		database: time.UnixMilli(1_900_000_000_000).UTC(), revision: 1,
	}
}

// tick returns the database's time.
func (h *history) tick() time.Time {
	h.database = h.database.Add(time.Millisecond)
	return h.database
}

// queueClock runs behind the database's by more than anything takes here.
func (h *history) queueClock() time.Time { return h.database.Add(-time.Minute) }

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"accept": h.accept, "request": h.request, "finish": h.finish, "record": h.record, "set policy": h.setPolicy,
		"wait": func(t *rapid.T) {
			h.database = h.database.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			h.state.Advance(h.queueClock())
		},
	}
}

func (h *history) accept(t *rapid.T) {
	var tickets []attune.Ticket
	for range rapid.IntRange(1, 4).Draw(t, "n") {
		sequence, at := int64(len(h.enforcements)+1), h.tick()
		e := attune.Enforcement{
			ID: attune.EnforcementID(1000 - sequence), Queue: key, Sequence: sequence, Status: attune.EnforcementQueued, QueuedAt: &at,
		}
		h.enforcements = append(h.enforcements, e)
		tickets = append(tickets, attune.Ticket{Enforcement: e.ID, Sequence: sequence, EnqueuedAt: h.queueClock()})
	}
	h.state.Acquire(h.queueClock(), tickets)
}

// request stores one of the grants that have been decided.
func (h *history) request(t *rapid.T) {
	decided := h.state.Undelivered(10)
	if len(decided) == 0 {
		return
	}
	grant := rapid.SampledFrom(decided).Draw(t, "grant")
	h.state.Delivered([]attune.Grant{grant})
	logged := attune.LoggedGrant{Grant: grant, RequestedAt: h.tick(), Outcome: attune.ExecutionRunning}
	h.grants = append(h.grants, logged)
	e := h.enforcement(grant.Sequence)
	e.Status, e.GrantNumber = attune.EnforcementGranted, grant.Number
}

// finish ends one of the executions, and frees its slot after that.
func (h *history) finish(t *rapid.T) {
	var held []int
	for i, grant := range h.grants {
		if grant.ReleasedAt == nil {
			held = append(held, i)
		}
	}
	if len(held) == 0 {
		return
	}
	grant, at := &h.grants[rapid.SampledFrom(held).Draw(t, "ends")], h.tick()
	grant.ReleasedAt, grant.Outcome = &at, rapid.SampledFrom([]attune.ExecutionStatus{
		attune.ExecutionSucceeded, attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionCancelled,
	}).Draw(t, "outcome")
	h.enforcement(grant.Sequence).Status = attune.EnforcementExecuted
	h.state.Release(h.queueClock(), []attune.Ticket{grant.Ticket})
}

// record stores the ends of tickets that were never granted.
func (h *history) record(t *rapid.T) {
	settled := h.state.Unrecorded(rapid.IntRange(1, 5).Draw(t, "n"))
	for _, settlement := range settled {
		h.enforcement(settlement.Sequence).Status = settlement.Status
	}
	h.state.Recorded(len(settled))
}

func (h *history) setPolicy(t *rapid.T) {
	h.revision++
	h.state.SetPolicy(h.queueClock(), attune.QueuePolicy{
		Revision:  h.revision,
		Limit:     rapid.IntRange(0, 4).Draw(t, "limit"),
		MaxQueued: rapid.IntRange(2, 8).Draw(t, "max queued"),
		Overflow:  rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest}).Draw(t, "overflow"),
		QueueTimeout: attune.Duration(rapid.SampledFrom([]time.Duration{
			0, 0, 5 * time.Second,
		}).Draw(t, "timeout")),
	})
}

// corruption is one way to make rows wrong; apply reports whether these rows have what it needs.
type corruption struct {
	name  string
	apply func(t *rapid.T, r *rows) bool
}

func corruptions() []corruption {
	return []corruption{
		{"swap two sequences", swapSequences},
		{"swap two decisions", swapDecisions},
		{"duplicate a grant", duplicateGrant},
		{"extend an interval beyond the limit", extendInterval},
		{"drop a ticket", dropTicket},
		{"drop a release", dropRelease},
		{"drop a grant", dropGrant},
		{"wrong counter", wrongCounter},
	}
}

func swapSequences(t *rapid.T, r *rows) bool {
	if len(r.grants) < 2 {
		return false
	}
	pair := rapid.Permutation(r.grants).Draw(t, "pair")[:2]
	for i := range r.grants {
		switch r.grants[i].Number {
		case pair[0].Number:
			r.grants[i].Sequence = pair[1].Sequence
		case pair[1].Number:
			r.grants[i].Sequence = pair[0].Sequence
		}
	}
	return true
}

// swapDecisions has two tickets granted in the wrong order, and everything agree on it.
func swapDecisions(t *rapid.T, r *rows) bool {
	if len(r.grants) < 2 {
		return false
	}
	order := rapid.Permutation([]int{0, len(r.grants) - 1, len(r.grants) / 2}).Draw(t, "pair")
	a, b := &r.grants[order[0]], &r.grants[order[1]]
	if a == b {
		return false
	}
	a.Number, b.Number = b.Number, a.Number
	r.enforcement(a.Sequence).GrantNumber, r.enforcement(b.Sequence).GrantNumber = a.Number, b.Number
	return true
}

func duplicateGrant(t *rapid.T, r *rows) bool {
	if len(r.grants) == 0 {
		return false
	}
	again := rapid.SampledFrom(r.grants).Draw(t, "grant")
	if rapid.Bool().Draw(t, "with a number of its own") {
		again.Number = int64(len(r.enforcements) + 1)
	}
	r.grants = append(r.grants, again)
	return true
}

// extendInterval has a grant keep its slot while a later one took the last that was free.
func extendInterval(t *rapid.T, r *rows) bool {
	type pair struct{ longer, later int }
	var pairs []pair
	for j, later := range r.grants {
		held := 0
		var before []int
		for i, grant := range r.grants {
			switch {
			case grant.Number >= later.Number:
			case grant.ReleasedAt == nil || grant.ReleasedAt.After(later.RequestedAt):
				held++
			default:
				before = append(before, i)
			}
		}
		if held == later.Limit-1 {
			for _, i := range before {
				pairs = append(pairs, pair{i, j})
			}
		}
	}
	if len(pairs) == 0 {
		return false
	}
	chosen := rapid.SampledFrom(pairs).Draw(t, "interval")
	beyond := r.grants[chosen.later].RequestedAt.Add(time.Microsecond)
	r.grants[chosen.longer].ReleasedAt = &beyond
	return true
}

func dropTicket(t *rapid.T, r *rows) bool {
	if len(r.enforcements) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(r.enforcements)-1).Draw(t, "ticket")
	r.enforcements = slices.Delete(r.enforcements, i, i+1)
	return true
}

func dropRelease(t *rapid.T, r *rows) bool {
	for i := range rapid.Permutation(r.grants).Draw(t, "order") {
		if r.grants[i].ReleasedAt != nil {
			r.grants[i].ReleasedAt = nil
			return true
		}
	}
	return false
}

func dropGrant(t *rapid.T, r *rows) bool {
	if len(r.grants) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(r.grants)-1).Draw(t, "grant")
	r.grants = slices.Delete(r.grants, i, i+1)
	return true
}

func wrongCounter(t *rapid.T, r *rows) bool {
	counters := []*int64{
		&r.stats.TotalEnqueued, &r.stats.QueueLength, &r.stats.ActiveCount, &r.stats.TotalCompleted, &r.stats.TotalDropped,
	}
	*rapid.SampledFrom(counters).Draw(t, "counter") += rapid.SampledFrom([]int64{-1, 1}).Draw(t, "by")
	return true
}

func (r *rows) String() string {
	text := fmt.Sprintf("stats %+v\n", r.stats)
	for _, e := range r.enforcements {
		text += fmt.Sprintf("sequence %d %s grant %d\n", e.Sequence, e.Status, e.GrantNumber)
	}
	for _, g := range r.grants {
		text += fmt.Sprintf("grant %d sequence %d limit %d %v–%v\n", g.Number, g.Sequence, g.Limit, g.RequestedAt, g.ReleasedAt)
	}
	return text
}
