package worker_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_Reports publishes one report per claimed attempt, however long the broker is down.
func TestWorker_Reports(t *testing.T) {
	t.Parallel()

	t.Run("every claimed attempt is reported once", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		const n = 40
		seen := map[attune.ExecutionID]int{}
		for i := range n {
			command := "true"
			if i%2 == 1 {
				command = "false"
			}
			b.requests.push(request(command))
		}
		for range n {
			seen[b.reports.next(t).Execution]++
		}
		require.NoError(t, b.stopped(t))
		require.Len(t, seen, n)
		require.Empty(t, b.reports.published)
		b.requireTally(t, map[string]int{"succeeded": n / 2, "failed": n / 2})
	})

	t.Run("a report is published after twenty failures", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			var tries atomic.Int64
			b.reports.fail = func(context.Context) error {
				if tries.Add(1) <= 20 {
					return errAway
				}
				return nil
			}
			b.start(t)
			m := request("true")
			b.requests.push(m)
			report := b.nextIn(t)
			require.Equal(t, m.Execution, report.Execution)
			require.Equal(t, attune.ExecutionSucceeded, report.Status)
			b.stop()
			require.NoError(t, <-b.ended)
			require.EqualValues(t, 21, tries.Load())
			require.Empty(t, b.reports.published)
			b.requireTally(t, map[string]int{"succeeded": 1})
		})
	})

	t.Run("a report that is not published in time is counted in the error of Run", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.reports.fail = func(context.Context) error { return errAway }
			b.start(t)
			b.requests.push(request("no-such-program"))
			synctest.Wait()
			before := time.Now()
			b.stop()
			err := <-b.ended
			require.ErrorContains(t, err, `worker "w1" stopped with 1 executions unreported`)
			require.LessOrEqual(t, time.Since(before), b.stopTime)
			b.requireTally(t, map[string]int{"failed": 1, "unreported": 1})
		})
	})

	t.Run("a stopping worker does not wait for a publish that hangs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			forever := make(chan struct{})
			b.reports.fail = func(context.Context) error {
				<-forever
				return errAway
			}
			b.start(t)
			b.requests.push(request("no-such-program"))
			synctest.Wait()
			before := time.Now()
			b.stop()
			require.ErrorContains(t, <-b.ended, "1 executions unreported")
			require.LessOrEqual(t, time.Since(before), b.stopTime)
			close(forever)
		})
	})
}

// TestWorker_Slots takes at most one request per slot.
func TestWorker_Slots(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *worker.Config) { c.Slots = 3 }).start(t)
	const n = 9
	for range n {
		b.requests.push(request("sh", "-c", "echo up >> up; while [ ! -f go ]; do sleep 0.02; done"))
	}
	require.Eventually(t, func() bool {
		up, _ := os.ReadFile(b.path("up"))
		return len(up) == 3*len("up\n")
	}, deadline, tick)
	require.EqualValues(t, 3, b.requests.taken.Load())

	require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
	for i := range n {
		b.reports.next(t)
		// Every request that was taken is either reported or in a slot.
		require.LessOrEqual(t, b.requests.taken.Load(), int64(i+1+3+len(b.reports.published)))
	}
	require.NoError(t, b.stopped(t))
}

// TestWorker_Cancel cancels an attempt at each point of its life in the worker.
func TestWorker_Cancel(t *testing.T) {
	t.Parallel()

	t.Run("an attempt that is cancelled before its start does not run", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			if !b.Cancel(attune.AttemptID{Execution: q.Execution, Attempt: q.Attempt}) {
				return attune.ClaimDecision{}, attune.Errorf(attune.CodeInvalid, "not known here")
			}
			return granted(q), nil
		}
		b.start(t)
		got := b.do(t, request(touch()...))
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, attune.ReasonCancelled, got.Reason)
		require.Equal(t, "cancelled before it was started", got.Error)
		b.requireNothingRan(t)
		b.requireTally(t, map[string]int{"cancelled": 1})
	})

	t.Run("a cancel of an unknown or ended attempt changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done")
		b.requests.push(m)
		b.read(t, "up")
		require.False(t, b.Cancel(attune.AttemptID{Execution: m.Execution, Attempt: m.Attempt + 1}))
		require.False(t, b.Cancel(attune.AttemptID{Execution: m.Execution + 1_000_000, Attempt: m.Attempt}))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.Eventually(t, func() bool { return !b.Cancel(idOf(m)) }, deadline, tick)
		require.NoError(t, b.stopped(t))
		require.Empty(t, b.reports.published)
	})

	t.Run("a cancel during the kill grace of a timeout leaves the outcome timed_out", func(t *testing.T) {
		t.Parallel()
		// A busy machine may send the signal before the shell has set its trap: then the test doubles the timeout.
		for timeout := time.Second; ; timeout *= 2 {
			b := setup(t).start(t)
			m := request("sh", "-c", "trap 'echo t > term; while [ ! -f go ]; do sleep 0.02; done; exit 1' TERM; while :; do sleep 0.02; done")
			m.Timeout = attune.Duration(timeout)
			b.requests.push(m)
			trapped := func() bool { _, err := os.Stat(b.path("term")); return err == nil }
			require.Eventually(t, func() bool { return trapped() || len(b.reports.published) > 0 }, deadline, tick)
			if !trapped() && 2*timeout < deadline {
				continue
			}
			b.read(t, "term")
			require.True(t, b.Cancel(idOf(m)))
			require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
			require.Equal(t, attune.ExecutionTimedOut, b.reports.next(t).Status)
			return
		}
	})
}

// TestWorker_Stop tells a worker to stop while actions run.
func TestWorker_Stop(t *testing.T) {
	t.Parallel()

	t.Run("the worker waits for running actions and takes no request", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.push(request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done"))
		b.read(t, "up")
		b.stop()
		late := b.requests.push(request("true"))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.NoError(t, b.stopped(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		b.requireTally(t, map[string]int{"succeeded": 1})
		require.True(t, late.open(), "a stopping worker takes no request")
	})

	t.Run("actions that outlast the stop grace are abandoned", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.StopGrace, c.KillGrace = 50*time.Millisecond, 100*time.Millisecond }).start(t)
		b.requests.push(request("sh", "-c", "trap '' TERM; echo $$ > stubborn; while :; do sleep 0.02; done"))
		b.requests.push(request("sh", "-c", "echo $$ > obedient; exec sleep 1000"))
		stubborn, obedient := b.pid(t, "stubborn"), b.pid(t, "obedient")
		require.NoError(t, b.stopped(t))
		for range 2 {
			got := b.reports.next(t)
			require.Equal(t, attune.ExecutionAbandoned, got.Status)
			require.Equal(t, attune.ReasonWorkerStopped, got.Reason)
		}
		requireGone(t, stubborn)
		requireGone(t, obedient)
		b.requireTally(t, map[string]int{"abandoned": 2})
	})

	t.Run("a report is published after the worker is told to stop", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			stopped := make(chan struct{})
			b.reports.fail = func(ctx context.Context) error {
				select {
				case <-stopped:
					return ctx.Err()
				default:
					return errAway
				}
			}
			b.start(t)
			b.requests.push(request("no-such-program"))
			synctest.Wait()
			b.stop()
			synctest.Wait()
			close(stopped)
			require.NoError(t, <-b.ended)
			require.Len(t, b.reports.published, 1)
			<-b.reports.published
		})
	})

	t.Run("a second Run is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.push(request("true"))
		b.reports.next(t)
		require.NoError(t, b.stopped(t))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(b.Run(t.Context())))
	})
}

// TestWorker_Take retries a source of requests that fails, and ends with its final error.
func TestWorker_Take(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		var failures atomic.Int64
		reported := make(chan struct{})
		b.requests.fail = func() error {
			switch n := failures.Add(1); {
			case n <= 10:
				return errAway
			case n == 12:
				<-reported
				return attune.Errorf(attune.CodeInvalid, "no such queue")
			}
			return nil
		}
		b.requests.push(request("no-such-program"))
		b.start(t)
		b.nextIn(t)
		close(reported)
		require.ErrorContains(t, <-b.ended, "take a request: no such queue")
		b.requireTally(t, map[string]int{"failed": 1})
	})
}

// TestNew refuses settings out of range with a message that names the range.
func TestNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  worker.Config
		want string
	}{
		"a worker without a name is refused":           {worker.Config{}, "worker name is empty"},
		"a name with a control character is refused":   {worker.Config{Name: "w\x1b1"}, "U+001B"},
		"too many slots are refused":                   {worker.Config{Name: "w", Slots: 1001}, "use 1 to 1000"},
		"negative slots are refused":                   {worker.Config{Name: "w", Slots: -1}, "use 1 to 1000"},
		"an output limit below the minimum is refused": {worker.Config{Name: "w", OutputLimit: 10}, "use 1024 to 786432"},
		"a negative grace is refused":                  {worker.Config{Name: "w", KillGrace: -1}, "kill grace -1ns: use more than 0"},
		"an empty folder path is refused":              {worker.Config{Name: "w", Packs: map[string]string{"demo": ""}}, `pack "demo" has an empty folder path`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := worker.New(test.cfg, &requests{}, &claims{}, &reports{}, discard())
			require.ErrorContains(t, err, test.want)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}
}
