package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// spreadingStep starts processes that leave its process group and its session, and waits until it may end. It does not end
// what it has started.
const spreadingStep = `#!/bin/sh
cat > /dev/null
setsid sleep 1000 &
(setsid sh -c 'trap "" TERM; (nohup sleep 1000 >/dev/null 2>&1 &); while :; do sleep 0.1; done' &)
echo "+$ATTUNE_EXECUTION_ID.$ATTUNE_ATTEMPT" >> "$E2E_LOG"
while [ ! -e "$E2E_LOG.go" ]; do sleep 0.05; done
echo "-$ATTUNE_EXECUTION_ID.$ATTUNE_ATTEMPT" >> "$E2E_LOG"
`

// TestTrees_OneExecutionAtATime kills worker after worker while a queue of limit 1 runs actions with processes that are
// hard to find. It asks the kernel all the time which executions have a process: there is never more than one, also when
// the next worker starts at once. The short form kills 2 workers and asks ten times a second, because each time reads the
// environments of all processes of the machine. The long form kills 200 workers and asks 50 times a second.
func TestTrees_OneExecutionAtATime(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("outside Linux a killed worker leaves its processes")
	}
	kills := size(2, 200)
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1), "bin/step": spreadingStep})
	c.start("--roles=api,orchestrator,bridge", "--lease=10s")
	w := c.watchExecutions()
	for n := range kills + 1 {
		c.run("e2e.step", map[string]any{"n": n})
	}
	for n := range kills {
		doomed := c.start("--roles=worker")
		c.eventually("the next one runs", func() bool { return len(c.written()) == n+1 })
		require.Len(t, c.executionsInKernel(), 1)
		doomed.kill()
	}
	c.start("--roles=worker")
	c.eventually("the last one runs", func() bool { return len(c.written()) == kills+1 })
	c.releaseSteps()
	c.finish("e2e.step", kills+1, 1)
	require.Empty(t, c.executionsInKernel(), "the last execution has left nothing behind")
	most := w.stop()
	require.Len(t, most, 1, "executions with processes at one time: %v", most)
	measured(t, "%d workers killed, never more than %d execution with a process", kills, len(most))
	code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
}

// executionsInKernel lists the attempts of which a process runs, as "execution.attempt", by the environment of every
// process of the machine. If a process ends while its environment is read, the end of the text is missing.
func (c *cluster) executionsInKernel() []string {
	var found []string
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		text, _ := os.ReadFile(path) // a zombie has no environment
		variables := strings.Split(string(text), "\x00")
		if !slices.Contains(variables, "E2E_LOG="+c.log) {
			continue
		}
		value := func(name string) string {
			for _, variable := range variables {
				if v, ok := strings.CutPrefix(variable, name+"="); ok {
					return v
				}
			}
			return ""
		}
		id, attempt := value("ATTUNE_EXECUTION_ID"), value("ATTUNE_ATTEMPT")
		if complete := strings.HasSuffix(string(text), "\x00"); complete && id != "" && attempt != "" {
			found = append(found, id+"."+attempt)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// watch asks the kernel for running executions until it is stopped.
type watch struct {
	stopped chan struct{}
	running sync.WaitGroup
	most    []string // the most executions at one time
}

func (c *cluster) watchExecutions() *watch {
	w := &watch{stopped: make(chan struct{})}
	w.running.Go(func() {
		ticker := time.NewTicker(time.Duration(size(100, 20)) * time.Millisecond)
		defer ticker.Stop()
		for {
			now := c.executionsInKernel()
			if len(now) > len(w.most) {
				w.most = now
			}
			select {
			case <-ticker.C:
			case <-w.stopped:
				return
			}
		}
	})
	c.t.Cleanup(func() { w.stop() })
	return w
}

// stop returns the most executions that had a process at one time.
func (w *watch) stop() []string {
	select {
	case <-w.stopped:
	default:
		close(w.stopped)
	}
	w.running.Wait()
	return w.most
}

// TestWorkerStops tells a worker to stop while it runs an action.
func TestWorkerStops(t *testing.T) {
	t.Parallel()
	newStopping := func(t *testing.T) *cluster {
		t.Helper()
		c := newCluster(t, map[string]string{
			"actions/step.yaml": stepAction(1) + "  max_attempts: 2\n  retry_delay: 0s\n", "bin/step": spreadingStep,
		})
		c.start("--roles=api,orchestrator,bridge", shortLease)
		return c
	}

	t.Run("after the stop grace, a worker that got SIGTERM gives its attempt back for a retry", func(t *testing.T) {
		t.Parallel()
		c := newStopping(t)
		stopping := c.start("--roles=worker", "--stop-grace=1s")
		id := c.run("e2e.step", map[string]any{"n": 0})
		c.eventually("it runs", func() bool { return len(c.written()) == 1 })
		require.NoError(t, syscall.Kill(stopping.PID(), syscall.SIGTERM))
		c.eventually("the worker has stopped", stopping.Ended)
		require.Empty(t, c.executionsInKernel())
		c.eventually("the attempt was given back", func() bool { return c.executionOf(id).Attempt == 2 })
		ended := c.endedAttempts(id)
		require.Len(t, ended, 1)
		require.Equal(t, attune.ExecutionAbandoned, ended[0].Status)
		require.Equal(t, attune.ReasonWorkerStopped, ended[0].Reason)

		c.releaseSteps()
		c.start("--roles=worker")
		c.finish("e2e.step", 1, 1)
		require.Equal(t, attune.ExecutionSucceeded, c.executionOf(id).Status)
	})

	t.Run("a worker that got SIGHUP reads its settings again and goes on", func(t *testing.T) {
		t.Parallel()
		c := newStopping(t)
		reloading := c.start("--roles=worker")
		id := c.run("e2e.step", map[string]any{"n": 0})
		c.eventually("it runs", func() bool { return len(c.written()) == 1 })
		require.NoError(t, syscall.Kill(reloading.PID(), syscall.SIGHUP))
		c.eventually("it has read them", func() bool { return strings.Contains(reloading.Output(), "the settings were read again") })
		c.releaseSteps()
		c.finish("e2e.step", 1, 1)
		require.Equal(t, 1, c.executionOf(id).Attempt)
		require.False(t, reloading.Ended())
	})

	t.Run("a second signal ends a worker at once, with its processes", func(t *testing.T) {
		t.Parallel()
		c := newStopping(t)
		stopping := c.start("--roles=worker", "--stop-grace=24h")
		id := c.run("e2e.step", map[string]any{"n": 0})
		c.eventually("it runs", func() bool { return len(c.written()) == 1 })
		require.NoError(t, syscall.Kill(stopping.PID(), syscall.SIGINT))
		c.eventually("the worker waits", func() bool { return strings.Contains(stopping.Output(), "worker stopping") })
		require.NoError(t, syscall.Kill(stopping.PID(), syscall.SIGINT))
		c.eventually("the worker has ended", stopping.Ended)
		c.eventually("no process is left", func() bool { return len(c.executionsInKernel()) == 0 })

		c.releaseSteps()
		c.start("--roles=worker")
		c.finish("e2e.step", 1, 1)
		execution := c.executionOf(id)
		require.Equal(t, attune.ExecutionSucceeded, execution.Status, "%+v", execution)
		require.Equal(t, 2, execution.Attempt)
	})
}

// endedAttempts returns the attempts of an enforcement's execution that were retried.
func (c *cluster) endedAttempts(id attune.EnforcementID) []attune.ExecutionAttempt {
	c.t.Helper()
	var details struct {
		Attempts []attune.ExecutionAttempt `json:"attempts"`
	}
	require.NoError(c.t, c.Get(c.t.Context(), fmt.Sprintf("/executions/%d", c.executionOf(id).ID), nil, &details))
	return details.Attempts
}
