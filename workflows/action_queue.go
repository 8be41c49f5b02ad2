package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// ActionQueueWorkflow is the durable FIFO semaphore of one queue. See the package documentation.
func ActionQueueWorkflow(ctx workflow.Context, input QueueInput) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	queue := &actionQueue{
		key:      input.Queue,
		state:    input.State,
		memo:     memoOf(workflow.GetInfo(ctx)),
		acquires: signalChannel(ctx, SignalAcquire, "Put tickets into the queue."),
		releases: signalChannel(ctx, SignalRelease, "Free the slots of tickets that have ended."),
		cancels:  signalChannel(ctx, SignalCancel, "Take waiting tickets out of the queue."),
		retries:  signalChannel(ctx, SignalRetry, "Ask for the next attempts of tickets that keep their slots."),
		forces:   signalChannel(ctx, SignalForceContinueAsNew, "Continue as new at the next opportunity."),
	}
	if err := queue.describe(ctx); err != nil {
		return err
	}
	if err := queue.listen(ctx); err != nil {
		return err
	}
	if queue.state == nil {
		if err := queue.load(ctx); err != nil {
			return err
		}
	}
	for {
		queue.turn(ctx)
		if queue.foreign {
			if err := queue.rebuild(ctx); err != nil {
				return err
			}
			continue
		}
		if queue.closed(ctx) {
			return workflow.NewContinueAsNewError(ctx, ActionQueueWorkflowName,
				QueueInput{Queue: queue.key, State: queue.state})
		}
		if err := workflow.Await(ctx, func() bool { return queue.hasWork(ctx) }); err != nil {
			return fmt.Errorf("wait for work: %w", err)
		}
	}
}

// actionQueue is one run of an ActionQueueWorkflow. The workflow's main coroutine owns it. The handlers of updates change the
// state in one step, set changed, and read what the main coroutine has done about it.
type actionQueue struct {
	key   attune.QueueKey
	state *semaphore.State // nil while it is being loaded

	acquires, releases, cancels, retries, forces workflow.ReceiveChannel

	// At most one task of each kind is under way; work that comes up meanwhile goes with the next task.
	granting, recording, filling, doubting, inspecting, sleeping task
	timer                                                        timer

	memo    QueueMemo
	changed bool // by an update, since the last turn
	forced  bool // a signal asks to continue as new
	foreign bool // the state does not belong to the rows

	closing   bool      // the run takes no updates and starts nothing new, and ends when nothing is under way
	closeBy   time.Time // while it is closing: it ends whatever is under way
	abandoned bool      // handlers that still wait must return
}

// turn applies everything that has arrived, then starts what follows from it.
func (q *actionQueue) turn(ctx workflow.Context) {
	now := workflow.Now(ctx)
	q.changed = false
	q.collect(ctx, now)
	q.receive(now)
	q.state.Advance(now)
	q.close(ctx, now)
	q.perform(ctx, now)
	q.timer.set(ctx, q.nextDeadline(ctx, now))
	q.remember(ctx)
	workflow.SetCurrentDetails(ctx, q.details(now))
}

// receive empties the channels: releases first, so that a freed slot goes to a ticket that already waits.
func (q *actionQueue) receive(now time.Time) {
	for _, signal := range drain[TicketsSignal](q.releases) {
		q.state.Release(now, signal.Tickets)
	}
	for _, signal := range drain[TicketsSignal](q.cancels) {
		for _, ticket := range signal.Tickets {
			_, _ = q.state.Change(now, cancelOf(ticket)) // a ticket that does not wait any more is counted
		}
	}
	for _, signal := range drain[AcquireSignal](q.acquires) {
		q.state.SetPolicy(now, signal.Policy)
		q.state.Acquire(now, signal.Tickets)
	}
	for _, signal := range drain[RetriesSignal](q.retries) {
		q.state.Retry(now, signal.Retries)
	}
	if len(drain[any](q.forces)) > 0 {
		q.forced = true
	}
}

// cancelOf is the change that an EnforcementWorkflow asks for when it is cancelled. Each ticket is cancelled once.
func cancelOf(ticket attune.Ticket) attune.ChangeRequest {
	itself := EnforcementWorkflowID(ticket.Enforcement)
	return attune.ChangeRequest{
		ID: fmt.Sprintf("%s/%d", itself, ticket.Sequence), Kind: attune.ChangeCancel, Ticket: ticket,
		Author: attune.Author{
			Principal: attune.Principal{Name: itself, Method: attune.AuthSystem}, Note: "its workflow was cancelled",
		},
	}
}

// nextDeadline is when there is something to do although nothing has arrived; zero for never.
func (q *actionQueue) nextDeadline(ctx workflow.Context, now time.Time) time.Time {
	at, _ := q.state.WakeAt()
	if look, ok := q.state.SleepCheckAt(); ok {
		at = semaphore.Earlier(at, look)
	}
	if inspect, ok := q.state.InspectAt(); ok && q.inspecting.idle(now) && !q.closing {
		at = semaphore.Earlier(at, inspect)
	}
	for _, t := range q.tasks() {
		if !t.running() && t.retryAt.After(now) {
			at = semaphore.Earlier(at, t.retryAt)
		}
	}
	if grown := workflow.GetInfo(ctx).WorkflowStartTime.Add(minRunAge); q.forced && grown.After(now) {
		at = semaphore.Earlier(at, grown)
	}
	if q.closing && !q.abandoned {
		at = semaphore.Earlier(at, q.closeBy)
	}
	return at
}

// hasWork reports whether a turn has something to do.
func (q *actionQueue) hasWork(ctx workflow.Context) bool {
	return q.acquires.Len() > 0 || q.releases.Len() > 0 || q.cancels.Len() > 0 || q.retries.Len() > 0 || q.forces.Len() > 0 ||
		slices.ContainsFunc(q.tasks(), (*task).done) || q.timer.fired() || q.changed || q.closed(ctx)
}

func (q *actionQueue) tasks() []*task {
	return []*task{&q.granting, &q.recording, &q.filling, &q.doubting, &q.inspecting, &q.sleeping}
}

// close begins the end of a run that is to continue as new. It is asked in every turn, so that a steady stream of signals,
// updates or activities cannot keep the run from ending.
func (q *actionQueue) close(ctx workflow.Context, now time.Time) {
	info := workflow.GetInfo(ctx)
	wanted := q.forced || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxHistory
	if wanted && !q.closing && now.Sub(info.WorkflowStartTime) >= minRunAge {
		q.closing, q.closeBy = true, now.Add(closingTime)
	}
	q.abandoned = q.closing && !now.Before(q.closeBy)
}

// closed reports whether the run can end: it is closing, every signal that was received is in the state, and nothing is under
// way, or has been for too long.
func (q *actionQueue) closed(ctx workflow.Context) bool {
	if !q.closing || !workflow.AllHandlersFinished(ctx) {
		return false
	}
	return q.abandoned || !slices.ContainsFunc(q.tasks(), (*task).running)
}

func (q *actionQueue) load(ctx workflow.Context) error {
	state := new(semaphore.State)
	if err := do(ctx, "load "+string(q.key), ActivityLoadQueue, q.key, state); err != nil {
		return fmt.Errorf("load queue %q: %w", q.key, err)
	}
	state.Rebuilt(workflow.Now(ctx))
	q.state = state
	return nil
}

// rebuild replaces a state that does not belong to the rows: the database was restored to an earlier time. What is under way for
// the old state means nothing to the new one.
func (q *actionQueue) rebuild(ctx workflow.Context) error {
	workflow.GetLogger(ctx).Error("the rows of a queue have lost tickets that it has seen: it is rebuilt from the rows", "queue", q.key)
	q.state, q.foreign = nil, false
	for _, t := range q.tasks() {
		*t = task{}
	}
	return q.load(ctx)
}

func signalChannel(ctx workflow.Context, name, description string) workflow.ReceiveChannel {
	return workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: description})
}

// drain receives everything that is there, without waiting.
func drain[T any](channel workflow.ReceiveChannel) []T {
	var all []T
	for channel.Len() > 0 {
		var one T
		if !channel.ReceiveAsync(&one) {
			break
		}
		all = append(all, one)
	}
	return all
}
