package workflows_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/semaphore"
	"github.com/attune-go/attune/workflows"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world stands for everything outside of Temporal: the rows, the broker and the workers of attune, in memory. It plays
// them with the same promises (compare-and-set, idempotence), and remembers what was done in which order.
type world struct {
	mu      sync.Mutex
	rows    map[attune.EnforcementID]*row
	order   []attune.EnforcementID // by sequence
	policy  attune.QueuePolicy
	started []attune.Grant // in the order in which executions were requested
	active  int
	most    int // highest number of executions at the same time
	doubled []attune.EnforcementID
	control attune.QueueControl

	generation               int64
	inspectAfter, sleepAfter time.Duration // replace the usual intervals when they are not 0

	// run plays the worker: it is called in a goroutine of its own and ends the execution by returning.
	run    func(attune.EnforcementID)
	report func(attune.Ticket)

	refuses    func(attune.QueueDecisions) error // says why decisions cannot be recorded
	admitting  func()                            // is called when an enforcement acquires for itself
	requesting func(attune.Grant)                // is called with every grant that is about to be acted upon

	// fails says which attempts fail and are tried again, and where; nil is none.
	fails     func(id attune.EnforcementID, attempt int) bool
	placement attune.RetryPlacement
	again     func(*row) // asks the queue for the next attempt
}

type row struct {
	ticket   attune.Ticket
	status   attune.EnforcementStatus
	reason   attune.Reason
	grant    attune.Grant
	attempt  int // of the execution; 0: there is none
	claimed  int // the last attempt that was claimed
	retrying bool
}

const queueKey attune.QueueKey = "test.deploy"

func newWorld(limit int) *world {
	return &world{
		rows:   map[attune.EnforcementID]*row{},
		policy: attune.QueuePolicy{Revision: 1, Limit: limit, MaxQueued: 10_000, Overflow: attune.OverflowReject},
		run:    func(attune.EnforcementID) {},

		admitting: func() {}, requesting: func(attune.Grant) {}, refuses: func(attune.QueueDecisions) error { return nil },
	}
}

// accept adds n accepted enforcements and returns what to signal for them.
func (w *world) accept(n int) attune.Admission {
	w.mu.Lock()
	defer w.mu.Unlock()
	admission := attune.Admission{Queue: queueKey, Policy: w.policy}
	for range n {
		id := attune.EnforcementID(100 + len(w.order))
		ticket := attune.Ticket{Enforcement: id, Sequence: int64(len(w.order) + 1), EnqueuedAt: time.Now().UTC().Truncate(time.Millisecond)}
		w.rows[id] = &row{ticket: ticket, status: attune.EnforcementQueued}
		w.order = append(w.order, id)
		admission.Tickets = append(admission.Tickets, ticket)
	}
	return admission
}

func (w *world) Rebuild(context.Context, attune.QueueKey) (attune.QueueSnapshot, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generation++
	snapshot := attune.QueueSnapshot{
		Policy: w.policy, Generation: w.generation, LastSequence: int64(len(w.order)),
		Mode: w.control.Mode, Override: w.control.Override, LastChange: int64(len(w.control.Changes)),
	}
	for i, id := range w.order {
		r := w.rows[id]
		snapshot.LastGrant = max(snapshot.LastGrant, r.grant.Number)
		if r.ticket.Sequence != int64(i+1) {
			continue // a place that it no longer has
		}
		switch r.status {
		case attune.EnforcementQueued:
			snapshot.Waiting = append(snapshot.Waiting, r.ticket)
		case attune.EnforcementGranted:
			snapshot.Holders = append(snapshot.Holders, r.grant)
		}
	}
	return snapshot, nil
}

func (w *world) Tickets(_ context.Context, _ attune.QueueKey, from, to int64) ([]attune.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var tickets []attune.Ticket
	for sequence := from; sequence <= to; sequence++ {
		if r := w.rows[w.order[sequence-1]]; r.status == attune.EnforcementQueued && r.ticket.Sequence == sequence {
			tickets = append(tickets, r.ticket)
		}
	}
	return tickets, nil
}

func (w *world) Record(
	_ context.Context, _ attune.QueueKey, decisions attune.QueueDecisions,
) (held []attune.Grant, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refuses(decisions); err != nil {
		return nil, err
	}
	for _, s := range decisions.Settlements {
		switch r := w.rows[s.Enforcement]; {
		case r.ticket.Sequence != s.Sequence:
		case r.status == attune.EnforcementQueued:
			r.status, r.reason = s.Status, s.Reason
		case r.status == attune.EnforcementGranted || r.status == attune.EnforcementParked || r.status == attune.EnforcementExecuted:
			held = append(held, r.grant)
		}
	}
	w.recordControl(decisions.Control)
	return held, nil
}

func (w *world) recordControl(control attune.QueueControl) {
	for _, change := range control.Changes {
		if slices.ContainsFunc(w.control.Changes, func(c attune.QueueChange) bool { return c.Request == change.Request }) {
			continue
		}
		w.control.Mode, w.control.Override = control.Mode, control.Override
		w.control.Changes = append(w.control.Changes, change)
	}
}

func (w *world) Inspect(_ context.Context, _ attune.QueueKey, grants []attune.Grant) (ended, waiting []attune.Ticket, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, grant := range grants {
		switch r := w.rows[grant.Enforcement]; {
		case r.status.Terminal() || r.status == attune.EnforcementParked || r.ticket.Sequence != grant.Sequence:
			ended = append(ended, grant.Ticket)
		case r.status == attune.EnforcementQueued:
			waiting = append(waiting, r.ticket)
		}
	}
	return ended, waiting, nil
}

func (w *world) Admit(_ context.Context, ids []attune.EnforcementID) ([]attune.Admission, error) {
	w.admitting()
	w.mu.Lock()
	defer w.mu.Unlock()
	admission := attune.Admission{Queue: queueKey, Policy: w.policy}
	for _, id := range ids {
		if r := w.rows[id]; r != nil && r.status == attune.EnforcementQueued {
			admission.Tickets = append(admission.Tickets, r.ticket)
		}
	}
	if len(admission.Tickets) == 0 {
		return nil, nil
	}
	return []attune.Admission{admission}, nil
}

func (w *world) Get(_ context.Context, id attune.EnforcementID) (attune.Enforcement, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rows[id]
	if r == nil {
		return attune.Enforcement{}, attune.Errorf(attune.CodeNotFound, "there is no enforcement %d", id)
	}
	return attune.Enforcement{ID: id, Queue: queueKey, Sequence: r.ticket.Sequence, Status: r.status, QueuedAt: &r.ticket.EnqueuedAt}, nil
}

func (w *world) Request(_ context.Context, _ attune.QueueKey, grant attune.Grant) (attune.ExecutionRequest, error) {
	w.requesting(grant)
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rows[grant.Enforcement]
	switch {
	case grant.Generation < w.generation || r.ticket.Sequence != grant.Sequence || r.status == attune.EnforcementParked:
		return attune.ExecutionRequest{Fenced: true}, nil
	case r.status.Terminal():
		return attune.ExecutionRequest{Ended: true}, nil
	case r.status == attune.EnforcementQueued:
		r.status, r.grant, r.retrying = attune.EnforcementGranted, grant, false
		r.attempt++
		w.started = append(w.started, grant)
	case r.retrying && grant.Attempt == r.attempt+1:
		r.grant, r.attempt, r.retrying = grant, grant.Attempt, false
	}
	if r.retrying {
		return attune.ExecutionRequest{}, nil
	}
	return attune.ExecutionRequest{Message: &attune.ExecutionRequestedMessage{
		Execution: attune.ExecutionID(grant.Enforcement), Enforcement: grant.Enforcement, Attempt: r.attempt,
	}}, nil
}

// Publish plays the broker and the worker behind it: a message published twice is run once, because the claim says so.
func (w *world) Publish(_ context.Context, messages ...attune.Message) error {
	for _, message := range messages {
		request := message.(attune.ExecutionRequestedMessage)
		if w.claim(request.Enforcement, request.Attempt) {
			go w.work(request.Enforcement, request.Attempt)
		}
	}
	return nil
}

func (w *world) claim(id attune.EnforcementID, attempt int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.rows[id]; r.claimed >= attempt || r.attempt != attempt {
		return false
	}
	w.rows[id].claimed = attempt
	w.active++
	w.most = max(w.most, w.active)
	return true
}

func (w *world) work(id attune.EnforcementID, attempt int) {
	w.run(id)
	w.mu.Lock()
	r := w.rows[id]
	if r.status != attune.EnforcementGranted || r.attempt != attempt {
		w.doubled = append(w.doubled, id)
	}
	w.active--
	failed := w.fails != nil && w.fails(id, attempt)
	if failed {
		w.retry(r)
	} else {
		r.status = attune.EnforcementExecuted
	}
	ticket := r.ticket
	w.mu.Unlock()
	if failed {
		w.again(r)
	} else {
		w.report(ticket)
	}
}

// retry puts an enforcement to where it waits for its next attempt.
func (w *world) retry(r *row) {
	r.retrying = true
	switch w.placement {
	case attune.RetryBack:
		w.order = append(w.order, r.ticket.Enforcement)
		r.status = attune.EnforcementQueued
		r.ticket = attune.Ticket{
			Enforcement: r.ticket.Enforcement, Sequence: int64(len(w.order)), Attempt: r.attempt + 1,
			EnqueuedAt: time.Now().UTC().Truncate(time.Millisecond),
		}
	case attune.RetryPark:
		r.status = attune.EnforcementParked
	}
}

func (w *world) count(status attune.EnforcementStatus) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.rows {
		if r.status == status {
			n++
		}
	}
	return n
}

// requireOrder checks the promises after the fact: by number, the sequences of all grants of a generation rise, and nobody
// ran twice.
func (w *world) requireOrder(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	grants := slices.Clone(w.started)
	slices.SortFunc(grants, func(a, b attune.Grant) int { return int(a.Number - b.Number) })
	for i := 1; i < len(grants); i++ {
		if grants[i-1].Generation != grants[i].Generation {
			require.Less(t, grants[i-1].Generation, grants[i].Generation)
			continue
		}
		require.Less(t, grants[i-1].Sequence, grants[i].Sequence, "grant %d passed grant %d", grants[i].Number, grants[i-1].Number)
	}
	require.LessOrEqual(t, w.most, w.policy.Limit)
	require.Empty(t, w.doubled)
}

// stage is a world with a real Temporal under it.
type stage struct {
	*world
	client client.Client
	queues *workflows.QueueClient
	marked bool // workflows carry the search attribute
}

func setup(t *testing.T, limit int) *stage {
	t.Helper()
	return setupWorld(t, newWorld(limit))
}

func setupWorld(t *testing.T, w *world) *stage {
	t.Helper()
	return setupStage(t, &stage{world: w, client: testenv.TemporalClient(t)})
}

func setupStage(t *testing.T, s *stage) *stage {
	t.Helper()
	s.queues = workflows.NewQueueClient(s.client)
	if s.marked {
		s.queues = s.queues.Marked()
	}
	ctx := t.Context()
	s.report = func(ticket attune.Ticket) { s.release(ctx, ticket) }
	s.again = func(r *row) { insist(ctx, func() error { return s.askAgain(ctx, r) }) }
	s.startWorkers(t)
	return s
}

// release tells the queue that an execution has ended, as the bridge does.
func (s *stage) release(ctx context.Context, ticket attune.Ticket) {
	insist(ctx, func() error { return s.queues.Release(ctx, queueKey, []attune.Ticket{ticket}) })
}

// insist repeats a signal until the server has taken it: the broker would deliver the message behind it again.
func insist(ctx context.Context, signal func() error) {
	for signal() != nil && ctx.Err() == nil {
	}
}

// askAgain tells the queue that an attempt has failed, as the bridge and the intake do.
func (s *stage) askAgain(ctx context.Context, r *row) error {
	s.mu.Lock()
	ticket, attempt := r.ticket, r.attempt
	s.mu.Unlock()
	switch s.placement {
	case attune.RetryBack:
		return s.queues.Acquire(ctx, attune.Admission{Queue: queueKey, Policy: s.policy, Tickets: []attune.Ticket{ticket}})
	case attune.RetryPark:
		return s.queues.Release(ctx, queueKey, []attune.Ticket{ticket})
	default:
		ticket.Attempt = attempt + 1
		return s.queues.Retry(ctx, queueKey, []attune.Retry{{Ticket: ticket, NotBefore: time.Now().Add(200 * time.Millisecond)}})
	}
}

// startWorkers starts the temporal workers of an orchestrator and returns what stops them.
func (s *stage) startWorkers(t testing.TB) (stop func()) {
	t.Helper()
	queueWorker := worker.New(s.client, workflows.QueueTaskQueue, workflows.QueueWorkerOptions())
	enforcementWorker := worker.New(s.client, workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions())
	queueActivities := activities.NewQueueActivities(s.world, s.world, s.client, activities.QueuesConfig{
		InspectAfter: s.inspectAfter, SleepAfter: s.sleepAfter, Marked: s.marked,
	})
	enforcementActivities := activities.NewEnforcementActivities(s.world, s.world, s.world, s.queues)
	workflows.Register(queueWorker)
	workflows.Register(enforcementWorker)
	queueActivities.Register(queueWorker)
	enforcementActivities.Register(enforcementWorker)
	require.NoError(t, queueWorker.Start())
	require.NoError(t, enforcementWorker.Start())
	stop = sync.OnceFunc(func() { queueWorker.Stop(); enforcementWorker.Stop() })
	t.Cleanup(stop)
	return stop
}

func (s *stage) acquire(t *testing.T, n int) attune.Admission {
	t.Helper()
	admission := s.accept(n)
	s.eventually(t, "the signal is taken", func() bool { return s.queues.Acquire(t.Context(), admission) == nil })
	return admission
}

// eventually waits for a predicate and prints the last state of the queue if it never comes true.
func (s *stage) eventually(t *testing.T, what string, predicate func() bool) {
	t.Helper()
	// For a machine that is busy with everything else; not so long that a look after holders makes good what was lost.
	deadline := time.Now().Add(semaphore.InspectAfter - time.Minute)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !predicate() {
		if time.Now().After(deadline) {
			view, err := s.queues.View(context.Background(), queueKey)
			require.FailNow(t, "never came true: "+what, "queue: %+v (%v)", view, err)
		}
		<-ticker.C
	}
}

// view asks until there is an answer: a queue that is being rebuilt has none yet, and one whose task was lost has none in time.
func (s *stage) view(t *testing.T) (view workflows.QueueView) {
	t.Helper()
	s.eventually(t, "the queue answers", func() (answered bool) {
		var err error
		view, err = s.queues.View(t.Context(), queueKey)
		return err == nil
	})
	return view
}

func (s *stage) runID(t *testing.T, workflowID string) string {
	t.Helper()
	description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err, "describe %q", workflowID)
	return description.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// rests waits until a workflow has nothing under way: it knows of everything that has happened before.
func (s *stage) rests(t *testing.T, workflowID string) {
	t.Helper()
	s.eventually(t, workflowID+" rests", func() bool {
		description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
		require.NoError(t, err, "describe %q", workflowID)
		return description.GetPendingWorkflowTask() == nil && len(description.GetPendingActivities()) == 0
	})
}
