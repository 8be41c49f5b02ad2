package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// perform starts an activity for each kind of pending decision, unless an activity of that kind runs or pauses after a failure.
// A closing run only records decisions that callers wait for. The next run does the rest.
func (q *actionQueue) perform(ctx workflow.Context, now time.Time) {
	q.record(ctx, now)
	if q.closing {
		return
	}
	q.deliver(ctx, now)
	q.fill(ctx, now)
	q.verify(ctx, now)
	q.startSleepers(ctx, now)
	q.inspect(ctx, now)
}

// deliver delivers grants, possibly before their decision is durable. A repeated workflow task can then settle a ticket that
// was granted. The row of that ticket decides, and no ticket behind it is granted before the settlement is recorded.
func (q *actionQueue) deliver(ctx workflow.Context, now time.Time) {
	grants := q.state.Deliverable(maxGrants)
	if len(grants) == 0 || !q.granting.idle(now) {
		return
	}
	q.granting.start(ctx, len(grants) <= localBatch, fmt.Sprintf("grant %d", len(grants)),
		ActivityDeliverGrants, GrantsInput{Queue: q.key, Grants: grants})
	q.granting.grants = grants
}

// record records settlements and manual changes. It records manual changes by a regular activity only, which runs after the
// decision is durable. So the number and the outcome of a change are decided once.
func (q *actionQueue) record(ctx workflow.Context, now time.Time) {
	decisions := attune.QueueDecisions{Settlements: q.state.UnrecordedSettlements(maxSettlements)}
	decisions.Control = q.state.UnrecordedChanges(maxChanges, len(decisions.Settlements))
	q.isolate(&decisions)
	settled, changed := len(decisions.Settlements), len(decisions.Control.Changes)
	switch {
	case settled+changed == 0 || !q.recording.idle(now):
		return
	case q.closing && changed == 0 && workflow.AllHandlersFinished(ctx):
		return
	}
	q.recording.start(ctx, changed == 0 && settled <= localBatch, fmt.Sprintf("record %d settlements, %d changes", settled, changed),
		ActivityRecordDecisions, DecisionsInput{Queue: q.key, QueueDecisions: decisions, AsleepUpTo: q.state.AsleepUpTo()})
	q.recording.settled, q.recording.logged = settled, changed
}

// isolate splits decisions that the database has refused together. Settlements and the first manual change then take turns, so
// that neither blocks the other.
func (q *actionQueue) isolate(decisions *attune.QueueDecisions) {
	if !q.recording.refused() || len(decisions.Control.Changes) == 0 {
		return
	}
	if len(decisions.Settlements) > 0 && q.recording.failures%2 == 1 {
		decisions.Control.Changes = nil
		return
	}
	decisions.Settlements, decisions.Control = nil, q.state.UnrecordedChanges(1, 0)
}

// fill reads the tickets of a gap, a large gap in several parts.
func (q *actionQueue) fill(ctx workflow.Context, now time.Time) {
	gap, ok := q.state.Missing()
	if !ok || !q.filling.idle(now) {
		return
	}
	gap.To = min(gap.To, gap.From+maxGap-1)
	q.filling.start(ctx, true, fmt.Sprintf("find %d–%d", gap.From, gap.To), ActivityReadTickets, GapInput{Queue: q.key, Gap: gap})
	q.filling.gap = gap
}

// verify reads the rows of reacquired tickets: see [semaphore.State.Reacquired].
func (q *actionQueue) verify(ctx workflow.Context, now time.Time) {
	tickets := q.state.Reacquired()
	if len(tickets) == 0 || !q.verifying.idle(now) {
		return
	}
	q.verifying.start(ctx, true, fmt.Sprintf("verify %d", len(tickets)),
		ActivityStillWaiting, TicketsInput{Queue: q.key, Tickets: tickets})
	q.verifying.tickets = tickets
}

// startSleepers starts the workflows of long waiting tickets asleep. It always uses a regular activity, because no ticket waits
// for these starts.
func (q *actionQueue) startSleepers(ctx workflow.Context, now time.Time) {
	tickets := q.state.SleepersToStart(maxSleepers)
	if len(tickets) == 0 || !q.sleeping.idle(now) {
		return
	}
	q.sleeping.start(ctx, false, fmt.Sprintf("start %d asleep", len(tickets)),
		ActivityStartSleepers, TicketsInput{Queue: q.key, Tickets: tickets})
	q.sleeping.tickets = tickets
}

// inspect reads the rows of holders that are due for inspection.
func (q *actionQueue) inspect(ctx workflow.Context, now time.Time) {
	if !q.inspecting.idle(now) {
		return
	}
	if suspects := q.state.Suspects(now); len(suspects) > 0 {
		q.inspecting.start(ctx, len(suspects) <= localBatch, fmt.Sprintf("inspect %d", len(suspects)),
			ActivityInspectHolders, GrantsInput{Queue: q.key, Grants: suspects})
	}
}

// collect applies the results of finished activities. After a failure, the decision stays in the state.
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
	if q.verifying.done() && q.verifying.finish(ctx, &waiting) {
		q.mismatched = len(waiting) > 0
		q.state.ConfirmEnded(len(q.verifying.tickets))
	}
	if q.sleeping.done() && q.sleeping.finish(ctx, nil) {
		q.state.SleepersStarted(q.sleeping.tickets)
	}
	var inspection InspectionResult
	if q.inspecting.done() && q.inspecting.finish(ctx, &inspection) {
		q.state.Inspected(now, inspection.Ended, inspection.Waiting)
	}
}

// collectRecord applies the result of recording. It gives up a change that the database has refused several times on its own,
// because no try will succeed and later changes wait behind it.
func (q *actionQueue) collectRecord(ctx workflow.Context, now time.Time) {
	t := &q.recording
	if !t.done() {
		return
	}
	var recorded DecisionsResult
	if t.finish(ctx, &recorded) {
		q.state.SettlementsRecorded(now, t.settled, recorded.Held)
		q.state.ChangesRecorded(t.logged)
		return
	}
	if alone := t.settled == 0 && t.logged == 1; alone && t.refused() && t.failures > maxRefusals {
		workflow.GetLogger(ctx).Error("gave up a manual change of a queue that cannot be recorded", "error", t.err)
		q.state.ChangeUnrecordable(cause(t.err))
		t.reset()
	}
}
