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
	"github.com/attune-go/attune/internal/testenv"
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

	inspectAfter time.Duration // replaces the usual interval when it is not 0

	// run plays the worker: it is called in a goroutine of its own and ends the execution by returning.
	run    func(attune.EnforcementID)
	report func(attune.Ticket)
}

type row struct {
	ticket attune.Ticket
	status attune.EnforcementStatus
	reason attune.Reason
	grant  attune.Grant
}

const queueKey attune.QueueKey = "test.deploy"

func newWorld(limit int) *world {
	return &world{
		rows:   map[attune.EnforcementID]*row{},
		policy: attune.QueuePolicy{Revision: 1, Limit: limit, MaxQueued: 10_000, Overflow: attune.OverflowReject},
		run:    func(attune.EnforcementID) {},
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

func (w *world) Snapshot(context.Context, attune.QueueKey) (attune.QueueSnapshot, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	snapshot := attune.QueueSnapshot{
		Policy: w.policy, LastSequence: int64(len(w.order)),
		Mode: w.control.Mode, Override: w.control.Override, LastChange: int64(len(w.control.Changes)),
	}
	for _, id := range w.order {
		switch r := w.rows[id]; r.status {
		case attune.EnforcementQueued:
			snapshot.Waiting = append(snapshot.Waiting, r.ticket)
		case attune.EnforcementGranted:
			snapshot.Holders = append(snapshot.Holders, r.grant)
		}
		snapshot.LastGrant = max(snapshot.LastGrant, w.rows[id].grant.Number)
	}
	return snapshot, nil
}

func (w *world) Tickets(_ context.Context, _ attune.QueueKey, from, to int64) ([]attune.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var tickets []attune.Ticket
	for _, id := range w.order {
		if r := w.rows[id]; r.status == attune.EnforcementQueued && r.ticket.Sequence >= from && r.ticket.Sequence <= to {
			tickets = append(tickets, r.ticket)
		}
	}
	return tickets, nil
}

func (w *world) RecordControl(_ context.Context, _ attune.QueueKey, control attune.QueueControl) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.control.Mode, w.control.Override = control.Mode, control.Override
	for _, change := range control.Changes {
		if change.Number > int64(len(w.control.Changes)) {
			w.control.Changes = append(w.control.Changes, change)
		}
	}
	return nil
}

func (w *world) Ended(_ context.Context, _ attune.QueueKey, grants []attune.Grant) (ended, waiting []attune.Ticket, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, grant := range grants {
		switch r := w.rows[grant.Enforcement]; {
		case r.status.Terminal():
			ended = append(ended, r.ticket)
		case r.status == attune.EnforcementQueued:
			waiting = append(waiting, r.ticket)
		}
	}
	return ended, waiting, nil
}

func (w *world) Settle(_ context.Context, _ attune.QueueKey, settlements []attune.Settlement) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range settlements {
		if r := w.rows[s.Enforcement]; r.status == attune.EnforcementQueued {
			r.status, r.reason = s.Status, s.Reason
		}
	}
	return nil
}

func (w *world) Admit(_ context.Context, ids []attune.EnforcementID) ([]attune.Admission, error) {
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
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rows[grant.Enforcement]
	switch {
	case r.status == attune.EnforcementQueued:
		r.status, r.grant = attune.EnforcementGranted, grant
		w.started = append(w.started, grant)
	case r.status != attune.EnforcementGranted:
		return attune.ExecutionRequest{Ended: true}, nil
	}
	return attune.ExecutionRequest{Message: &attune.ExecutionRequestedMessage{
		Execution: attune.ExecutionID(grant.Enforcement), Enforcement: grant.Enforcement, Attempt: grant.Attempt,
	}}, nil
}

// Publish plays the broker and the worker behind it: a message published twice is run once, because the claim says so.
func (w *world) Publish(_ context.Context, messages ...attune.Message) error {
	for _, message := range messages {
		request := message.(attune.ExecutionRequestedMessage)
		if w.claim(request.Enforcement) {
			go w.work(request.Enforcement)
		}
	}
	return nil
}

func (w *world) claim(id attune.EnforcementID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rows[id].reason == "claimed" {
		return false
	}
	w.rows[id].reason = "claimed"
	w.active++
	w.most = max(w.most, w.active)
	return true
}

func (w *world) work(id attune.EnforcementID) {
	w.run(id)
	w.mu.Lock()
	if w.rows[id].status == attune.EnforcementExecuted {
		w.doubled = append(w.doubled, id)
	}
	w.rows[id].status = attune.EnforcementExecuted
	w.active--
	ticket := w.rows[id].ticket
	w.mu.Unlock()
	w.report(ticket)
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

// requireOrder checks the promises after the fact: by number, the sequences of all grants rise, and nobody ran twice.
func (w *world) requireOrder(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	grants := slices.Clone(w.started)
	slices.SortFunc(grants, func(a, b attune.Grant) int { return int(a.Number - b.Number) })
	for i := 1; i < len(grants); i++ {
		require.Less(t, grants[i-1].Sequence, grants[i].Sequence, "grant %d passed grant %d", grants[i].Number, grants[i-1].Number)
	}
	require.LessOrEqual(t, w.most, w.policy.Limit)
	require.Empty(t, w.doubled)
}

// stage is a world with a real Temporal under it.
type stage struct {
	*world
	client client.Client
	queues *workflows.Queues
}

func setup(t *testing.T, limit int) *stage {
	t.Helper()
	return setupWorld(t, newWorld(limit))
}

func setupWorld(t *testing.T, w *world) *stage {
	t.Helper()
	s := &stage{world: w, client: testenv.TemporalClient(t)}
	s.queues = workflows.NewQueues(s.client)
	ctx := t.Context()
	s.report = func(ticket attune.Ticket) { _ = s.queues.Release(ctx, queueKey, []attune.Ticket{ticket}) }
	s.startWorkers(t)
	return s
}

// startWorkers starts the temporal workers of an orchestrator and returns what stops them.
func (s *stage) startWorkers(t *testing.T) (stop func()) {
	t.Helper()
	queueWorker := worker.New(s.client, workflows.QueueTaskQueue, workflows.QueueWorkerOptions())
	enforcementWorker := worker.New(s.client, workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions())
	queueActivities := activities.NewQueues(s.world, s.world, s.client)
	if s.inspectAfter > 0 {
		queueActivities = queueActivities.InspectAfter(s.inspectAfter)
	}
	enforcementActivities := activities.NewEnforcements(s.world, s.world, s.world, s.queues)
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
	require.NoError(t, s.queues.Acquire(t.Context(), admission))
	return admission
}

// eventually waits for a predicate and prints the last state of the queue if it never comes true.
func (s *stage) eventually(t *testing.T, what string, predicate func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
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

func (s *stage) view(t *testing.T) workflows.QueueView {
	t.Helper()
	view, err := s.queues.View(t.Context(), queueKey)
	require.NoError(t, err)
	return view
}

func (s *stage) runID(t *testing.T, workflowID string) string {
	t.Helper()
	description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err, "describe %q", workflowID)
	return description.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}
