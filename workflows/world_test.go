package workflows_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// world simulates everything outside of Temporal in memory: the rows, the broker and attune's workers. It keeps their promises
// (compare-and-set, idempotence), and records the order of requests.
type world struct {
	mu      sync.Mutex // guards the fields of this block, and the rows
	rows    map[attune.EnforcementID]*row
	order   []attune.EnforcementID // by sequence
	policy  attune.QueuePolicy
	started []attune.Grant // in the order in which executions were requested
	active  int
	most    int                    // the highest number of parallel executions
	doubled []attune.EnforcementID // ran without holding a slot
	control attune.QueueControl

	widest   int64                  // the largest range of sequences that the queue read
	verified int                    // tickets that the queue verified
	replaced []attune.EnforcementID // asked to end, because a later enforcement replaces them

	// laneOf chooses the lane and the action of a new ticket, by its sequence. Without laneOf, all are in lane 0.
	laneOf func(sequence int64) (int32, attune.ActionID)

	generation               int64
	inspectAfter, sleepAfter time.Duration // replace the default intervals if they are not 0

	// run simulates the process of an execution, in a goroutine of its own. The execution ends when run returns.
	run    func(attune.EnforcementID)
	report func(attune.Ticket)

	refuses    func(attune.QueueDecisions) error // returns the error of recording decisions, if any
	admitting  func()                            // called before an enforcement is admitted
	requesting func(attune.Grant)                // called with every grant before its request

	// fails reports which attempts fail; placement says where they are retried. Without fails, no attempt fails.
	fails     func(id attune.EnforcementID, attempt int) bool
	placement attune.RetryPlacement
	again     func(*row) // requests the next attempt from the queue
}

type row struct {
	ticket   attune.Ticket
	status   attune.EnforcementStatus
	reason   attune.Reason
	grant    attune.Grant
	attempt  int // of the execution; 0 without one
	claimed  int // the last claimed attempt
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

// accept adds n accepted enforcements and returns their admission.
func (w *world) accept(n int) attune.Admission {
	w.mu.Lock()
	defer w.mu.Unlock()
	admission := attune.Admission{Queue: queueKey, Policy: w.policy}
	for range n {
		id := attune.EnforcementID(100 + len(w.order))
		ticket := attune.Ticket{Enforcement: id, Sequence: int64(len(w.order) + 1), EnqueuedAt: time.Now().UTC().Truncate(time.Millisecond)}
		if w.laneOf != nil {
			ticket.Lane, ticket.Action = w.laneOf(ticket.Sequence)
		}
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
			continue // a former place
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
	w.widest = max(w.widest, to-from+1)
	var tickets []attune.Ticket
	for sequence := from; sequence <= to; sequence++ {
		if r := w.rows[w.order[sequence-1]]; r.status == attune.EnforcementQueued && r.ticket.Sequence == sequence {
			tickets = append(tickets, r.ticket)
		}
	}
	return tickets, nil
}

func (w *world) StillWaiting(_ context.Context, _ attune.QueueKey, tickets []attune.Ticket) ([]attune.Ticket, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verified += len(tickets)
	return slices.DeleteFunc(slices.Clone(tickets), func(ticket attune.Ticket) bool {
		r := w.rows[ticket.Enforcement]
		return r == nil || r.status != attune.EnforcementQueued || !r.ticket.Same(ticket)
	}), nil
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

func (w *world) CancelReplaced(_ context.Context, _ attune.QueueKey, grants []attune.Grant) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, grant := range grants {
		if w.rows[grant.Enforcement].attempt == 0 {
			return attune.Errorf(attune.CodeUnavailable, "enforcement %d has no execution yet", grant.Enforcement)
		}
	}
	for _, grant := range grants {
		w.replaced = append(w.replaced, grant.Enforcement)
	}
	return nil
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
		return attune.Enforcement{}, attune.Errorf(attune.CodeNotFound, "enforcement %d does not exist", id)
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

// Publish simulates the broker and the worker. A message that is published twice runs once, because a claim succeeds once.
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

// retry moves an enforcement to the place where it waits for its next attempt.
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

// requireOrder checks that the sequences of the grants of a generation rise by number, that the limit was kept, and that no
// execution ran twice.
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
