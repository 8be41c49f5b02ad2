package workflows_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// historyLength is how many events the current run of a workflow has.
func (s *stage) historyLength(t *testing.T, workflowID string) int64 {
	t.Helper()
	description, err := s.client.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	return description.GetWorkflowExecutionInfo().GetHistoryLength()
}

// TestChanges_ManyAtOnce cancels tickets concurrently until the queue has continued as new twice. Each answer has a record, and
// each record has its own number and its caller.
func TestChanges_ManyAtOnce(t *testing.T) {
	t.Parallel()
	const callers = 24
	s := setup(t, 1)
	queueID := workflows.QueueWorkflowID(queueKey)
	_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", ""))
	require.NoError(t, err)
	tickets := s.acquire(t, 8000).Tickets

	var next atomic.Int64
	var enough atomic.Bool
	errs, askedBy := make([]error, len(tickets)), make([]string, len(tickets))
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() {
			for !enough.Load() {
				i := int(next.Add(1) - 1)
				if i >= len(tickets) {
					return
				}
				askedBy[i] = fmt.Sprintf("caller-%d", caller)
				_, errs[i] = s.queues.CancelByPerson(t.Context(), queueKey, tickets[i], authorNamed(askedBy[i], ""))
			}
		})
	}
	for range 2 {
		run := s.runID(t, queueID)
		s.eventually(t, "a new run under the load", func() bool {
			require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
			return s.runID(t, queueID) != run
		})
	}
	enough.Store(true)
	working.Wait()
	require.NoError(t, errors.Join(errs...))

	asked := min(int(next.Load()), len(tickets))
	recorded := s.recorded()
	require.Len(t, recorded, asked+1)
	authors := map[attune.EnforcementID]string{}
	for i, change := range recorded {
		require.EqualValues(t, i+1, change.Number)
		authors[change.Enforcement] = change.Principal.Name
	}
	for i, ticket := range tickets[:asked] {
		require.Equal(t, askedBy[i], authors[ticket.Enforcement])
	}
	require.Equal(t, asked, s.count(attune.EnforcementCancelled))
}

// TestChanges_RefusedForEver lets the rows refuse one change permanently. Its caller gets the error, and other changes succeed.
func TestChanges_RefusedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.refuses = func(decisions attune.QueueDecisions) error {
		for _, change := range decisions.Control.Changes {
			if change.Note == "refused" {
				return attune.Errorf(attune.CodeInvalid, "the note is refused")
			}
		}
		return nil
	}
	s := setupWorld(t, w)
	queueID := workflows.QueueWorkflowID(queueKey)
	_, err := s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: 2}, authorNamed("ada", "refused"))
	require.Equal(t, attune.CodeInternal, attune.CodeOf(err))
	require.ErrorContains(t, err, "the note is refused")
	require.EqualValues(t, 1, s.view(t).Counters.Unrecordable)
	require.Less(t, s.historyLength(t, queueID), int64(100), "a refusal is not tried again at once")

	s.acquire(t, 3)
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
	_, err = s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", "fine"))
	require.NoError(t, err)
	require.Len(t, s.recorded(), 1)
	require.Empty(t, s.view(t).Problem)
}

// TestChanges_RecordsAreSlow makes a change while the rows are unavailable. The change is in force at once, the queue can
// continue as new, and the caller gets the answer when the change is recorded.
func TestChanges_RecordsAreSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	var mu sync.Mutex
	away := true
	w.refuses = func(attune.QueueDecisions) error {
		mu.Lock()
		defer mu.Unlock()
		if away {
			return attune.Errorf(attune.CodeUnavailable, "the database is away")
		}
		return nil
	}
	s := setupWorld(t, w)
	queueID := workflows.QueueWorkflowID(queueKey)
	answered := make(chan error, 1)
	go func() {
		_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", ""))
		answered <- err
	}()
	s.eventually(t, "the queue is paused", func() bool { return s.view(t).Mode == attune.QueuePaused })
	require.Empty(t, s.recorded())
	first := s.runID(t, queueID)
	s.eventually(t, "a new run", func() bool {
		require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
		return s.runID(t, queueID) != first
	})
	require.Equal(t, attune.QueuePaused, s.view(t).Mode)
	mu.Lock()
	away = false
	mu.Unlock()
	require.NoError(t, <-answered)
	require.Len(t, s.recorded(), 1)
}

// TestChanges_ByTemporalsTools sends updates as people send them with Temporal's own tools.
func TestChanges_ByTemporalsTools(t *testing.T) {
	t.Parallel()
	s := setup(t, 1)
	s.acquire(t, 1)
	queueID := workflows.QueueWorkflowID(queueKey)
	update := func(name, id string, input any) error {
		handle, err := s.client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: queueID, UpdateName: name, UpdateID: id, Args: []any{input}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return err
		}
		return handle.Get(t.Context(), nil)
	}
	require.NoError(t, update(workflows.UpdatePause, "by-hand", map[string]any{"note": "maintenance", "on_behalf_of": "ada"}))
	change := s.recorded()[0]
	require.Equal(t, "by-hand", change.Request)
	require.Equal(t, attune.Principal{Name: "temporal", Method: attune.AuthTemporal}, change.Principal)
	require.Equal(t, "ada", change.OnBehalfOf)

	require.ErrorContains(t, update(workflows.UpdatePause, "again", map[string]any{}), "already paused")
	for r := range rune(0x20) {
		for field, input := range map[string]map[string]any{
			"note": {"note": string(r)}, "on_behalf_of": {"on_behalf_of": string(r)},
			"principal": {"principal": map[string]any{"name": string(r), "method": "temporal"}},
		} {
			require.ErrorContains(t, update(workflows.UpdateResume, fmt.Sprintf("%s-%d", field, r), input), field)
		}
	}
	for name, refused := range map[string]struct {
		input any
		says  string
	}{
		workflows.UpdateSetLimit:   {map[string]any{"note": "no number"}, "limit is missing"},
		workflows.UpdateClearLimit: {map[string]any{"limit": 3}, `unknown field "limit"`},
		workflows.UpdateCancel:     {map[string]any{"enforcement": 1, "seq": 1}, `unknown field "seq"`},
		workflows.UpdateDrain:      {map[string]any{"why": "?"}, `unknown field "why"`},
	} {
		require.ErrorContains(t, update(name, "refused-"+name, refused.input), refused.says)
	}
	handle, err := s.client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: queueID, UpdateName: workflows.UpdateSetLimit, UpdateID: "without an argument",
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(t.Context(), nil)
	}
	require.ErrorContains(t, err, "limit is missing")
	require.Len(t, s.recorded(), 1)

	require.NoError(t, update(workflows.UpdateSetLimit, "to 0", map[string]any{"limit": 0}))
	require.Equal(t, "0 by hand", s.recorded()[1].To)
	require.NoError(t, update(workflows.UpdateSetLimit, "of a lane", map[string]any{"limit": 5, "lane": 3}))
	require.NoError(t, update(workflows.UpdateClearLimit, "of the lane", map[string]any{"lane": 3}))
	for i, to := range []string{"5 by hand", "by policy"} {
		change := s.recorded()[2+i]
		require.Equal(t, attune.ChangeLaneLimit, change.Kind)
		require.EqualValues(t, 3, change.Lane)
		require.Equal(t, to, change.To)
	}
	require.ErrorContains(t, update(workflows.UpdateSetLimit, "of no lane", map[string]any{"limit": 5, "lane": -1}), "lane -1")
	require.NoError(t, update(workflows.UpdateClearLimit, "of the queue", map[string]any{}))
	require.Equal(t, attune.ChangeLimit, s.recorded()[4].Kind)
}
