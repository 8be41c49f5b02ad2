package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/workflows"
)

// verifyAction is a step that fails or takes long on request.
const verifyAction = `description: one step, or none
command: [sh, -c, 'case "$(cat)" in *fail*) exit 3;; *long*) sleep 600;; *) sleep 0.02;; esac']
policy:
  limit: 3
`

// TestVerify verifies queues with the program, from the data of its API only.
func TestVerify(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/mixed.yaml": verifyAction, "actions/other.yaml": verifyAction})
	c.start()
	// Before its first use, a queue shows its policy. A queue without an action is unknown.
	code, output := c.attune("queue", "show", "e2e.mixed", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `(?s)mode +open\nlimit +3, from: action e2e.mixed\n.*admitted +0\n.*max_queued +10000 +default\n`, output)
	code, output = c.attune("queue", "verify", "e2e.mixed", "--url", c.base)
	require.Zero(t, code, output)
	code, output = c.attune("queue", "show", "e2e.nothing", "--url", c.base)
	require.Equal(t, 1, code, output)
	require.Contains(t, output, "e2e.nothing")
	long := c.run("e2e.mixed", map[string]any{"kind": "long"})
	c.run("e2e.mixed", map[string]any{"kind": "fail"})
	for n := range 38 {
		c.run("e2e.mixed", map[string]any{"kind": "short", "n": n})
	}
	c.run("e2e.other", map[string]any{"kind": "short"})
	c.cancel(long)
	m := c.finish("e2e.mixed", 40, 3)
	require.Equal(t, map[string]int{"succeeded": 38, "failed": 1, "cancelled": 1}, m.Outcomes)
	c.finish("e2e.other", 1, 3)

	code, output = c.attune("queue", "verify", "e2e.mixed", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "e2e.mixed: every promise kept\n")
	require.Regexp(t, `tickets +40 +waiting 0, active 0, executed 40, dropped 0\n`, output)
	require.Regexp(t, `grants +40 +slots given back 40\n`, output)
	require.Regexp(t, `most active +[123] +at once\n`, output)
	require.NotContains(t, output, "e2e.other")

	code, output = c.attune("queue", "verify", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "e2e.mixed: every promise kept\n")
	require.Contains(t, output, "e2e.other: every promise kept\n")
	require.NotContains(t, output, "BROKEN")

	code, output = c.attune("queue", "show", "e2e.mixed", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `admitted +40\n`, output)

	code, output = c.attune("queue", "verify", "e2e.nothing", "--url", c.base)
	require.Equal(t, 1, code, output)
	require.Contains(t, output, "e2e.nothing")
}

// TestVerify_Retried retries failed steps at the back of the queue, and parks some.
func TestVerify_Retried(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{
		"actions/back.yaml": verifyAction + "  max_attempts: 3\n  retry_placement: back\n",
		"actions/hold.yaml": verifyAction + "  max_attempts: 2\n  retry_delay: 100ms\n  retry_placement: hold\n",
		"actions/park.yaml": verifyAction + "  max_attempts: 2\n  retry_placement: park\n",
	})
	c.start()
	for _, action := range []string{"e2e.back", "e2e.hold", "e2e.park"} {
		for n := range 10 {
			c.run(action, map[string]any{"kind": map[bool]string{true: "fail", false: "short"}[n%5 == 0], "n": n})
		}
	}
	for action, completed := range map[string]int{"e2e.back": 14, "e2e.hold": 10, "e2e.park": 10} {
		c.complete(action, completed)
	}

	code, output := c.attune("queue", "verify", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `e2e.back: every promise kept\n +tickets +14 +waiting 0, active 0, executed 10, dropped 0\n +retried +4 `, output)
	require.Regexp(t, `e2e.hold: every promise kept\n +tickets +10 +waiting 0, active 0, executed 10, dropped 0\n +grants +10 `, output)
	require.Regexp(t, `e2e.park: every promise kept\n +tickets +10 +waiting 0, active 0, executed 8, dropped 0\n +parked +2 `, output)
}

// TestVerify_Changed shows the manual changes of a queue, with the number of grants between them.
func TestVerify_Changed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": verifyAction})
	c.start()
	change := func(method, path, body string) {
		t.Helper()
		status, answer := c.api(method, "queues/e2e.step/"+path, body)
		require.Equal(t, http.StatusOK, status, answer)
	}
	run := func(total, n int) {
		t.Helper()
		for range n {
			c.run("e2e.step", map[string]any{"kind": "short"})
		}
		c.complete("e2e.step", total)
	}
	run(3, 3)
	change("POST", "pause", `{"on_behalf_of":"ada","note":"release"}`)
	for range 4 {
		c.run("e2e.step", map[string]any{"kind": "short"})
	}
	c.eventually("four tickets wait", func() bool { return c.stats("e2e.step").QueueLength == 4 })
	change("POST", "resume", `{"on_behalf_of":"ada"}`)
	run(7, 0)
	change("PUT", "limit", `{"on_behalf_of":"bob","limit":5}`)
	run(12, 5)
	change("POST", "limit/clear", `{"on_behalf_of":"bob"}`)
	run(14, 2)

	c.eventually("the changes are recorded", func() bool {
		changes, err := client.List[api.QueueChange](t.Context(), c.Client, "/queues/e2e.step/changes", nil)
		return err == nil && len(changes) == 4
	})

	code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "e2e.step: every promise kept\n")
	require.NotContains(t, output, "undecided")
	require.Regexp(t, `(?m)^ +1 +\S+ \S+ UTC +bootstrap for ada +mode: open → paused +0 in \S+ +release$`, output)
	require.Regexp(t, `(?m)^ +2 +\S+ \S+ UTC +bootstrap for ada +mode: paused → open +11 since`, output)
	require.Regexp(t, `(?m)^ +3 +\S+ \S+ UTC +bootstrap for bob +limit: 3 by policy → 5 by hand +5 in `, output)
	require.Regexp(t, `(?m)^ +4 +\S+ \S+ UTC +bootstrap for bob +limit: 5 by hand → 3 by policy +2 since`, output)
}

// TestVerify_Rebuilt terminates the queue's workflow repeatedly while tickets run; each time it is rebuilt from its rows.
func TestVerify_Rebuilt(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": verifyAction})
	engine := c.dialTemporal()
	c.start()
	for n := range 60 {
		c.run("e2e.step", map[string]any{"kind": "short", "n": n})
	}
	for lost := range int64(3) {
		c.eventually("the queue continues", func() bool { return c.stats("e2e.step").TotalCompleted >= 10*(lost+1) })
		c.eventually("the queue's workflow is terminated", func() bool {
			return engine.TerminateWorkflow(t.Context(), workflows.QueueWorkflowID("e2e.step"), "", "a test") == nil
		})
		c.run("e2e.step", map[string]any{"kind": "short", "lost": lost})
	}
	c.complete("e2e.step", 63)

	code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `e2e.step: every promise kept\n +tickets +63 +waiting 0, active 0, executed 63, dropped 0\n +grants +63 `, output)
	require.Regexp(t, `generations +[2-9] `, output)
}
