package replay_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
	"github.com/attune-go/attune/semaphore"
)

var start = time.UnixMilli(1_900_000_000_000).UTC()

// world is a queue with its rows. Signals reach the queue later, in any order; with prompt, at once.
type world struct {
	t       *rapid.T
	prompt  bool
	now     time.Time
	state   *semaphore.State
	draws   func(*rapid.T) attune.QueuePolicy
	history replay.History

	changes  int
	arrivals []attune.Ticket // not yet known to the queue
	releases []attune.Ticket // not yet known to the queue
	running  []int           // indices of the places that hold a slot
}

func newWorld(t *rapid.T, prompt bool, draws func(*rapid.T) attune.QueuePolicy) *world {
	w := &world{t: t, prompt: prompt, now: start, draws: draws}
	policy := draws(t)
	policy.Revision = 1
	w.history = replay.History{
		From: start, To: start.Add(24 * time.Hour), Mode: attune.QueueOpen,
		Policies: []replay.Policy{{QueuePolicy: policy, At: start}},
	}
	w.state = semaphore.New(attune.QueueSnapshot{Policy: policy})
	return w
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"accept": w.accept, "accept more": w.accept, "arrive": w.arrive, "finish": w.finish, "finish more": w.finish,
		"release": w.release, "policy": w.policy, "control": w.control, "cancel": w.cancel, "wait": w.wait,
	}
}

// tick lets time pass between two events.
func (w *world) tick() { w.now = w.now.Add(time.Millisecond) }

func (w *world) accept(t *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(t, "n") {
		w.tick()
		w.queue(attune.Ticket{
			Enforcement: attune.EnforcementID(len(w.history.Places) + 1), Attempt: 1,
			Lane: rapid.Int32Range(0, 3).Draw(t, "lane"), Action: attune.ActionID(rapid.IntRange(1, 2).Draw(t, "action")),
		})
		w.promptly(func() { w.acquire(w.arrivals...) })
	}
}

// promptly calls f if signals reach the queue at once.
func (w *world) promptly(f func()) {
	if w.prompt {
		f()
	}
}

func (w *world) queue(ticket attune.Ticket) {
	ticket.Sequence, ticket.EnqueuedAt = int64(len(w.history.Places)+1), w.now
	w.history.Places = append(w.history.Places, replay.Place{Ticket: ticket})
	w.arrivals = append(w.arrivals, ticket)
}

func (w *world) acquire(tickets ...attune.Ticket) {
	w.arrivals = slices.DeleteFunc(w.arrivals, func(a attune.Ticket) bool { return slices.ContainsFunc(tickets, a.Same) })
	w.state.Acquire(w.now, tickets)
	w.settle()
}

// some draws some of the pending tickets, in any order.
func some(t *rapid.T, pending []attune.Ticket) []attune.Ticket {
	if len(pending) == 0 {
		return nil
	}
	return rapid.Permutation(pending).Draw(t, "order")[:rapid.IntRange(1, len(pending)).Draw(t, "n")]
}

func (w *world) arrive(t *rapid.T) {
	w.tick()
	w.acquire(some(t, w.arrivals)...)
}

func (w *world) release(t *rapid.T) {
	w.tick()
	w.free(some(t, w.releases)...)
}

func (w *world) free(tickets ...attune.Ticket) {
	w.releases = slices.DeleteFunc(w.releases, func(a attune.Ticket) bool { return slices.ContainsFunc(tickets, a.Same) })
	w.state.Release(w.now, tickets)
	w.settle()
}

// finish ends a run, which may go to the back of the line.
func (w *world) finish(t *rapid.T) {
	if len(w.running) == 0 {
		return
	}
	w.tick()
	i := rapid.SampledFrom(w.running).Draw(t, "place")
	w.running = slices.DeleteFunc(w.running, func(r int) bool { return r == i })
	place := &w.history.Places[i]
	place.Grant.ReleasedAt = new(w.now)
	w.releases = append(w.releases, place.Ticket)
	w.promptly(func() { w.free(w.releases...) })
	if place.Attempt < 3 && rapid.IntRange(0, 4).Draw(t, "retry") == 0 {
		again := place.Ticket
		again.Attempt++
		w.queue(again)
		w.promptly(func() { w.acquire(w.arrivals...) })
	}
}

func (w *world) policy(t *rapid.T) {
	w.tick()
	policy := w.draws(t)
	policy.Revision = w.history.Policies[len(w.history.Policies)-1].Revision + 1
	w.history.Policies = append(w.history.Policies, replay.Policy{QueuePolicy: policy, At: w.now})
	w.state.SetPolicy(w.now, policy)
	w.settle()
}

func (w *world) control(t *rapid.T) {
	request := attune.ChangeRequest{Kind: attune.ChangeMode, Mode: rapid.SampledFrom([]attune.QueueMode{
		attune.QueueOpen, attune.QueueOpen, attune.QueuePaused, attune.QueueDraining,
	}).Draw(t, "mode")}
	if rapid.Bool().Draw(t, "limit") {
		request = attune.ChangeRequest{Kind: attune.ChangeLimit}
		if rapid.Bool().Draw(t, "set") {
			request.Limit = &attune.LimitOverride{Limit: rapid.IntRange(0, 3).Draw(t, "by hand")}
			if rapid.Bool().Draw(t, "ends") {
				request.Limit.Until = w.now.Add(3 * time.Second)
			}
		}
	}
	w.change(request)
}

func (w *world) cancel(t *rapid.T) {
	if front := w.state.Front(3); len(front) > 0 {
		w.change(attune.ChangeRequest{Kind: attune.ChangeCancel, Ticket: rapid.SampledFrom(front).Draw(t, "ticket")})
	}
}

func (w *world) change(request attune.ChangeRequest) {
	w.tick()
	w.changes++
	request.ID, request.Author = fmt.Sprint(w.changes), attune.Author{Principal: attune.Principal{Name: "sam", Method: attune.AuthToken}}
	_, _ = w.state.Change(w.now, request)
	w.settle()
}

func (w *world) wait(t *rapid.T) {
	until := w.now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond)
	for {
		at, ok := w.state.WakeAt()
		if !ok || at.After(until) {
			break
		}
		w.now = at
		w.state.Advance(w.now)
		w.settle()
	}
	w.now = until
}

// settle stores what the queue has decided.
func (w *world) settle() {
	if gap, exists := w.state.Missing(); exists {
		waiting := slices.DeleteFunc(slices.Clone(w.arrivals), func(a attune.Ticket) bool {
			return a.Sequence < gap.From || a.Sequence > gap.To
		})
		w.arrivals = slices.DeleteFunc(w.arrivals, func(a attune.Ticket) bool { return slices.ContainsFunc(waiting, a.Same) })
		w.state.Backfill(w.now, gap, waiting)
		w.settle()
		return
	}
	settled := w.state.UnrecordedSettlements(1000)
	control := w.state.UnrecordedChanges(1000, len(settled))
	w.history.Changes = append(w.history.Changes, control.Changes...)
	for _, s := range settled {
		place := &w.history.Places[s.Sequence-1]
		place.Status, place.Reason, place.EndedAt = s.Status, s.Reason, w.now
	}
	w.state.SettlementsRecorded(w.now, len(settled), nil)
	w.state.ChangesRecorded(len(control.Changes))
	grants := w.state.Deliverable(1000)
	for _, grant := range grants {
		place := &w.history.Places[grant.Sequence-1]
		place.Grant = &attune.LoggedGrant{Grant: grant, RequestedAt: w.now}
		w.running = append(w.running, int(grant.Sequence-1))
	}
	w.state.Delivered(grants)
}

// recorded returns the history of a period.
func (w *world) recorded(from time.Time) replay.History {
	h := w.history
	for _, place := range h.Places {
		if place.Grant != nil {
			h.Grants = append(h.Grants, *place.Grant)
		}
	}
	slices.SortFunc(h.Grants, func(a, b attune.LoggedGrant) int { return int(a.Number - b.Number) })
	return h.Cut(from, w.now.Add(time.Millisecond))
}
