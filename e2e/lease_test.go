package e2e_test

import (
	"net/url"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// shortLease is short enough to wait for, and long enough to be renewed on a busy machine.
const shortLease = "--lease=15s"

// waitingStep waits until a file exists. It writes a line when it starts, when it ends, and when the step before it still
// runs.
const waitingStep = `#!/bin/sh
n=$(sed -n 's/.*"n": *\([0-9]*\).*/\1/p')
trap 'echo "-$n" >> "$E2E_LOG"; exit 1' TERM
[ ! -e "$E2E_LOG.pid" ] || ! kill -0 "$(cat "$E2E_LOG.pid")" || echo "beside" >> "$E2E_LOG"
echo $$ > "$E2E_LOG.pid"
echo "+$n" >> "$E2E_LOG"
while [ ! -e "$E2E_LOG.go" ]; do sleep 0.05; done
echo "-$n" >> "$E2E_LOG"
`

// TestWorkerKilled kills a worker while it runs an action. attune only notices that the worker renews no lease. The slot
// must become free without a person, and the execution must be retried where the policy says so.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy string
		status attune.ExecutionStatus
		wrote  []string
	}{
		"an execution without retries is abandoned": {"", attune.ExecutionAbandoned, []string{"+0", "+1", "-1"}},
		"an execution with retries runs again on another worker": {
			"  max_attempts: 2\n  retry_delay: 0s\n", attune.ExecutionSucceeded, []string{"+0", "+0", "-0", "+1", "-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1) + tt.policy, "bin/step": waitingStep})
			c.start("--roles=api,orchestrator,bridge", shortLease)
			doomed := c.start("--roles=worker")
			first := c.run("e2e.step", map[string]any{"n": 0})
			c.run("e2e.step", map[string]any{"n": 1})
			c.eventually("the first runs", func() bool { return len(c.written()) == 1 })
			require.NotNil(t, c.executionOf(first).LeaseUntil)
			doomed.kill()
			c.releaseSteps()
			c.start("--roles=worker")

			c.finish("e2e.step", 2, 1)
			execution := c.executionOf(first)
			require.Equal(t, tt.status, execution.Status, "%+v", execution)
			require.Nil(t, execution.LeaseUntil)
			require.Equal(t, tt.wrote, c.written())
			if tt.status == attune.ExecutionAbandoned {
				require.Equal(t, attune.ReasonWorkerLost, execution.Reason)
				require.Contains(t, execution.Error, "lease")
			}
			code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
			require.Zero(t, code, output)
		})
	}
}

// TestWorkerCutOff cuts a live worker off from the broker, while another worker is idle. The worker cannot learn of any
// decision, so it must end its action before the next one starts.
func TestWorkerCutOff(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1), "bin/step": waitingStep})
	c.start("--roles=api,orchestrator,bridge", shortLease)
	service, err := url.Parse(c.variable("ATTUNE_AMQP_URL"))
	require.NoError(t, err)
	broker := newGate(t, service.Host)
	behind := *c
	behind.env = append(slices.Clone(c.env), "ATTUNE_AMQP_URL="+broker.through(t, service.String()))
	t.Cleanup(behind.start("--roles=worker").kill) // without the kill it would try to report until its grace is over
	first := c.run("e2e.step", map[string]any{"n": 0})
	c.run("e2e.step", map[string]any{"n": 1})
	c.eventually("the first runs", func() bool { return len(c.written()) == 1 })
	c.start("--roles=worker")
	broker.cut()
	c.eventually("the next one runs", func() bool { return slices.Contains(c.written(), "+1") })
	c.releaseSteps()

	c.finish("e2e.step", 2, 1)
	require.Contains(t, [][]string{
		{"+0", "-0", "+1", "-1"},
		{"+0", "+1", "-1"}, // killed before it could write its end
	}, c.written(), "one step after the other, although the worker was cut off")
	require.Equal(t, attune.ReasonWorkerLost, c.executionOf(first).Reason)
	code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
}

// TestLeaseIsRenewed runs an action for longer than a lease.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1), "bin/step": waitingStep})
	c.start(shortLease)
	id := c.run("e2e.step", map[string]any{"n": 0})
	c.eventually("the execution runs", func() bool { return c.executionOf(id).LeaseUntil != nil })
	granted := *c.executionOf(id).LeaseUntil
	c.eventually("its first lease is over", func() bool {
		execution := c.executionOf(id)
		require.Equal(t, attune.ExecutionRunning, execution.Status, "%+v", execution)
		return execution.LeaseUntil.Sub(granted) > 20*time.Second
	})
	c.releaseSteps()
	c.finish("e2e.step", 1, 1)
	require.Equal(t, attune.ExecutionSucceeded, c.executionOf(id).Status)
}

// releaseSteps ends every waiting step, and lets later steps end at once.
func (c *cluster) releaseSteps() {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(c.log+".go", nil, 0o644))
}
