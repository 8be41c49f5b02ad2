package worker_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_Outcomes runs scripts that end by themselves.
func TestWorker_Outcomes(t *testing.T) {
	t.Parallel()
	type report = attune.ExecutionCompletedMessage
	for name, test := range map[string]struct {
		script string
		want   report
	}{
		"exit code 0 succeeds": {`echo out; echo err >&2`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "out\n", Stderr: "err\n"}},
		"stdout that is JSON becomes the result": {`echo '  {"n": [1, "é"]} '`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "  {\"n\": [1, \"é\"]} \n", Result: json.RawMessage(`{"n": [1, "é"]}`)}},
		"a result keeps an escaped NUL": {`printf '"\\u0000"'`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: `"\u0000"`, Result: json.RawMessage(`"\u0000"`)}},
		"output that is not UTF-8 becomes text": {`printf 'a\0\0b\377c'`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "a\uFFFDb\uFFFDc"}},
		"another exit code fails and quotes the last line of stderr": {`echo 42; echo first >&2; echo 'disk is full' >&2; exit 3`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, ExitCode: new(3), Error: "exit code 3: disk is full",
				Stdout: "42\n", Stderr: "first\ndisk is full\n", Result: json.RawMessage(`42`)}},
		"a failure without output names the exit code": {`exit 1`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, ExitCode: new(1), Error: "exit code 1"}},
		"a SIGKILL from outside fails": {`kill -KILL $$`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonSignal,
				Error: "killed by signal 9 (killed), which this worker did not send; " +
					"the sender is unknown: the kernel when memory was short (its log says so), a service manager, or another process"}},
		"a SIGTERM from outside fails": {`kill -TERM $$`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonSignal,
				Error: "killed by signal 15 (terminated), which this worker did not send"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).start(t)
			m := request(b.script(t, test.script))
			got := b.do(t, m)

			test.want.Execution, test.want.Attempt, test.want.Worker = m.Execution, m.Attempt, "w1"
			require.Empty(t, cmp.Diff(test.want, got, cmpopts.IgnoreFields(report{}, "StartedAt", "FinishedAt")))
			require.False(t, got.FinishedAt.Before(got.StartedAt))
		})
	}
}

// TestWorker_Ends ends processes that would run for ever.
func TestWorker_Ends(t *testing.T) {
	t.Parallel()

	// loop runs for ever. It waits in the shell itself, so that a signal reaches the shell and not a child.
	const loop = `echo $$ > pid; while :; do sleep 0.02; done`

	t.Run("a timeout ends the process", func(t *testing.T) {
		t.Parallel()
		// A busy machine may not start a process in a short time.
		for timeout := 200 * time.Millisecond; ; timeout *= 2 {
			b := setup(t).start(t)
			m := request("sleep", "1000")
			m.Timeout = attune.Duration(timeout)
			got := b.do(t, m)
			require.Equal(t, attune.ExecutionTimedOut, got.Status)
			require.Equal(t, attune.ReasonTimeout, got.Reason)
			require.Nil(t, got.ExitCode)
			b.requireTally(t, map[string]int{"timed_out": 1})
			if got.Error == "time was up before it could be started" && 2*timeout < deadline {
				continue
			}
			require.Equal(t, "time was up while it ran", got.Error)
			return
		}
	})

	t.Run("a process may clean up after SIGTERM", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request(b.script(t, `trap 'echo bye; exit 3' TERM; `+loop))
		b.requests.push(m)
		pid := b.pid(t, "pid")
		require.True(t, b.Cancel(idOf(m)))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, attune.ReasonCancelled, got.Reason)
		require.Equal(t, "cancelled while it ran", got.Error)
		require.Equal(t, "bye\n", got.Stdout)
		require.Equal(t, 3, *got.ExitCode)
		requireGone(t, pid)
	})

	t.Run("a process that ignores SIGTERM is killed", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = 100 * time.Millisecond }).start(t)
		m := request(b.script(t, `trap '' TERM; `+loop))
		b.requests.push(m)
		pid := b.pid(t, "pid")
		require.True(t, b.Cancel(idOf(m)))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Contains(t, got.Error, "did not end within 100ms of SIGTERM and was killed")
		require.Nil(t, got.ExitCode)
		requireGone(t, pid)
	})

	t.Run("the whole process group is killed", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = 100 * time.Millisecond }).start(t)
		// Child and grandchild ignore SIGTERM. The child closes its output; the grandchild keeps its output open.
		m := request(b.script(t, `
			(trap '' TERM; sh -c 'echo $$ > grandchild; while :; do sleep 0.02; done' & exec >/dev/null 2>&1
			 echo ready > child; while :; do sleep 0.02; done) &
			echo $$ > pid; wait`))
		b.requests.push(m)
		grandchild := b.pid(t, "grandchild")
		require.Equal(t, "ready", b.read(t, "child"))
		require.True(t, alive(grandchild))
		require.GreaterOrEqual(t, len(groupOf(b.pid(t, "pid"))), 3)
		require.True(t, b.Cancel(idOf(m)))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		requireGone(t, b.pid(t, "pid"))
		requireGone(t, grandchild)
		require.Eventually(t, func() bool { return len(groupOf(b.pid(t, "pid"))) == 0 }, deadline, tick)
	})

	t.Run("children have the kill grace too", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		// The shell dies of SIGTERM at once; its child cleans up first.
		m := request(b.script(t, `
			sh -c 'trap "sleep 0.1; echo cleaned; exit" TERM; echo $$ > pid; while :; do sleep 0.02; done' &
			wait`))
		b.requests.push(m)
		child := b.pid(t, "pid")
		b.Cancel(idOf(m))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, "cleaned\n", got.Stdout)
		requireGone(t, child)
	})

	t.Run("an exit code 0 after a cancel is no success", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request(b.script(t, `trap 'exit 0' TERM; `+loop))
		b.requests.push(m)
		b.pid(t, "pid")
		b.Cancel(idOf(m))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, 0, *got.ExitCode)
	})
}

// TestWorker_LeftBehind runs actions whose children outlive them.
func TestWorker_LeftBehind(t *testing.T) {
	t.Parallel()

	shortOutputGrace := func(c *worker.Config) { c.OutputGrace = 200 * time.Millisecond }

	t.Run("a child that holds the output is killed", func(t *testing.T) {
		t.Parallel()
		b := setup(t, shortOutputGrace).start(t)
		got := b.do(t, request(b.script(t, `sleep 1000 & echo $! > holder; echo done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "done\n", got.Stdout)
		requireGone(t, b.pid(t, "holder"))
	})

	t.Run("a child without output is killed", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		got := b.do(t, request(b.script(t, `sleep 1000 >/dev/null 2>&1 & echo $! > quiet; echo done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		requireGone(t, b.pid(t, "quiet"))
	})

	t.Run("a child finishes writing within the output grace", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		got := b.do(t, request(b.script(t, `(sleep 0.1; echo late) & echo early`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "early\nlate\n", got.Stdout)
	})

	t.Run("a child that ignores SIGTERM is killed after the kill grace", func(t *testing.T) {
		t.Parallel()
		b := setup(t, shortOutputGrace, func(c *worker.Config) { c.KillGrace = 100 * time.Millisecond }).start(t)
		got := b.do(t, request(b.script(t, `
			sh -c 'trap "" TERM; echo $$ > stubborn; while :; do sleep 0.02; done' & while [ ! -s stubborn ]; do sleep 0.02; done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		requireGone(t, b.pid(t, "stubborn"))
	})

	t.Run("a child may clean up after SIGTERM", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS != "linux" {
			t.Skip("outside Linux a child gets SIGKILL when its parent has ended")
		}
		b := setup(t, shortOutputGrace).start(t)
		got := b.do(t, request(b.script(t, `
			sh -c 'trap "echo cleaned; exit" TERM; echo $$ > pid; while :; do sleep 0.02; done' & while [ ! -s pid ]; do sleep 0.02; done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "cleaned\n", got.Stdout)
	})
}

// TestWorker_LargeOutput keeps the first and the last bytes of the output.
func TestWorker_LargeOutput(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *worker.Config) { c.OutputLimit = 4096 }).start(t)
	got := b.do(t, request(b.script(t, `
		echo '[1,'; head -c 5000000 /dev/zero | tr '\0' x; echo; echo ']'
		head -c 100000 /dev/zero >&2`)))
	require.Equal(t, attune.ExecutionSucceeded, got.Status)
	require.True(t, got.Truncated)
	require.Empty(t, got.Result)
	require.Less(t, len(got.Stdout), 4096+100)
	require.True(t, strings.HasPrefix(got.Stdout, "[1,\nxxx"))
	require.True(t, strings.HasSuffix(got.Stdout, "xxx\n]\n"))
	require.Contains(t, got.Stdout, fmt.Sprintf("\n[… %d bytes left out …]\n", 5_000_000+7-4096))
	require.Contains(t, got.Stderr, "bytes left out")
	require.NotContains(t, got.Stderr, "\x00")
}
