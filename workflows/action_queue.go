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
		logic:    workflow.GetVersion(ctx, logicChange, workflow.DefaultVersion, logicVersion),
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
		if queue.mayContinueAsNew(ctx) {
			return workflow.NewContinueAsNewError(ctx, ActionQueueWorkflowName,
				QueueInput{Queue: queue.key, State: queue.state})
		}
		if err := workflow.Await(ctx, queue.hasWork); err != nil {
			return fmt.Errorf("wait for work: %w", err)
		}
	}
}

// actionQueue is one run of an ActionQueueWorkflow. Only the workflow's main coroutine touches it.
type actionQueue struct {
	key   attune.QueueKey
	logic workflow.Version // of the code that the run was started with
	state *semaphore.State

	acquires, releases, cancels, retries, forces workflow.ReceiveChannel

	// At most one of each is under way; what has come up meanwhile goes with the next.
	granting, settling, filling, logging, inspecting, parking task
	timer                                                     timer

	memo    QueueMemo
	changed bool // by an update, since the last turn
	forced  bool // somebody asked to continue as new
}

// turn applies everything that has arrived, then sees to it that what follows from it is done.
func (q *actionQueue) turn(ctx workflow.Context) {
	now := workflow.Now(ctx)
	q.changed = false
	q.collect(ctx, now)
	q.receive(now)
	q.state.Advance(now)
	q.perform(ctx, now)
	q.timer.set(ctx, q.nextDeadline(ctx), q.logic >= logicParking)
	if q.logic >= logicParking {
		q.remember(ctx)
	}
	workflow.SetCurrentDetails(ctx, q.details(now))
}

// receive empties the channels: releases first, so that a slot freed by now goes to those who already wait.
func (q *actionQueue) receive(now time.Time) {
	for _, signal := range drain[TicketsSignal](q.releases) {
		q.state.Release(now, signal.Tickets)
	}
	for _, signal := range drain[TicketsSignal](q.cancels) {
		for _, ticket := range signal.Tickets {
			itself := attune.Principal{Name: EnforcementWorkflowID(ticket.Enforcement), Method: attune.AuthSystem}
			q.state.Cancel(now, attune.Author{Principal: itself, Note: "its workflow was cancelled"}, ticket)
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

// nextDeadline is when there is something to do although nothing has arrived; zero for never.
func (q *actionQueue) nextDeadline(ctx workflow.Context) time.Time {
	at, _ := q.state.WakeAt()
	if inspect, ok := q.state.InspectAt(); ok && q.logic >= logicControl {
		at = semaphore.Earlier(at, inspect)
	}
	if q.logic < logicParking {
		return at
	}
	if look, ok := q.state.LookAt(); ok {
		at = semaphore.Earlier(at, look)
	}
	if grown := workflow.GetInfo(ctx).WorkflowStartTime.Add(minRunAge); q.forced && grown.After(workflow.Now(ctx)) {
		at = semaphore.Earlier(at, grown)
	}
	return at
}

// hasWork reports whether a turn has something to do.
func (q *actionQueue) hasWork() bool {
	return q.acquires.Len() > 0 || q.releases.Len() > 0 || q.cancels.Len() > 0 || q.retries.Len() > 0 || q.forces.Len() > 0 ||
		slices.ContainsFunc(q.tasks(), (*task).done) || q.timer.fired() || q.changed
}

func (q *actionQueue) tasks() []*task {
	return []*task{&q.granting, &q.settling, &q.filling, &q.logging, &q.inspecting, &q.parking}
}

// mayContinueAsNew is asked right after a turn, so that every signal that has been received is in the state.
func (q *actionQueue) mayContinueAsNew(ctx workflow.Context) bool {
	if slices.ContainsFunc(q.tasks(), (*task).running) || !workflow.AllHandlersFinished(ctx) {
		return false
	}
	info := workflow.GetInfo(ctx)
	if workflow.Now(ctx).Sub(info.WorkflowStartTime) < minRunAge {
		return false
	}
	return q.forced || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxHistory
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
