package proof_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
	"github.com/attune-go/attune/semaphore"
)

// history drives a semaphore and writes the rows that a database would have. It stores decisions later and in another order.
// Sometimes it loses the semaphore and rebuilds it from the rows.
type history struct {
	rows

	state      *semaphore.State
	database   time.Time // the database's clock, later at every reading
	generation int64
	sequence   int64
	policy     attune.QueuePolicy
	draws      func(*rapid.T) attune.QueuePolicy
	override   *attune.LimitOverride          // as it is stored
	lanes      map[int32]attune.LimitOverride // the manual limits of lanes, as they are stored
	requests   int                            // the number of change requests so far

	arrivals []attune.Ticket     // not yet sent to the queue
	releases []attune.Ticket     // not yet sent to the queue
	late     []attune.Settlement // settlements of an earlier generation, not yet stored
}

// newHistory starts a queue whose policies are drawn by policy.
func newHistory(t *rapid.T, policy func(*rapid.T) attune.QueuePolicy) *history {
	h := &history{database: time.UnixMilli(1_900_000_000_000).UTC(), policy: policy(t), draws: policy, lanes: map[int32]attune.LimitOverride{}}
	h.policy.Revision = 1
	h.Queue, h.Stats.Mode = key, attune.QueueOpen
	h.Policies = []attune.QueuePolicy{h.policy}
	h.state = semaphore.New(attune.QueueSnapshot{Policy: h.policy})
	return h
}

// check checks the current rows.
func (h *history) check() proof.Report {
	h.count()
	h.Stats.MaxConcurrent = h.policy.Limit
	if h.override != nil {
		h.Stats.MaxConcurrent = h.override.Limit
	}
	return proof.Check(h.Rows)
}

// tick returns the database's time.
func (h *history) tick() time.Time {
	h.database = h.database.Add(time.Millisecond)
	return h.database
}

// queueClock is behind the database's clock by more than any step takes.
func (h *history) queueClock() time.Time { return h.database.Add(-time.Minute) }

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"accept": h.accept, "request": h.request, "request more": h.request, "finish": h.finish, "unpark": h.unpark,
		"release": h.release, "record": h.record, "set policy": h.setPolicy, "control": h.control, "cancel": h.cancel,
		"log": h.log, "rebuild": h.rebuild, "settle late": h.settleLate, "arrive": h.arrive, "backfill": h.backfill,
		"lose a turn": h.loseTurn, "request all": h.requestAll, "arrive all": h.arriveAll,
		"wait": func(t *rapid.T) {
			h.database = h.database.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			h.state.Advance(h.queueClock())
		},
	}
}

func (h *history) accept(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "n") {
		lane := rapid.Int32Range(0, 2).Draw(t, "lane")
		action := attune.ActionID(rapid.IntRange(1, 2).Draw(t, "action"))
		h.queue(h.enforce(lane, action), 1)
	}
	if rapid.Bool().Draw(t, "at once") {
		h.arriveAll(t)
	}
}

// enforce records an enforcement.
func (h *history) enforce(lane int32, action attune.ActionID) *attune.Enforcement {
	h.Enforcements = append(h.Enforcements, attune.Enforcement{
		ID: attune.EnforcementID(1000 - len(h.Enforcements)), Queue: key, Lane: lane, ActionID: action,
	})
	return &h.Enforcements[len(h.Enforcements)-1]
}

// queue puts an enforcement at the back of the line. Its ticket is on its way to the queue.
func (h *history) queue(e *attune.Enforcement, attempt int) {
	h.sequence++
	e.Sequence, e.Status, e.QueuedAt, e.GrantNumber = h.sequence, attune.EnforcementQueued, new(h.tick()), 0
	h.arrivals = append(h.arrivals, attune.Ticket{
		Enforcement: e.ID, Sequence: e.Sequence, EnqueuedAt: h.queueClock(), Attempt: attempt, Lane: e.Lane, Action: e.ActionID,
	})
}

// request acts upon one of the decided grants.
func (h *history) request(t *rapid.T) {
	decided := h.state.Deliverable(10)
	if len(decided) == 0 {
		return
	}
	h.act(rapid.SampledFrom(decided).Draw(t, "grant"))
}

// requestAll acts upon the decided grants.
func (h *history) requestAll(*rapid.T) {
	for _, grant := range h.state.Deliverable(10) {
		h.act(grant)
	}
}

func (h *history) act(grant attune.Grant) {
	h.state.Delivered([]attune.Grant{grant})
	switch e := h.byID(grant.Enforcement); {
	case e.Status.Terminal(), e.Sequence != grant.Sequence:
		h.releases = append(h.releases, grant.Ticket)
	case e.Status == attune.EnforcementQueued:
		grant.EnqueuedAt = *e.QueuedAt
		h.Grants = append(h.Grants, attune.LoggedGrant{Grant: grant, RequestedAt: h.tick()})
		e.Status, e.GrantNumber = attune.EnforcementGranted, grant.Number
		h.outcome(e.ID, attune.ExecutionRunning)
	case h.grantOf(e).Attempt < grant.Attempt:
		h.grantOf(e).Attempt = grant.Attempt
		h.outcome(e.ID, attune.ExecutionRunning)
	}
}

// draw draws an enforcement with this status and outcome, or returns nil.
func (h *history) draw(t *rapid.T, status attune.EnforcementStatus, outcome attune.ExecutionStatus) *attune.Enforcement {
	var found []*attune.Enforcement
	for i := range h.Enforcements {
		if e := &h.Enforcements[i]; e.Status == status && h.grantOf(e).Outcome == outcome {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return rapid.SampledFrom(found).Draw(t, "enforcement")
}

// finish ends one of the attempts.
func (h *history) finish(t *rapid.T) {
	e := h.draw(t, attune.EnforcementGranted, attune.ExecutionRunning)
	if e == nil {
		return
	}
	h.finishAs(e, rapid.SampledFrom([]attune.RetryPlacement{"", "", attune.RetryHold, attune.RetryBack, attune.RetryPark}).Draw(t, "then"))
}

// finishAs ends an attempt; an empty placement is the end of the execution.
func (h *history) finishAs(e *attune.Enforcement, placement attune.RetryPlacement) {
	grant := h.grantOf(e)
	if placement == attune.RetryHold {
		h.outcome(e.ID, attune.ExecutionRetrying)
		next := grant.Ticket
		next.Attempt++
		h.state.Retry(h.queueClock(), []attune.Retry{{Ticket: next, NotBefore: h.queueClock().Add(time.Second)}})
		return
	}
	grant.ReleasedAt = new(h.tick())
	h.outcome(e.ID, attune.ExecutionRetrying)
	if placement == attune.RetryBack {
		h.queue(e, grant.Attempt+1)
		return
	}
	h.releases = append(h.releases, grant.Ticket)
	e.Status = attune.EnforcementParked
	if placement == "" {
		h.end(e, attune.EnforcementExecuted)
	}
}

func (h *history) end(e *attune.Enforcement, status attune.EnforcementStatus) {
	e.Status, e.FinishedAt = status, new(h.tick())
	h.outcome(e.ID, attune.ExecutionFailed)
}

func (h *history) unpark(t *rapid.T) {
	switch e := h.draw(t, attune.EnforcementParked, attune.ExecutionRetrying); {
	case e == nil:
	case rapid.Bool().Draw(t, "give up"):
		h.end(e, attune.EnforcementExecuted)
	default:
		h.queue(e, h.grantOf(e).Attempt+1)
	}
}

// release sends some pending releases to the queue, in any order.
func (h *history) release(t *rapid.T) {
	h.state.Release(h.queueClock(), some(t, &h.releases))
}

// record stores settlements.
func (h *history) record(t *rapid.T) {
	h.recordSome(rapid.IntRange(1, 5).Draw(t, "n"))
}

// recordSome stores up to n settlements, with the manual changes that are recorded with them.
func (h *history) recordSome(n int) {
	settled := h.state.UnrecordedSettlements(n)
	control := h.state.UnrecordedChanges(100, len(settled))
	for _, settlement := range settled {
		h.settle(settlement)
	}
	for _, change := range control.Changes {
		if change.Kind == attune.ChangeCancel { // the outcome comes from the row
			change.To = string(h.byID(change.Enforcement).Status)
		}
		h.Changes = append(h.Changes, change)
	}
	if len(control.Changes) > 0 {
		h.Stats.Mode, h.override = control.Mode, control.Override
	}
	for _, lane := range control.Lanes {
		if delete(h.lanes, lane.Lane); lane.Override != nil {
			h.lanes[lane.Lane] = *lane.Override
		}
	}
	h.state.SettlementsRecorded(h.queueClock(), len(settled), h.grantsOf(settled))
	h.state.ChangesRecorded(len(control.Changes))
}

func (h *history) settle(settlement attune.Settlement) {
	if e := h.byID(settlement.Enforcement); e.Status == attune.EnforcementQueued && e.Sequence == settlement.Sequence {
		e.Reason = settlement.Reason
		h.end(e, settlement.Status)
	}
}

func (h *history) settleLate(t *rapid.T) {
	if len(h.late) > 0 {
		h.settle(rapid.SampledFrom(h.late).Draw(t, "settlement"))
	}
}

// author is authenticated by the API.
var author = attune.Author{Principal: attune.Principal{Name: "sam", Method: attune.AuthToken}, Note: "a test"}

// control makes a manual change.
func (h *history) control(t *rapid.T) {
	if rapid.Bool().Draw(t, "mode") {
		h.setMode(rapid.SampledFrom([]attune.QueueMode{
			attune.QueueOpen, attune.QueueOpen, attune.QueuePaused, attune.QueueDraining,
		}).Draw(t, "to"))
		return
	}
	h.setLimit(h.drawOverride(t))
}

// drawOverride draws a manual limit, or nil.
func (h *history) drawOverride(t *rapid.T) *attune.LimitOverride {
	override := &attune.LimitOverride{Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
	switch rapid.IntRange(0, 3).Draw(t, "until") {
	case 0:
		override = nil
	case 1:
		override.Until = h.queueClock().Add(2 * time.Second)
	}
	return override
}

// controlLane changes the manual limit of a lane.
func (h *history) controlLane(t *rapid.T) {
	h.ask(attune.ChangeRequest{Kind: attune.ChangeLaneLimit, Lane: rapid.Int32Range(1, 3).Draw(t, "lane"), Limit: h.drawOverride(t)})
}

// ask requests a manual change. The queue can refuse it.
func (h *history) ask(r attune.ChangeRequest) {
	h.requests++
	r.ID, r.Author = fmt.Sprintf("request %d", h.requests), author
	_, _ = h.state.Change(h.queueClock(), r)
}

func (h *history) setMode(mode attune.QueueMode) {
	h.ask(attune.ChangeRequest{Kind: attune.ChangeMode, Mode: mode})
}

func (h *history) setLimit(limit *attune.LimitOverride) {
	h.ask(attune.ChangeRequest{Kind: attune.ChangeLimit, Limit: limit})
}

func (h *history) cancel(t *rapid.T) {
	if front := h.state.Front(3); len(front) > 0 {
		h.ask(attune.ChangeRequest{Kind: attune.ChangeCancel, Ticket: rapid.SampledFrom(front).Draw(t, "ticket")})
	}
}

// log stores manual changes that need no settlement.
func (h *history) log(*rapid.T) { h.recordSome(0) }

// rebuild loses the state with all unstored decisions.
func (h *history) rebuild(*rapid.T) {
	h.tick()
	for _, settlement := range h.state.UnrecordedSettlements(2) {
		if settlement.Status != attune.EnforcementCancelled { // the rows refuse a cancel of an earlier generation
			h.late = append(h.late, settlement)
		}
	}
	h.generation++
	snapshot := attune.QueueSnapshot{
		Policy: h.policy, Generation: h.generation, LastSequence: h.sequence, LastChange: int64(len(h.Changes)),
		Mode: h.Stats.Mode, Override: h.override,
	}
	if o := h.override; o != nil && !o.Until.IsZero() && !o.Until.After(h.queueClock()) {
		snapshot.Override = nil
	}
	for _, lane := range slices.Sorted(maps.Keys(h.lanes)) {
		if o := h.lanes[lane]; o.Until.IsZero() || o.Until.After(h.queueClock()) {
			snapshot.LaneLimits = append(snapshot.LaneLimits, attune.LaneLimit{Lane: lane, LimitOverride: o})
		}
	}
	for _, grant := range h.Grants {
		snapshot.LastGrant = max(snapshot.LastGrant, grant.Number)
		e := h.byID(grant.Enforcement)
		if e.Status != attune.EnforcementGranted || e.Sequence != grant.Sequence {
			continue
		}
		holder := grant.Grant
		holder.Generation = h.generation
		if grant.Outcome == attune.ExecutionRetrying {
			holder.Attempt++
		}
		snapshot.Holders = append(snapshot.Holders, holder)
	}
	slices.SortFunc(snapshot.Holders, func(a, b attune.Grant) int { return cmp.Compare(a.Number, b.Number) })
	snapshot.Waiting = h.waiting()
	h.state = semaphore.New(snapshot)
	h.state.Rebuilt(h.queueClock())
}

// waiting returns the tickets that wait according to their rows, by sequence.
func (h *history) waiting() []attune.Ticket {
	var tickets []attune.Ticket
	for _, e := range h.Enforcements {
		if e.Status != attune.EnforcementQueued {
			continue
		}
		ticket := attune.Ticket{
			Enforcement: e.ID, Sequence: e.Sequence, EnqueuedAt: e.QueuedAt.Add(-time.Minute), Attempt: 1, Lane: e.Lane, Action: e.ActionID,
		}
		for _, grant := range h.Grants {
			if grant.Enforcement == e.ID {
				ticket.Attempt = max(ticket.Attempt, grant.Attempt+1)
			}
		}
		tickets = append(tickets, ticket)
	}
	slices.SortFunc(tickets, attune.Ticket.Compare)
	return tickets
}
