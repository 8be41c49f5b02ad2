package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// perform starts an activity for each kind of thing the state wants done, unless one of that kind is under way.
func (q *actionQueue) perform(ctx workflow.Context, now time.Time) {
	if grants := q.deliverable(); len(grants) > 0 && !q.granting.running() {
		q.granting.start(ctx, len(grants) <= quickGrants, fmt.Sprintf("grant %d", len(grants)),
			ActivityDeliverGrants, GrantsInput{Queue: q.key, Grants: grants})
		q.granting.grants = grants
	}
	if settlements := q.state.Unrecorded(maxSettlements); len(settlements) > 0 && !q.settling.running() {
		q.settling.start(ctx, len(settlements) <= quickGrants, fmt.Sprintf("settle %d", len(settlements)),
			ActivityRecordSettlements, SettlementsInput{
				Queue: q.key, Settlements: settlements, ParkedUpTo: q.state.ParkedUpTo(),
			})
		q.settling.settled = len(settlements)
	}
	if gap, ok := q.state.Missing(); ok && !q.filling.running() {
		q.filling.start(ctx, true, fmt.Sprintf("look for %d–%d", gap.From, gap.To),
			ActivityReadTickets, GapInput{Queue: q.key, Gap: gap})
		q.filling.gap = gap
	}
	if q.logic >= logicControl {
		q.lookAfter(ctx, now)
	}
	if q.logic >= logicParking {
		q.park(ctx)
	}
}

// deliverable are the grants to deliver next. They go out before the decision behind them is durable, so a run that is done
// again may find that it has granted what it now settles: the row decides, and until it has, nobody behind is granted.
func (q *actionQueue) deliverable() []attune.Grant {
	if q.logic >= logicParking {
		return q.state.Deliverable(maxGrants)
	}
	return q.state.Undelivered(maxGrants)
}

// park is never in a hurry, so it always takes the way that keeps no workflow task open.
func (q *actionQueue) park(ctx workflow.Context) {
	if tickets := q.state.Unparked(maxParked); len(tickets) > 0 && !q.parking.running() {
		q.parking.start(ctx, false, fmt.Sprintf("park %d", len(tickets)),
			ActivityParkTickets, ParkInput{Queue: q.key, Tickets: tickets})
		q.parking.tickets = tickets
	}
}

// lookAfter has changes made by hand recorded, and asks about those who have held their slots for long.
func (q *actionQueue) lookAfter(ctx workflow.Context, now time.Time) {
	if control := q.state.Unlogged(maxChanges); len(control.Changes) > 0 && !q.logging.running() {
		q.logging.start(ctx, true, fmt.Sprintf("record %d changes", len(control.Changes)),
			ActivityRecordControl, ControlInput{Queue: q.key, Control: control})
		q.logging.logged = len(control.Changes)
	}
	if !q.inspecting.running() {
		if suspects := q.state.Suspects(now); len(suspects) > 0 {
			q.inspecting.start(ctx, len(suspects) <= quickGrants, fmt.Sprintf("inspect %d", len(suspects)),
				ActivityInspectHolders, GrantsInput{Queue: q.key, Grants: suspects})
		}
	}
}

// collect takes in the outcome of what has been done. What failed is still wanted by the state and is started again by
// the same turn.
func (q *actionQueue) collect(ctx workflow.Context, now time.Time) {
	if q.granting.done() && q.granting.finish(ctx, nil) {
		q.state.Delivered(q.granting.grants)
	}
	var settled SettlementsResult
	if q.settling.done() && q.settling.finish(ctx, &settled) {
		if q.logic < logicParking {
			settled.Held = nil // the grants behind have been delivered, and cannot be taken back
		}
		q.state.Recorded(now, q.settling.settled, settled.Held)
	}
	var tickets []attune.Ticket
	if q.filling.done() && q.filling.finish(ctx, &tickets) {
		q.state.Backfill(now, q.filling.gap, tickets)
	}
	if q.logging.done() && q.logging.finish(ctx, nil) {
		q.state.Logged(q.logging.logged)
	}
	if q.parking.done() && q.parking.finish(ctx, nil) {
		q.state.Parked(q.parking.tickets)
	}
	var inspection InspectionResult
	if q.inspecting.done() && q.inspecting.finish(ctx, &inspection) {
		q.state.Inspected(now, inspection.Ended, inspection.Waiting)
	}
}

// task is one kind of activity of a queue, under way at most once at a time.
type task struct {
	future workflow.Future
	failed bool // the last one failed: the next is not tried inside of the workflow task

	// What the one under way is about.
	grants  []attune.Grant
	settled int
	logged  int
	gap     semaphore.Gap
	tickets []attune.Ticket
}

func (t *task) running() bool { return t.future != nil }
func (t *task) done() bool    { return t.future != nil && t.future.IsReady() }

func (t *task) start(ctx workflow.Context, quick bool, summary, activity string, input any) {
	if quick && !t.failed {
		t.future = workflow.ExecuteLocalActivity(quickly(ctx, summary), activity, input)
	} else {
		t.future = workflow.ExecuteActivity(patiently(ctx, summary), activity, input)
	}
}

// finish reports whether the one that is done has succeeded, and puts its result into output.
func (t *task) finish(ctx workflow.Context, output any) bool {
	err := t.future.Get(ctx, output)
	t.future, t.failed = nil, err != nil
	if err != nil {
		workflow.GetLogger(ctx).Warn("activity of a queue failed, it is tried again", "error", err)
	}
	return err == nil
}

// timer wakes the queue when the state wants it.
type timer struct {
	future workflow.Future
	cancel workflow.CancelFunc
	at     time.Time
}

func (t *timer) fired() bool { return t.future != nil && t.future.IsReady() }

// set sees to it that the queue wakes at the given time, or never for a zero one. A lenient timer may go off earlier, which
// costs a turn that finds nothing to do: the deadlines of a busy queue move on with every turn, and each move would be two
// more events in its history.
func (t *timer) set(ctx workflow.Context, at time.Time, lenient bool) {
	wanted := !at.IsZero()
	if t.fired() {
		t.future = nil
	}
	if t.future != nil && !(lenient && (!wanted || t.at.Before(at))) && (!wanted || !at.Equal(t.at)) {
		t.cancel()
		t.future = nil
	}
	if wanted && t.future == nil {
		timerCtx, cancel := workflow.WithCancel(ctx)
		t.future = workflow.NewTimerWithOptions(timerCtx, at.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: "next deadline"})
		t.cancel, t.at = cancel, at
	}
}
