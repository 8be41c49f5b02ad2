package worker_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// stubborn is a script whose process and child both ignore SIGTERM. It writes its process id to "ready".
const stubborn = `trap '' TERM; sh -c 'while :; do sleep 0.02; done' & echo $$ > ready; while :; do sleep 0.02; done`

// requireNoGroup waits until a process group has no live member.
func requireNoGroup(t *testing.T, group int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(groupOf(group)) == 0 }, deadline, tick, "group %d is alive", group)
}

// TestWorker_Lost ends processes whose lease the worker has lost.
func TestWorker_Lost(t *testing.T) {
	t.Parallel()

	t.Run("a lease that the bridge declares lost ends its action at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = time.Hour })
		l := b.lease(time.Hour, nil)
		b.start(t)
		lost, other := request(b.script(t, stubborn)), request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done")
		b.requests.push(lost)
		b.requests.push(other)
		pid := b.pid(t, "ready")
		b.read(t, "up")

		finish := b.lose(l, lost)
		got := b.reports.next(t)
		require.Equal(t, lost.Execution, got.Execution)
		require.Equal(t, attune.ExecutionAbandoned, got.Status)
		require.Equal(t, attune.ReasonWorkerLost, got.Reason)
		require.Equal(t, "the lease was lost: it expired, or the execution was ended without its worker; "+
			"ended while it ran; it was killed so that it does not outlive the lease", got.Error)
		requireNoGroup(t, pid)
		require.Equal(t, 1, b.log.all()["abandoned"])

		finish()
		b.reports.next(t)
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.NoError(t, b.stopped(t))
	})

	t.Run("a lease that is never renewed ends its action", func(t *testing.T) {
		t.Parallel()
		for name, test := range map[string]struct {
			script, want string
		}{
			"SIGTERM ends the process":                    {`trap 'exit 3' TERM; echo $$ > ready; while :; do sleep 0.02; done`, `; ended while it ran$`},
			"SIGKILL ends a process that ignores SIGTERM": {stubborn, `; it was killed so that it does not outlive the lease$`},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				// A busy machine may not start or end a process in the time of a short lease.
				for lease := 2 * time.Second; ; lease *= 2 {
					b := setup(t, func(c *worker.Config) { c.KillGrace = time.Hour })
					b.lease(lease, away)
					b.start(t)
					got := b.do(t, request(b.script(t, test.script)))
					require.Equal(t, attune.ExecutionAbandoned, got.Status)
					require.Equal(t, attune.ReasonWorkerLost, got.Reason)
					require.Regexp(t, `^the lease was not renewed: no reply for \d`, got.Error)
					require.NoError(t, b.stopped(t))
					b.requireTally(t, map[string]int{"abandoned": 1, "unrenewed": 1})
					ready, _ := os.ReadFile(b.path("ready"))
					inTime := len(ready) > 0 && regexp.MustCompile(test.want).MatchString(got.Error)
					if !inTime && 2*lease < deadline {
						continue
					}
					require.Regexp(t, test.want, got.Error)
					requireNoGroup(t, b.pid(t, "ready"))
					return
				}
			})
		}
	})

	t.Run("a lost lease ends the kill grace of a cancel", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = time.Hour })
		l := b.lease(time.Hour, nil)
		b.start(t)
		m := request(b.script(t, `trap 'echo t > term' TERM; echo $$ > ready; while :; do sleep 0.02; done`))
		b.requests.push(m)
		pid := b.pid(t, "ready")
		require.True(t, b.Cancel(idOf(m)))
		b.read(t, "term")

		finish := b.lose(l, m)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, "cancelled while it ran; it was killed so that it does not outlive the lease", got.Error)
		requireGone(t, pid)
		finish()
		b.reports.next(t)
	})

	t.Run("a lost lease kills the children that an ended action left behind", func(t *testing.T) {
		t.Parallel()
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			t.Skip("the members of a process group are read from /proc")
		}
		b := setup(t, func(c *worker.Config) { c.OutputGrace = time.Hour })
		l := b.lease(time.Hour, nil)
		b.start(t)
		m := request(b.script(t, `sh -c 'while :; do sleep 0.02; done' & echo $$ > ready; echo done; exit 0`))
		b.requests.push(m)
		pid := b.pid(t, "ready")
		require.Eventually(t, func() bool { return !alive(pid) && len(groupOf(pid)) > 0 }, deadline, tick)

		finish := b.lose(l, m)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "the action had ended by itself")
		require.Equal(t, "done\n", got.Stdout)
		requireNoGroup(t, pid)
		finish()
		b.reports.next(t)
	})
}
