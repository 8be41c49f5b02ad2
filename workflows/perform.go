package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// resetTasks creates one task per kind of pending decision. Their order is part of the workflow's logic.
func (q *actionQueue) resetTasks() {
	q.recording = &task{problem: "decisions cannot be recorded", plan: q.record}
	q.inspecting = &task{problem: "holders cannot be inspected", plan: q.inspect}
	q.tasks = []*task{
		q.recording,
		{problem: "grants cannot be delivered", plan: q.deliver},
		{problem: "a gap cannot be filled", plan: q.fill},
		{problem: "tickets cannot be verified", plan: q.verify},
		{problem: "workflows cannot be started asleep", plan: q.startSleepers},
		q.inspecting,
		{problem: "replaced executions cannot be ended", plan: q.endReplaced},
	}
}

// perform starts an activity for each kind of pending decision, unless an activity of that kind runs or pauses after a failure.
// A closing run only records decisions that callers wait for. The next run does the rest.
func (q *actionQueue) perform(ctx workflow.Context, now time.Time) {
	for _, t := range q.tasks {
		if !q.closing || t == q.recording {
			t.begin(ctx, now)
		}
	}
}

// deliver delivers grants. A local activity delivers them before their decision is durable. A repeated workflow task can then settle a
// ticket that was granted. The row of that ticket decides, and no ticket behind it is granted before the settlement is recorded.
//
// A queue whose repeated decision could differ delivers only durable decisions, by a regular activity: see
// [semaphore.State.DecidesAlike].
func (q *actionQueue) deliver(workflow.Context, time.Time) *try {
	grants := q.state.Deliverable(maxGrants)
	if len(grants) == 0 {
		return nil
	}
	return &try{
		local: len(grants) <= localBatch && q.state.DecidesAlike(), summary: fmt.Sprintf("grant %d", len(grants)),
		activity: ActivityDeliverGrants, input: GrantsInput{Queue: q.key, Grants: grants, Names: q.names()},
		apply: func(time.Time) { q.state.Delivered(grants) },
	}
}

// record records settlements and manual changes. It records manual changes by a regular activity only, which runs after the
// decision is durable. So the number and the outcome of a change are decided once.
func (q *actionQueue) record(ctx workflow.Context, _ time.Time) *try {
	decisions := attune.QueueDecisions{Settlements: q.state.UnrecordedSettlements(maxSettlements)}
	decisions.Control = q.state.UnrecordedChanges(maxChanges, len(decisions.Settlements))
	q.isolate(&decisions)
	settled, changed := len(decisions.Settlements), len(decisions.Control.Changes)
	if settled+changed == 0 || q.closing && changed == 0 && workflow.AllHandlersFinished(ctx) {
		return nil
	}
	var recorded DecisionsResult
	next := &try{
		local: changed == 0 && settled <= localBatch, summary: fmt.Sprintf("record %d settlements, %d changes", settled, changed),
		activity: ActivityRecordDecisions,
		input:    DecisionsInput{Queue: q.key, QueueDecisions: decisions, AsleepUpTo: q.state.AsleepUpTo()},
		output:   &recorded,
		apply: func(now time.Time) {
			q.state.SettlementsRecorded(now, settled, recorded.Held)
			q.state.ChangesRecorded(changed)
		},
	}
	if settled == 0 && changed == 1 {
		next.fail = q.giveUpChange
	}
	return next
}

// giveUpChange gives up a change that the database has refused several times on its own, because no try will succeed and later
// changes wait behind it.
func (q *actionQueue) giveUpChange(ctx workflow.Context) {
	if t := q.recording; t.refused() && t.failures > maxRefusals {
		workflow.GetLogger(ctx).Error("gave up a manual change of a queue that cannot be recorded", "error", t.err)
		q.state.ChangeUnrecordable(cause(t.err))
		t.reset()
	}
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
func (q *actionQueue) fill(workflow.Context, time.Time) *try {
	gap, ok := q.state.Missing()
	if !ok {
		return nil
	}
	gap.To = min(gap.To, gap.From+maxGap-1)
	var tickets []attune.Ticket
	return &try{
		local: true, summary: fmt.Sprintf("find %d–%d", gap.From, gap.To),
		activity: ActivityReadTickets, input: GapInput{Queue: q.key, Gap: gap}, output: &tickets,
		apply: func(now time.Time) { q.state.Backfill(now, gap, tickets) },
	}
}

// verify reads the rows of reacquired tickets: see [semaphore.State.Reacquired].
func (q *actionQueue) verify(workflow.Context, time.Time) *try {
	tickets := q.state.Reacquired()
	if len(tickets) == 0 {
		return nil
	}
	var waiting []attune.Ticket
	return &try{
		local: true, summary: fmt.Sprintf("verify %d", len(tickets)),
		activity: ActivityStillWaiting, input: TicketsInput{Queue: q.key, Tickets: tickets}, output: &waiting,
		apply: func(time.Time) {
			q.mismatched = len(waiting) > 0
			q.state.ConfirmEnded(len(tickets))
		},
	}
}

// startSleepers starts the workflows of long waiting tickets asleep. It always uses a regular activity, because no ticket waits
// for these starts.
func (q *actionQueue) startSleepers(workflow.Context, time.Time) *try {
	tickets := q.state.SleepersToStart(maxSleepers)
	if len(tickets) == 0 {
		return nil
	}
	return &try{
		summary: fmt.Sprintf("start %d asleep", len(tickets)), activity: ActivityStartSleepers,
		input: TicketsInput{Queue: q.key, Tickets: tickets, Names: q.names()},
		apply: func(time.Time) { q.state.SleepersStarted(tickets) },
	}
}

// endReplaced asks the holders that later newcomers replace to end. It uses a regular activity only, which runs after the decision is
// durable, because a decision that is taken anew can keep the holder.
func (q *actionQueue) endReplaced(workflow.Context, time.Time) *try {
	grants := q.state.ToEnd(maxGrants)
	if len(grants) == 0 {
		return nil
	}
	return &try{
		summary: fmt.Sprintf("end %d replaced", len(grants)), activity: ActivityEndReplaced,
		input: GrantsInput{Queue: q.key, Grants: grants},
		apply: func(time.Time) { q.state.AskedToEnd(grants) },
	}
}

// inspect reads the rows of holders that are due for inspection.
func (q *actionQueue) inspect(_ workflow.Context, now time.Time) *try {
	suspects := q.state.Suspects(now)
	if len(suspects) == 0 {
		return nil
	}
	var inspection InspectionResult
	return &try{
		local: len(suspects) <= localBatch, summary: fmt.Sprintf("inspect %d", len(suspects)),
		activity: ActivityInspectHolders, input: GrantsInput{Queue: q.key, Grants: suspects}, output: &inspection,
		apply: func(now time.Time) { q.state.Inspected(now, inspection.Ended, inspection.Waiting) },
	}
}

// names returns the references of the actions of a shared queue.
func (q *actionQueue) names() ActionNames {
	var names ActionNames
	for _, of := range q.state.Policy().Actions {
		if of.Ref != "" {
			names = append(names, ActionName{Action: of.Action, Ref: of.Ref})
		}
	}
	return names
}
