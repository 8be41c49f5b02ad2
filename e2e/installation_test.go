package e2e_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
)

// TestInstallation_DatabaseEmptied starts attune on a new database while Temporal still has the workflows of the old one,
// with the same enforcement ids. All new enforcements run in order, and doctor finds no problem.
func TestInstallation_DatabaseEmptied(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	p := c.start()
	for n := range 3 {
		c.run("e2e.step", map[string]any{"n": n})
	}
	c.finish("e2e.step", 3, 1)
	c.control("e2e.step", "pause")
	waiting := c.run("e2e.step", map[string]any{"n": 3})
	c.eventually("one ticket waits", func() bool { return c.stats("e2e.step").QueueLength == 1 })
	p.stop()

	c.env = append(c.env, "ATTUNE_POSTGRES_URL="+testenv.Postgres(t), "ATTUNE_AMQP_URL="+testenv.AMQP(t))
	c.start()
	require.Zero(t, c.stats("e2e.step").TotalEnqueued)
	for n := range 5 {
		require.LessOrEqual(t, c.run("e2e.step", map[string]any{"n": 10 + n}), waiting+1, "ids are used again")
	}
	c.finish("e2e.step", 5, 1)
	c.requirePromises()
	code, output := c.attune("doctor", "--url", c.base)
	require.Zero(t, code, output)
}

// TestInstallation_DatabaseRestored starts attune on an earlier copy of its database, while Temporal still has the
// workflows of the enforcements after the copy. New enforcements get the ids and the sequences of the lost ones again,
// and all of them run in order.
func TestInstallation_DatabaseRestored(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	p := c.start()
	for n := range 3 {
		c.run("e2e.step", map[string]any{"n": n})
	}
	c.finish("e2e.step", 3, 1)
	p.stop()
	earlier := testenv.CopyPostgres(t, c.variable("ATTUNE_POSTGRES_URL"))
	p = c.start()
	for n := range 5 {
		c.run("e2e.step", map[string]any{"n": 3 + n})
	}
	c.finish("e2e.step", 8, 1)
	p.stop()

	c.env = append(c.env, "ATTUNE_POSTGRES_URL="+earlier)
	c.start()
	require.EqualValues(t, 3, c.stats("e2e.step").TotalEnqueued)
	var again []string
	for n := range 4 {
		require.LessOrEqual(t, c.run("e2e.step", map[string]any{"n": 10 + n}), attune.EnforcementID(8), "ids are used again")
		again = append(again, fmt.Sprintf("+%d", 10+n), fmt.Sprintf("-%d", 10+n))
	}
	c.finish("e2e.step", 7, 1)
	require.Equal(t, again, c.written()[16:])
	c.requirePromises()
	code, output := c.attune("doctor", "--url", c.base)
	require.Zero(t, code, output)
}

// TestInstallation_DatabaseRestoredWhileTicketsWait restores a copy in which an execution waited for a worker, and tickets for their
// grants. All of them have run since, on a worker that lives on. They run again, and so do new enforcements with the ids of lost ones.
func TestInstallation_DatabaseRestoredWhileTicketsWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	p := c.start("--roles=api,orchestrator,bridge")
	first := c.run("e2e.step", map[string]any{"n": 0})
	for n := range 3 {
		c.run("e2e.step", map[string]any{"n": 1 + n})
	}
	c.eventually("an execution waits for a worker, and three tickets wait behind it", func() bool {
		return c.executionOf(first).Status == attune.ExecutionRequested && c.stats("e2e.step").QueueLength == 3
	})
	p.stop()
	earlier := testenv.CopyPostgres(t, c.variable("ATTUNE_POSTGRES_URL"))
	c.start("--roles=worker")
	p = c.start("--roles=api,orchestrator,bridge")
	c.run("e2e.step", map[string]any{"n": 4})
	c.finish("e2e.step", 5, 1)
	p.stop()

	c.env = append(c.env, "ATTUNE_POSTGRES_URL="+earlier)
	c.start("--roles=api,orchestrator,bridge")
	require.LessOrEqual(t, c.run("e2e.step", map[string]any{"n": 14}), attune.EnforcementID(5), "ids are used again")
	c.finish("e2e.step", 5, 1)
	require.Equal(t, []string{"+0", "-0", "+1", "-1", "+2", "-2", "+3", "-3", "+14", "-14"}, c.written()[10:])
	c.requirePromises()
	code, output := c.attune("doctor", "--url", c.base)
	require.Zero(t, code, output)
}

// TestInstallation_RestoredTwice restores two copies of one backup, one after the other. In the backup, a failed execution holds its slot
// for its next attempt, and nothing else would wake the queue.
func TestInstallation_RestoredTwice(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/flaky.yaml": "command: [sh, -c, 'test $ATTUNE_ATTEMPT -gt 1']\n" +
		"policy: {limit: 1, max_attempts: 2, retry_delay: 20s, retry_placement: hold}\n"})
	c.start("--roles=worker")
	p := c.start("--roles=api,orchestrator,bridge")
	id := c.run("e2e.flaky", map[string]any{})
	c.eventually("the execution waits for its second attempt", func() bool { return c.executionOf(id).Status == attune.ExecutionRetrying })
	p.stop()
	url := c.variable("ATTUNE_POSTGRES_URL")
	earlier := []string{testenv.CopyPostgres(t, url), testenv.CopyPostgres(t, url)}
	succeeds := func() {
		p = c.start("--roles=api,orchestrator,bridge")
		c.eventually("the second attempt succeeds", func() bool { return c.executionOf(id).Status == attune.ExecutionSucceeded })
		c.requirePromises()
		p.stop()
	}
	succeeds()
	for _, copied := range earlier {
		c.env = append(c.env, "ATTUNE_POSTGRES_URL="+copied)
		succeeds()
	}
}

// TestInstallation_TwoInOneNamespace starts attune with a new database in the namespace of a running installation. The
// new process names the owner of the namespace and the remedy, and the running installation continues.
func TestInstallation_TwoInOneNamespace(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start()
	c.run("e2e.step", map[string]any{"n": 1})
	c.finish("e2e.step", 1, 1)

	path, err := binary()
	require.NoError(t, err)
	second := exec.CommandContext(t.Context(), path, "serve", "--data-dir", t.TempDir(), "--packs", c.pack, "--http-addr", "127.0.0.1:0")
	second.Env = append(slices.Clone(c.env), "ATTUNE_POSTGRES_URL="+testenv.Postgres(t), "ATTUNE_AMQP_URL="+testenv.AMQP(t))
	var output bytes.Buffer
	second.Stdout, second.Stderr = &output, &output
	require.Error(t, second.Run())
	require.Equal(t, 1, second.ProcessState.ExitCode(), output.String())
	require.Contains(t, output.String(), "belongs to another installation of attune")
	require.Contains(t, output.String(), "TEMPORAL_NAMESPACE")

	c.run("e2e.step", map[string]any{"n": 2})
	c.finish("e2e.step", 2, 1)
}
