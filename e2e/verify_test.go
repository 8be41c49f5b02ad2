package e2e_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

// verifyAction is a step that fails when it is told to.
const verifyAction = `description: one step, or none
command: [sh, -c, 'case "$(cat)" in *fail*) exit 3;; *long*) sleep 600;; *) sleep 0.02;; esac']
policy:
  limit: 3
`

// TestVerify has the program hold itself to its word, from nothing but what its API tells.
func TestVerify(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/mixed.yaml": verifyAction, "actions/other.yaml": verifyAction})
	c.start()
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

	code, output := c.attune("queue", "verify", "e2e.mixed", "--url", c.base)
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
	require.Regexp(t, `accepted +40\n`, output)

	code, output = c.attune("queue", "verify", "e2e.nothing", "--url", c.base)
	require.Equal(t, 1, code, output)
	require.Contains(t, output, "e2e.nothing")
}

// cancel ends the execution of an enforcement as soon as there is one that runs.
func (c *cluster) cancel(id attune.EnforcementID) {
	c.t.Helper()
	query := url.Values{"enforcement": {fmt.Sprint(id)}, "status": {string(attune.ExecutionRunning)}}
	var running []attune.Execution
	c.eventually("it runs", func() bool {
		found, err := client.List[attune.Execution](c.t.Context(), c.Client, "/executions", query)
		running = found
		return err == nil && len(found) == 1
	})
	require.NoError(c.t, c.Post(c.t.Context(), fmt.Sprintf("/executions/%d/cancel", running[0].ID), nil, nil))
}
