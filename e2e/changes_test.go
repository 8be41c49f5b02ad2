package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	temporal "go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/workflows"
)

// changesOf returns all manual changes of a queue, newest first.
func (c *cluster) changesOf(queue string) []api.QueueChange {
	c.t.Helper()
	changes, err := client.List[api.QueueChange](c.t.Context(), c.Client, "/queues/"+queue+"/changes", nil)
	require.NoError(c.t, err)
	return changes
}

// requirePromises requires that the program finds every promise of every queue kept.
func (c *cluster) requirePromises() {
	c.t.Helper()
	code, output := c.attune("queue", "verify", "--url", c.base)
	require.Zero(c.t, code, output)
}

// TestChanges_ManyAtOnce cancels waiting tickets from 24 callers, through three API processes, while the orchestrator is
// killed repeatedly. Every response 200 has a record with its own number, and the record names the caller. Every caller
// gets a response in time. The queue continues as new before the engine suggests it.
//
// Short: 240 tickets and 3 kills. Long: 5000 tickets and 20 kills.
func TestChanges_ManyAtOnce(t *testing.T) {
	t.Parallel()
	const callers = 24
	tickets, kills := size(240, 5000), size(3, 20)
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1) + "  max_queued: 100000\n"})
	c.start("--roles=api,bridge")
	doors := []*cluster{c, c.startDoor(), c.startDoor()}
	orchestrator := c.start("--roles=orchestrator")
	c.control("e2e.step", "pause")
	engine := c.dialTemporal()
	first := newestRun(t, engine, workflows.QueueWorkflowID("e2e.step"))
	w := &withdrawal{ids: make([]attune.EnforcementID, tickets), asked: make([]string, tickets), made: make([]bool, tickets)}
	for i := range w.ids {
		w.ids[i] = c.run("e2e.step", map[string]any{"n": i})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == int64(tickets) })

	errs := make([]error, callers)
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() { errs[caller] = w.work(doors[caller%len(doors)], fmt.Sprintf("caller-%d", caller)) })
	}
	for kill := range kills {
		c.eventually("some are cancelled", func() bool { return w.answered.Load() >= int64((kill+1)*tickets/(kills+1)) })
		orchestrator.kill()
		orchestrator = c.start("--roles=orchestrator")
	}
	working.Wait()
	require.NoError(t, errors.Join(errs...))

	w.requireRecorded(t, c.changesOf("e2e.step"))
	c.requirePromises()
	runs := runsSince(t, engine, workflows.QueueWorkflowID("e2e.step"), first)
	longest := requireShort(t, runs)
	require.GreaterOrEqual(t, len(runs), size(1, 2), "the queue has continued as new, or this proves little: %+v", runs)
	measured(t, "%d changes by %d callers, %d answers of 200, the longest wait %s; %d kills; %d runs, the longest of %d events",
		tickets, callers, w.successes(), w.longest.Round(time.Millisecond), kills, len(runs), longest)
}

// startDoor starts one more API process and returns the cluster as that one shows it.
func (c *cluster) startDoor() *cluster {
	c.t.Helper()
	door := *c
	door.addr = fmt.Sprintf("127.0.0.1:%d", services.FreePort())
	door.base = "http://" + door.addr
	door.start("--roles=api", "--http-addr="+door.addr)
	return &door
}

// withdrawal is the work of callers that cancel waiting tickets.
type withdrawal struct {
	ids            []attune.EnforcementID
	next, answered atomic.Int64

	// Of each ticket, written by the caller that took it: the caller's name, and whether the answer was 200.
	asked []string
	made  []bool

	mu      sync.Mutex
	longest time.Duration // that a caller waited for one answer
}

func (w *withdrawal) successes() (n int) {
	for _, made := range w.made {
		if made {
			n++
		}
	}
	return n
}

// work cancels one ticket after the other until none is left.
func (w *withdrawal) work(door *cluster, name string) (err error) {
	for i := w.next.Add(1) - 1; i < int64(len(w.ids)); i = w.next.Add(1) - 1 {
		w.asked[i] = name
		if w.made[i], err = w.cancel(door, w.ids[i], name); err != nil {
			return err
		}
		w.answered.Add(1)
	}
	return nil
}

// cancel cancels a waiting ticket, again for as long as the service is away, and reports whether the answer was 200. A conflict
// after that says that an earlier try was made, and its answer lost.
func (w *withdrawal) cancel(door *cluster, id attune.EnforcementID, by string) (made bool, err error) {
	for deadline := time.Now().Add(testTimeout); ; {
		asked := time.Now()
		status, answer := door.api(http.MethodPost, fmt.Sprintf("enforcements/%d/cancel", id), fmt.Sprintf(`{"on_behalf_of":%q}`, by))
		w.note(time.Since(asked))
		away := status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
		switch {
		case status == http.StatusOK, status == http.StatusConflict:
			return status == http.StatusOK, nil
		case !away || time.Now().After(deadline):
			return false, fmt.Errorf("%s cancels enforcement %d: %d %s", by, id, status, answer)
		}
	}
}

// note keeps the longest wait.
func (w *withdrawal) note(wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, wait)
}

// requireRecorded requires one record for each ticket, with its own number and the caller that asked, and one for the pause.
func (w *withdrawal) requireRecorded(t *testing.T, changes []api.QueueChange) {
	t.Helper()
	require.Len(t, changes, len(w.ids)+1, "one for each cancel, one for the pause")
	requests, authors := map[string]bool{}, map[attune.EnforcementID]string{}
	for i, change := range changes {
		require.EqualValues(t, len(changes)-i, change.Number)
		require.False(t, requests[change.Request], "request %q is recorded twice", change.Request)
		requests[change.Request], authors[change.Enforcement] = true, change.OnBehalfOf
	}
	for i, id := range w.ids {
		require.Equal(t, w.asked[i], authors[id], "enforcement %d, answered 200: %t", id, w.made[i])
	}
	require.NotZero(t, w.successes())
}

// run is one run of a workflow.
type run struct {
	id              string
	events, updates int64
}

const (
	// suggestedEnd is the number of events from which the engine suggests to continue as new.
	suggestedEnd = 4096
	// mostUpdates is how many updates of one run the engine takes.
	mostUpdates = 2000
)

// requireShort requires that no run came near the limits of the engine, and returns the events of the longest.
func requireShort(t *testing.T, runs []run) (longest int64) {
	t.Helper()
	for _, r := range runs {
		require.Less(t, r.events, int64(suggestedEnd), "%+v", runs)
		require.Less(t, r.updates, int64(mostUpdates)/2, "%+v", runs)
		longest = max(longest, r.events)
	}
	return longest
}

func newestRun(t *testing.T, engine temporal.Client, workflowID string) (runID string) {
	t.Helper()
	answer, err := engine.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	return answer.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// runsSince follows a workflow from a run to its newest. Each must have continued as new, and the newest must be running.
func runsSince(t *testing.T, engine temporal.Client, workflowID, first string) (runs []run) {
	t.Helper()
	for id := first; id != ""; {
		r := run{id: id}
		next := ""
		events := engine.GetWorkflowHistory(t.Context(), workflowID, id, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			r.events++
			if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED {
				r.updates++
			}
			next = event.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
		}
		runs, id = append(runs, r), next
	}
	newest, err := engine.DescribeWorkflowExecution(t.Context(), workflowID, runs[len(runs)-1].id)
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, newest.GetWorkflowExecutionInfo().GetStatus())
	require.Equal(t, runs[len(runs)-1].id, newestRun(t, engine, workflowID), "the queue was lost and begun again")
	return runs
}
