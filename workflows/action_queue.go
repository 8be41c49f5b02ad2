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
	if err := checkQueueID(ctx, input.Queue); err != nil {
		return err
	}
	queue := &actionQueue{
		key:      input.Queue,
		state:    input.State,
		awaited:  input.Policy,
		memo:     memoOf(workflow.GetInfo(ctx)),
		acquires: signalChannel(ctx, SignalAcquire, "Put tickets into the queue."),
		releases: signalChannel(ctx, SignalRelease, "Free the slots of tickets that have ended."),
		cancels:  signalChannel(ctx, SignalCancel, "Take waiting tickets out of the queue."),
		retries:  signalChannel(ctx, SignalRetry, "Ask for the next attempts of tickets that keep their slots."),
		forces:   signalChannel(ctx, SignalForceContinueAsNew, "Continue as new at the next opportunity."),
	}
	queue.resetTasks()
	if err := queue.registerQueries(ctx); err != nil {
		return err
	}
	if err := queue.registerUpdates(ctx); err != nil {
		return err
	}
	if queue.state == nil {
		if err := queue.load(ctx); err != nil {
			return err
		}
	}
	queue.adoptPolicy(workflow.Now(ctx)) // the decisions of the previous run are durable
	for {
		queue.turn(ctx)
		if queue.mismatched {
			if err := queue.rebuild(ctx); err != nil {
				return err
			}
			continue
		}
		if queue.closed(ctx) {
			return workflow.NewContinueAsNewError(ctx, ActionQueueWorkflowName,
				QueueInput{Queue: queue.key, State: queue.state, Policy: queue.awaited})
		}
		if err := workflow.Await(ctx, func() bool { return queue.hasWork(ctx) }); err != nil {
			return fmt.Errorf("wait for work: %w", err)
		}
	}
}

// checkQueueID refuses a workflow that would act as a queue beside the queue's own workflow.
func checkQueueID(ctx workflow.Context, key attune.QueueKey) error {
	id, want := workflow.GetInfo(ctx).WorkflowExecution.ID, QueueWorkflowID(key)
	if id == want {
		return nil
	}
	return refusal(attune.Errorf(attune.CodeInvalid, "workflow %q cannot be queue %q: start it with the id %q", id, key, want))
}

// actionQueue is one run of an ActionQueueWorkflow. Its main coroutine writes all fields. Update handlers also change state and
// set changed; coroutines of a workflow never run in parallel.
type actionQueue struct {
	key   attune.QueueKey
	state *semaphore.State // nil while the queue is being loaded

	acquires, releases, cancels, retries, forces workflow.ReceiveChannel

	// At most one activity of each kind runs at a time; new work of that kind waits for the next one.
	tasks                 []*task // in the order in which they begin
	recording, inspecting *task   // two of tasks
	timer                 timer

	awaited *attune.QueuePolicy // a policy to adopt when the decisions so far are durable: see setPolicy
	durable workflow.Future     // ready when they are; nil without an awaited policy

	memo       QueueMemo // as last written
	changed    bool      // an update changed the state since the last turn
	forced     bool      // a signal requested to continue as new
	mismatched bool      // the rows contradict the state: the database was restored

	closing   bool      // the run refuses updates, starts almost nothing new, and ends when no activity runs
	closeBy   time.Time // when a closing run ends although activities run
	abandoned bool      // closeBy has passed: waiting update handlers return
}

// turn applies all results, signals and deadlines that have arrived, and then starts the activities that follow.
func (q *actionQueue) turn(ctx workflow.Context) {
	now := workflow.Now(ctx)
	q.changed = false
	for _, t := range q.tasks {
		t.collect(ctx, now)
	}
	if q.policyDue() {
		q.adoptPolicy(now)
	}
	q.receive(ctx, now)
	q.state.Advance(now)
	q.close(ctx, now)
	q.perform(ctx, now)
	q.timer.set(ctx, q.nextDeadline(ctx, now))
	q.updateMemo(ctx)
	workflow.SetCurrentDetails(ctx, q.details(now))
}

// receive applies all received signals. Releases come first, so that a freed slot goes to a waiting ticket and not to a
// newcomer.
func (q *actionQueue) receive(ctx workflow.Context, now time.Time) {
	for _, signal := range drain[TicketsSignal](q.releases) {
		q.state.Release(now, signal.Tickets)
	}
	for _, signal := range drain[TicketsSignal](q.cancels) {
		for _, ticket := range signal.Tickets {
			_, _ = q.state.Change(now, cancelOf(ticket)) // the state counts a ticket that does not wait
		}
	}
	for _, signal := range drain[AcquireSignal](q.acquires) {
		q.setPolicy(ctx, now, signal.Policy)
		q.state.Acquire(now, signal.Tickets)
	}
	for _, signal := range drain[RetriesSignal](q.retries) {
		q.state.Retry(now, signal.Retries)
	}
	if len(drain[any](q.forces)) > 0 {
		q.forced = true
	}
}

// cancelOf returns the request of a cancelled EnforcementWorkflow. Its id is the same for every cancel of the ticket, so only
// the first one counts.
func cancelOf(ticket attune.Ticket) attune.ChangeRequest {
	workflowID := EnforcementWorkflowID(ticket.Enforcement)
	return attune.ChangeRequest{
		ID: fmt.Sprintf("%s/%d", workflowID, ticket.Sequence), Kind: attune.ChangeCancel, Ticket: ticket,
		Author: attune.Author{
			Principal: attune.Principal{Name: workflowID, Method: attune.AuthSystem}, Note: "its workflow was cancelled",
		},
	}
}

// nextDeadline returns the time of the next turn if nothing arrives before; zero without a deadline.
func (q *actionQueue) nextDeadline(ctx workflow.Context, now time.Time) time.Time {
	at, _ := q.state.WakeAt()
	if inspect, ok := q.state.InspectAt(); ok && q.inspecting.idle(now) && !q.closing {
		at = attune.Earlier(at, inspect)
	}
	for _, t := range q.tasks {
		if !t.running() && t.retryAt.After(now) {
			at = attune.Earlier(at, t.retryAt)
		}
	}
	if oldEnough := workflow.GetInfo(ctx).WorkflowStartTime.Add(minRunAge); q.forced && oldEnough.After(now) {
		at = attune.Earlier(at, oldEnough)
	}
	if q.closing && !q.abandoned {
		at = attune.Earlier(at, q.closeBy)
	}
	return at
}

// hasWork reports whether a turn has something to do.
func (q *actionQueue) hasWork(ctx workflow.Context) bool {
	return q.acquires.Len() > 0 || q.releases.Len() > 0 || q.cancels.Len() > 0 || q.retries.Len() > 0 || q.forces.Len() > 0 ||
		slices.ContainsFunc(q.tasks, (*task).done) || q.timer.fired() || q.changed || q.closed(ctx) ||
		q.policyDue()
}

// close starts to close the run when it must continue as new. Every turn calls it, so that a steady stream of signals, updates
// or activities cannot prevent the end of the run.
func (q *actionQueue) close(ctx workflow.Context, now time.Time) {
	info := workflow.GetInfo(ctx)
	wanted := q.forced || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() >= maxHistory
	if wanted && !q.closing && now.Sub(info.WorkflowStartTime) >= minRunAge {
		q.closing, q.closeBy = true, now.Add(closingTime)
	}
	q.abandoned = q.closing && !now.Before(q.closeBy)
}

// closed reports whether the run can end: it is closing, its update handlers have returned, and no activity runs or closeBy has
// passed.
func (q *actionQueue) closed(ctx workflow.Context) bool {
	if !q.closing || !workflow.AllHandlersFinished(ctx) {
		return false
	}
	return q.abandoned || !slices.ContainsFunc(q.tasks, (*task).running)
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

// rebuild replaces a state that the rows contradict, after the database was restored to an earlier time. It drops running
// activities, because their results belong to the old state.
func (q *actionQueue) rebuild(ctx workflow.Context) error {
	workflow.GetLogger(ctx).Error("the database has lost tickets of a queue: the queue is rebuilt from its rows", "queue", q.key)
	q.state, q.mismatched = nil, false
	q.resetTasks()
	return q.load(ctx)
}

func signalChannel(ctx workflow.Context, name, description string) workflow.ReceiveChannel {
	return workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: description})
}

// drain receives all available values without waiting.
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
