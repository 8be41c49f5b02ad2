package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// perform starts an activity for each kind of thing that the state wants done, unless one of that kind is under way or
// pauses after a failure. A run that is about to continue as new starts nothing but what callers wait for: the next run does
// the rest.
func (q *actionQueue) perform(ctx workflow.Context, now time.Time) {
	q.record(ctx, now)
	if q.closing {
		return
	}
	q.deliver(ctx, now)
	q.fill(ctx, now)
	q.doubt(ctx, now)
	q.startSleepers(ctx, now)
	q.inspect(ctx, now)
}

// deliver hands grants out. They go out before the decision behind them is durable, so a run that is done again may find
// that it has granted what it now settles: the row decides, and until it has, no ticket behind is granted.
func (q *actionQueue) deliver(ctx workflow.Context, now time.Time) {
	grants := q.state.Deliverable(maxGrants)
	if len(grants) == 0 || !q.granting.idle(now) {
		return
	}
	q.granting.start(ctx, len(grants) <= quickGrants, fmt.Sprintf("grant %d", len(grants)),
		ActivityDeliverGrants, GrantsInput{Queue: q.key, Grants: grants})
	q.granting.grants = grants
}

// record has the rows take down what the state has decided. What a person has changed is recorded by a regular activity
// only: it runs after the decision is durable, so the number and the outcome of a change are decided once.
func (q *actionQueue) record(ctx workflow.Context, now time.Time) {
	decisions := attune.QueueDecisions{Settlements: q.state.Unrecorded(maxSettlements)}
	decisions.Control = q.state.Unlogged(maxChanges, len(decisions.Settlements))
	q.isolate(&decisions)
	settled, changed := len(decisions.Settlements), len(decisions.Control.Changes)
	switch {
	case settled+changed == 0 || !q.recording.idle(now):
		return
	case q.closing && changed == 0 && workflow.AllHandlersFinished(ctx):
		return
	}
	q.recording.start(ctx, changed == 0 && settled <= quickGrants, fmt.Sprintf("record %d ends, %d changes", settled, changed),
		ActivityRecordDecisions, DecisionsInput{Queue: q.key, QueueDecisions: decisions, AsleepUpTo: q.state.AsleepUpTo()})
	q.recording.settled, q.recording.logged = settled, changed
}

// isolate splits what the rows have refused together, so that one part cannot keep the other back: ends of tickets and the
// first change by hand take turns.
func (q *actionQueue) isolate(decisions *attune.QueueDecisions) {
	if !q.recording.refused() || len(decisions.Control.Changes) == 0 {
		return
	}
	if len(decisions.Settlements) > 0 && q.recording.failures%2 == 1 {
		decisions.Control.Changes = nil
		return
	}
	decisions.Settlements, decisions.Control = nil, q.state.Unlogged(1, 0)
}

// fill looks for the tickets of a gap.
func (q *actionQueue) fill(ctx workflow.Context, now time.Time) {
	gap, ok := q.state.Missing()
	if !ok || !q.filling.idle(now) {
		return
	}
	q.filling.start(ctx, true, fmt.Sprintf("look for %d–%d", gap.From, gap.To), ActivityReadTickets, GapInput{Queue: q.key, Gap: gap})
	q.filling.gap = gap
}

// doubt asks the rows whether tickets wait that have ended here.
func (q *actionQueue) doubt(ctx workflow.Context, now time.Time) {
	tickets := q.state.Reacquired()
	if len(tickets) == 0 || !q.doubting.idle(now) {
		return
	}
	first := slices.MinFunc(tickets, attune.Ticket.Compare).Sequence
	last := slices.MaxFunc(tickets, attune.Ticket.Compare).Sequence
	q.doubting.start(ctx, true, fmt.Sprintf("look for %d–%d", first, last),
		ActivityReadTickets, GapInput{Queue: q.key, Gap: semaphore.Gap{From: first, To: last}})
	q.doubting.tickets = tickets
}

// startSleepers is never in a hurry, so it always takes the way that keeps no workflow task open.
func (q *actionQueue) startSleepers(ctx workflow.Context, now time.Time) {
	tickets := q.state.SleepersToStart(maxSleepers)
	if len(tickets) == 0 || !q.sleeping.idle(now) {
		return
	}
	q.sleeping.start(ctx, false, fmt.Sprintf("start %d asleep", len(tickets)),
		ActivityStartSleepers, SleepersInput{Queue: q.key, Tickets: tickets})
	q.sleeping.tickets = tickets
}

// inspect asks the rows about tickets that have held their slots for long.
func (q *actionQueue) inspect(ctx workflow.Context, now time.Time) {
	if !q.inspecting.idle(now) {
		return
	}
	if suspects := q.state.Suspects(now); len(suspects) > 0 {
		q.inspecting.start(ctx, len(suspects) <= quickGrants, fmt.Sprintf("inspect %d", len(suspects)),
			ActivityInspectHolders, GrantsInput{Queue: q.key, Grants: suspects})
	}
}

// collect takes in the outcome of tries that are done. What failed is still wanted by the state.
func (q *actionQueue) collect(ctx workflow.Context, now time.Time) {
	if q.granting.done() && q.granting.finish(ctx, nil) {
		q.state.Delivered(q.granting.grants)
	}
	q.collectRecord(ctx, now)
	var tickets []attune.Ticket
	if q.filling.done() && q.filling.finish(ctx, &tickets) {
		q.state.Backfill(now, q.filling.gap, tickets)
	}
	var waiting []attune.Ticket
	if q.doubting.done() && q.doubting.finish(ctx, &waiting) {
		q.foreign = slices.ContainsFunc(q.doubting.tickets, func(t attune.Ticket) bool { return slices.ContainsFunc(waiting, t.Same) })
		q.state.ConfirmEnded(len(q.doubting.tickets))
	}
	if q.sleeping.done() && q.sleeping.finish(ctx, nil) {
		q.state.SleepersStarted(q.sleeping.tickets)
	}
	var inspection InspectionResult
	if q.inspecting.done() && q.inspecting.finish(ctx, &inspection) {
		q.state.Inspected(now, inspection.Ended, inspection.Waiting)
	}
}

// collectRecord gives up a change that the rows have refused alone several times: no try can succeed, and other changes wait
// behind it.
func (q *actionQueue) collectRecord(ctx workflow.Context, now time.Time) {
	t := &q.recording
	if !t.done() {
		return
	}
	var recorded DecisionsResult
	if t.finish(ctx, &recorded) {
		q.state.Recorded(now, t.settled, recorded.Held)
		q.state.Logged(t.logged)
		return
	}
	if alone := t.settled == 0 && t.logged == 1; alone && t.refused() && t.failures > maxRefusals {
		workflow.GetLogger(ctx).Error("a change of a queue cannot be recorded and is given up", "error", t.err)
		q.state.Unloggable(cause(t.err))
		t.reset()
	}
}
