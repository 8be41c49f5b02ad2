package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

const line = "e2e.line"

// TestSharedQueue runs actions of two packs in one queue with a limit of 2. One of the actions has a limit of 1 in it.
func TestSharedQueue(t *testing.T) {
	t.Parallel()
	ops := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(ops, "pack.yaml"), []byte(`name: ops
policy: {queue: e2e.line}
actions:
  hold: {command: [sleep, "600"]}
  tidy: {command: ["true"]}
`), 0o600))
	c := newCluster(t, map[string]string{
		"queues/line.yaml":  "description: Everything that touches the servers.\npolicy: {limit: 2}\n",
		"actions/step.yaml": stepAction(1) + "  queue: line\n",
	})
	c.start("--packs", ops)
	first := c.run("e2e.step", map[string]any{"n": 1, "ms": 600_000})
	c.eventually("the first step runs", func() bool { return len(c.written()) == 1 })
	c.run("e2e.step", map[string]any{"n": 2})
	for range 3 {
		c.run("ops.tidy", nil)
	}
	c.eventually("the other action passes the step", func() bool { return c.stats("ops.tidy").TotalCompleted == 3 })
	stats := c.stats("e2e.step")
	require.Equal(t, attune.QueueKey(line), stats.Queue, "both actions have the same queue")
	require.True(t, stats.Shared)
	require.EqualValues(t, 1, stats.QueueLength)
	require.EqualValues(t, 1, stats.ActiveCount)
	require.Equal(t, 2, stats.MaxConcurrent)

	hold := c.run("ops.hold", nil)
	c.eventually("the queue is full", func() bool { return c.stats("ops.hold").ActiveCount == 2 })
	c.run("ops.tidy", nil)
	c.eventually("the next waits", func() bool { return c.stats("ops.tidy").QueueLength == 2 })
	var shown api.Queue
	require.NoError(t, c.Get(t.Context(), "/queues/"+line, nil, &shown))
	counts := map[attune.Ref][2]int64{}
	for _, a := range shown.Actions {
		require.True(t, a.Joined)
		counts[a.Ref] = [2]int64{a.Waiting, a.Active}
	}
	require.Equal(t, map[attune.Ref][2]int64{"e2e.step": {1, 1}, "ops.hold": {0, 1}, "ops.tidy": {1, 0}}, counts)

	c.control(line, "pause")
	c.cancel(hold)
	c.eventually("the slot is free", func() bool { return c.stats("ops.tidy").TotalCompleted == 4 })
	c.cancel(first)
	c.eventually("both slots are free", func() bool { return c.stats("e2e.step").TotalCompleted == 5 })
	stats = c.stats("e2e.step")
	require.EqualValues(t, 0, stats.ActiveCount, "the pause holds the actions of both packs")
	require.EqualValues(t, 2, stats.QueueLength)
	c.control(line, "resume")
	c.complete("e2e.step", 7)
	require.Equal(t, []string{"+1", "+2", "-2"}, c.written())

	code, output := c.attune("queue", "verify", line, "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, line+": every promise kept\n")
	code, output = c.attune("queue", "show", line, "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `queue +e2e.line \(shared\)\n`, output)
	require.Regexp(t, `e2e.step +0 +0 +1 +- +-\n`, output)
	require.Regexp(t, `ops.tidy +0 +0 +- +- +-\n`, output)
}

// TestLaneLimit raises the limit of one lane by hand.
func TestLaneLimit(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(5, "limit_per_key: 1")})
	c.start()
	var blockers []attune.EnforcementID
	for n := range 3 {
		blockers = append(blockers, c.run("e2e.step", map[string]any{"n": n, "tenant": "t", "ms": 600_000}))
	}
	c.eventually("the first runs", func() bool { return slices.Contains(c.written(), "+0") })
	code, output := c.attune("queue", "limit", "e2e.step", "2", "--lane", "nobody", "--url", c.base)
	require.NotZero(t, code, output)
	code, output = c.attune("queue", "limit", "e2e.step", "2", "--lane", "t", "--until", "1h", "--note", "catch up", "--url", c.base)
	require.Zero(t, code, output)
	c.eventually("the second runs beside the first", func() bool { return slices.Contains(c.written(), "+1") })
	require.EqualValues(t, 1, c.stats("e2e.step").QueueLength)
	code, output = c.attune("queue", "lanes", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `1 +t +1 +2 +2 +.* 2 until 20`, output)

	code, output = c.attune("queue", "limit", "e2e.step", "--lane", "t", "--clear", "--url", c.base)
	require.Zero(t, code, output)
	c.cancel(blockers[0])
	c.eventually("the first has ended", func() bool { return c.stats("e2e.step").TotalCompleted == 1 })
	require.NotContains(t, c.written(), "+2", "one slot of the lane is held, which is its limit again")
	c.cancel(blockers[1])
	c.cancel(blockers[2])
	require.Equal(t, map[string]int{"cancelled": 3}, c.finishDropping(3, 0))
	_, output = c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Contains(t, output, "limit of lane 1: by policy → 2 by hand until 20")
}
