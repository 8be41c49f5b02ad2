package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
)

// changesOf returns all manual changes of a queue, newest first.
func (c *cluster) changesOf(queue string) []api.QueueChange {
	c.t.Helper()
	changes, err := client.List[api.QueueChange](c.t.Context(), c.Client, "/queues/"+queue+"/changes", nil)
	require.NoError(c.t, err)
	return changes
}

// requirePromises requires that the program finds every promise of a queue kept.
func (c *cluster) requirePromises(queue string) {
	c.t.Helper()
	code, output := c.attune("queue", "verify", queue, "--url", c.base)
	require.Zero(c.t, code, output)
}

// TestChanges_TextThatCannotBeStored sends texts that no database stores, or that print differently. Each is refused
// without an effect on the queue.
func TestChanges_TextThatCannotBeStored(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start()
	c.control("e2e.step", "pause")
	waiting := c.run("e2e.step", map[string]any{"n": 1})
	texts := []string{`\u0000`, `\u001b[2J`, `two\nlines`, `\r`, `\t`, `\u007f`, `\u0085`, `\u2028`, `\u202e`}
	paths := map[string]string{
		"queues/e2e.step/resume":                       "POST",
		"queues/e2e.step/drain":                        "POST",
		"queues/e2e.step/limit/clear":                  "POST",
		fmt.Sprintf("enforcements/%d/cancel", waiting): "POST",
		"executions/1/cancel":                          "POST",
	}
	for path, method := range paths {
		for _, field := range []string{"note", "on_behalf_of"} {
			for _, text := range texts {
				status, answer := c.api(method, path, `{"`+field+`":"`+text+`"}`)
				require.True(t, status == http.StatusBadRequest || status == http.StatusUnprocessableEntity,
					"%s %s with %s %q: %d %s", method, path, field, text, status, answer)
			}
		}
	}
	require.Len(t, c.changesOf("e2e.step"), 1, "only the pause is recorded")
	c.control("e2e.step", "resume")
	c.finish("e2e.step", 1, 1)
	c.requirePromises("e2e.step")
}

// TestChanges_ManyAtOnce cancels waiting tickets from 24 callers while the orchestrator is killed repeatedly. Every
// response 200 has a record with its own number, and the record names the caller of that response. 240 tickets by
// default, 2 400 with ATTUNE_TEST_SCALE=10.
func TestChanges_ManyAtOnce(t *testing.T) {
	t.Parallel()
	const callers, kills = 24, 3
	tickets := 240 * scale(t)
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1) + "  max_queued: 100000\n"})
	c.start("--roles=api,bridge")
	orchestrator := c.start("--roles=orchestrator")
	c.control("e2e.step", "pause")
	ids := make([]attune.EnforcementID, tickets)
	for i := range ids {
		ids[i] = c.run("e2e.step", map[string]any{"n": i})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == int64(tickets) })

	var next, answered atomic.Int64
	accepted := make([]string, tickets) // the callers with a response 200
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() {
			name := fmt.Sprintf("caller-%d", caller)
			for i := next.Add(1) - 1; i < int64(tickets); i = next.Add(1) - 1 {
				if c.cancelWaiting(ids[i], name) {
					accepted[i] = name
				}
				answered.Add(1)
			}
		})
	}
	for kill := range kills {
		c.eventually("some are cancelled", func() bool { return answered.Load() >= int64((kill+1)*tickets/(kills+1)) })
		orchestrator.kill()
		orchestrator = c.start("--roles=orchestrator")
	}
	working.Wait()

	changes := c.changesOf("e2e.step")
	require.Len(t, changes, tickets+1, "one record for each cancel, one for the pause")
	requests, authors := map[string]bool{}, map[attune.EnforcementID]string{}
	for i, change := range changes {
		require.EqualValues(t, len(changes)-i, change.Number)
		require.False(t, requests[change.Request], "request %q is recorded twice", change.Request)
		requests[change.Request], authors[change.Enforcement] = true, change.OnBehalfOf
	}
	for i, id := range ids {
		require.NotEmpty(t, authors[id], "enforcement %d was cancelled by no caller", id)
		if accepted[i] != "" {
			require.Equal(t, accepted[i], authors[id])
		}
	}
	c.requirePromises("e2e.step")
}

// cancelWaiting cancels a waiting ticket, retries while the service is unavailable, and reports whether the response was
// 200. A conflict after a retry means that an earlier try succeeded and its response was lost.
func (c *cluster) cancelWaiting(id attune.EnforcementID, author string) bool {
	for {
		status, answer := c.api(http.MethodPost, fmt.Sprintf("enforcements/%d/cancel", id), fmt.Sprintf(`{"on_behalf_of":%q}`, author))
		switch status {
		case http.StatusOK, http.StatusConflict:
			return status == http.StatusOK
		case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			require.FailNow(c.t, "cancel", "%d %s", status, answer)
		}
	}
}
