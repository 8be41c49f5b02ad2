package worker_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

var errAway = attune.Errorf(attune.CodeUnavailable, "the broker is away")

// touch is a command that leaves a file behind, so that a test can see whether it ran.
func touch(name string) []string { return []string{"sh", "-c", "echo ran >> " + name} }

func (b *bundle) requireNotThere(t *testing.T, name string) {
	t.Helper()
	_, err := os.Stat(b.path(name))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// requireStats compares every counter except Slots and Busy.
func (b *bundle) requireStats(t *testing.T, want worker.Stats) {
	t.Helper()
	got := b.Stats()
	got.Slots, got.Busy = 0, 0
	require.Equal(t, want, got)
}

// TestWorker_Claim asks before it acknowledges, and acknowledges before it runs.
func TestWorker_Claim(t *testing.T) {
	t.Parallel()

	t.Run("BeforeTheAcknowledgement", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		m := request(touch("ran")...)
		delivery := b.requests.push(m)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			if !delivery.open() || q.Execution != m.Execution || q.Attempt != 1 || q.Worker != "w1" {
				return attune.ExecutionClaimReply{}, attune.Errorf(attune.CodeInvalid, "asked too late or wrongly: %+v", q)
			}
			return granted(q), nil
		}
		b.start(t)
		require.Equal(t, "ack", delivery.wait(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
	})

	t.Run("NothingIsHeldWhileItRuns", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		delivery := b.requests.push(request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done"))
		b.read(t, "up")
		require.Equal(t, "ack", delivery.wait(t))
		require.Empty(t, b.reports.published)
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		b.reports.next(t)
	})

	t.Run("AcknowledgementLost", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.queue <- worker.Request{Message: request("true"), Ack: func() error { return errAway }}
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
	})

	t.Run("RefusedRunsNothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			return refused(q), nil
		}
		b.start(t)
		require.Equal(t, "ack", b.requests.push(request(touch("ran")...)).wait(t))
		require.NoError(t, b.stopped(t))
		b.requireNotThere(t, "ran")
		require.Empty(t, b.reports.published)
		b.requireStats(t, worker.Stats{Refused: 1})
	})

	t.Run("AskedAgainWhileNobodyAnswers", func(t *testing.T) {
		t.Parallel()
		b, dir := &bundle{}, t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			b = setup(t, func(c *worker.Config) { c.Packs["demo"] = dir })
			b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
				switch n := b.claims.asked.Load(); {
				case n%10 == 5: // the answer is lost
					<-ctx.Done()
					return attune.ExecutionClaimReply{}, ctx.Err()
				case n < 30:
					return attune.ExecutionClaimReply{}, errAway
				}
				return granted(q), nil
			}
			b.start(t)
			delivery := b.requests.push(request("no-such-program"))
			require.Equal(t, attune.ReasonExecutableNotFound, b.nextIn(t).Reason)
			require.Equal(t, "ack", <-delivery.settled)
			b.requireStats(t, worker.Stats{Claimed: 1, Failed: 1})
			b.stop()
			require.NoError(t, <-b.ended)
		})
		require.EqualValues(t, 30, b.claims.asked.Load())
	})

	for name, test := range map[string]struct {
		err   error
		asked int64
	}{
		"FinalErrorIsADeadLetter":      {attune.Errorf(attune.CodeInvalid, "no"), 1},
		"UnknownErrorIsTriedFiveTimes": {errors.New("bug"), 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.claims.answer = func(context.Context, attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
					return attune.ExecutionClaimReply{}, test.err
				}
				b.start(t)
				require.Equal(t, "dead", <-b.requests.push(request(touch("ran")...)).settled)
				require.Equal(t, test.asked, b.claims.asked.Load())
				b.stop()
				require.NoError(t, <-b.ended)
				b.requireNotThere(t, "ran")
				b.requireStats(t, worker.Stats{})
			})
		})
	}

	t.Run("WithoutIdentityIsADeadLetter", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("true")
		m.Attempt = 0
		require.Equal(t, "dead", b.requests.push(m).wait(t))
		require.Zero(t, b.claims.asked.Load())
	})

	t.Run("ReturnedWhenTheWorkerStops", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.claims.answer = func(context.Context, attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
				return attune.ExecutionClaimReply{}, errAway
			}
			b.start(t)
			delivery := b.requests.push(request("true"))
			synctest.Wait()
			b.stop()
			require.Equal(t, "requeue", <-delivery.settled)
			require.NoError(t, <-b.ended)
		})
	})

	t.Run("GrantedWhileTheWorkerStops", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		asked := make(chan struct{})
		answer := make(chan struct{})
		b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			close(asked)
			select {
			case <-answer:
				return granted(q), nil
			case <-ctx.Done():
				return attune.ExecutionClaimReply{}, ctx.Err()
			}
		}
		b.start(t)
		delivery := b.requests.push(request("true"))
		<-asked
		b.stop()
		close(answer)
		require.Equal(t, "ack", delivery.wait(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.NoError(t, b.stopped(t))
	})
}

// nextIn returns the next report inside a bubble, where waiting costs nothing.
func (b *bundle) nextIn(t *testing.T) attune.ExecutionCompletedMessage {
	t.Helper()
	select {
	case report := <-b.reports.published:
		return report
	case <-time.After(24 * time.Hour):
		require.FailNow(t, "nothing was reported in a day", "%+v", b.Stats())
		return attune.ExecutionCompletedMessage{}
	}
}

// TestWorker_Reports publishes one report per claimed attempt, however long that takes.
func TestWorker_Reports(t *testing.T) {
	t.Parallel()

	t.Run("OneEach", func(t *testing.T) {
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
		b.requireStats(t, worker.Stats{Claimed: n, Succeeded: n / 2, Failed: n / 2})
	})

	t.Run("AfterTwentyFailures", func(t *testing.T) {
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
			b.requireStats(t, worker.Stats{Claimed: 1, Succeeded: 1})
		})
	})

	t.Run("NoneInTime", func(t *testing.T) {
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
			b.requireStats(t, worker.Stats{Claimed: 1, Failed: 1, Unreported: 1})
		})
	})

	t.Run("PublishHangs", func(t *testing.T) {
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

// TestWorker_Duplicates delivers a request more than once.
func TestWorker_Duplicates(t *testing.T) {
	t.Parallel()
	const held = "echo ran >> ran; while [ ! -f go ]; do sleep 0.02; done"

	t.Run("WhileItRunsAndAfter", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("sh", "-c", held)
		require.Equal(t, "ack", b.requests.push(m).wait(t))
		b.read(t, "ran")
		require.Equal(t, "ack", b.requests.push(m).wait(t))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.Equal(t, "ack", b.requests.push(m).wait(t))

		next := m
		next.Attempt = 2
		require.Equal(t, 2, b.do(t, next).Attempt)
		require.NoError(t, b.stopped(t))
		require.Empty(t, b.reports.published)
		ran, err := os.ReadFile(b.path("ran"))
		require.NoError(t, err)
		require.Equal(t, "ran\nran\n", string(ran), "once per attempt")
		b.requireStats(t, worker.Stats{Claimed: 2, Duplicates: 2, Succeeded: 2})
	})

	t.Run("WhileTheWorkerStops", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		answer := make(chan struct{})
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			<-answer
			return refused(q), nil
		}
		b.start(t)
		m := request("true")
		first := b.requests.push(m)
		require.Eventually(t, func() bool { return b.claims.asked.Load() == 1 }, deadline, tick)
		second := b.requests.push(m)
		require.Eventually(t, func() bool { return b.Stats().Busy == 2 }, deadline, tick)
		b.stop()
		require.Equal(t, "requeue", second.wait(t))
		close(answer)
		require.Equal(t, "ack", first.wait(t))
	})

	t.Run("WhileItIsClaimed", func(t *testing.T) {
		t.Parallel()
		for name, grant := range map[string]bool{"Granted": true, "Lost": false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				answer := make(chan struct{})
				b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
					<-answer
					if !grant && b.claims.asked.Load() == 1 {
						return attune.ExecutionClaimReply{}, attune.Errorf(attune.CodeInvalid, "no")
					}
					return granted(q), nil
				}
				b.start(t)
				m := request("true")
				first := b.requests.push(m)
				require.Eventually(t, func() bool { return b.claims.asked.Load() == 1 }, deadline, tick)
				second := b.requests.push(m)
				require.Eventually(t, func() bool { return b.Stats().Busy == 2 }, deadline, tick)
				require.True(t, second.open(), "it may be the only one left")
				close(answer)
				if grant {
					require.Equal(t, "ack", first.wait(t))
				} else {
					require.Equal(t, "dead", first.wait(t))
				}
				require.Equal(t, "ack", second.wait(t))
				require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
				require.NoError(t, b.stopped(t))
				require.Empty(t, b.reports.published)
			})
		}
	})
}

// TestWorker_Slots never takes more than it has room for.
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
	require.Equal(t, 3, b.Stats().Busy)
	require.Equal(t, 3, b.Stats().Slots)

	require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
	for i := range n {
		b.reports.next(t)
		// Every request that was taken is either reported or in a slot.
		require.LessOrEqual(t, b.requests.taken.Load(), int64(i+1+3+len(b.reports.published)))
	}
	require.NoError(t, b.stopped(t))
	require.Zero(t, b.Stats().Busy)
}

// TestWorker_Cancel honours a cancel at every point of an attempt's life here.
func TestWorker_Cancel(t *testing.T) {
	t.Parallel()

	t.Run("BetweenClaimAndStart", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			if !b.Cancel(q.Execution, q.Attempt) {
				return attune.ExecutionClaimReply{}, attune.Errorf(attune.CodeInvalid, "not known here")
			}
			return granted(q), nil
		}
		b.start(t)
		got := b.do(t, request(touch("ran")...))
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, attune.ReasonCancelled, got.Reason)
		require.Equal(t, "cancelled before it was started", got.Error)
		b.requireNotThere(t, "ran")
		b.requireStats(t, worker.Stats{Claimed: 1, Cancelled: 1})
	})

	t.Run("OfSomethingElse", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done")
		b.requests.push(m)
		b.read(t, "up")
		require.False(t, b.Cancel(m.Execution, m.Attempt+1))
		require.False(t, b.Cancel(m.Execution+1_000_000, m.Attempt))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.Eventually(t, func() bool { return !b.Cancel(m.Execution, m.Attempt) }, deadline, tick)
		require.NoError(t, b.stopped(t))
		require.Empty(t, b.reports.published)
	})

	t.Run("WhileEndedByTimeout", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("sh", "-c", "trap 'echo t > term; while [ ! -f go ]; do sleep 0.02; done; exit 1' TERM; while :; do sleep 0.02; done")
		m.Timeout = attune.Duration(3 * time.Second)
		b.requests.push(m)
		b.read(t, "term")
		require.True(t, b.Cancel(m.Execution, m.Attempt))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionTimedOut, b.reports.next(t).Status)
	})
}

// TestWorker_Stop tells a worker to stop while it works.
func TestWorker_Stop(t *testing.T) {
	t.Parallel()

	t.Run("WaitsForWhatRuns", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.push(request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done"))
		b.read(t, "up")
		b.stop()
		late := b.requests.push(request("true"))
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.NoError(t, b.stopped(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		b.requireStats(t, worker.Stats{Claimed: 1, Succeeded: 1})
		require.True(t, late.open(), "nothing is taken any more")
	})

	t.Run("EndsWhatTakesTooLong", func(t *testing.T) {
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
		b.requireStats(t, worker.Stats{Claimed: 2, Abandoned: 2})
	})

	t.Run("ReportsAfterwards", func(t *testing.T) {
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

	t.Run("OnlyOnce", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.push(request("true"))
		b.reports.next(t)
		require.NoError(t, b.stopped(t))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(b.Run(t.Context())))
	})
}

// TestWorker_Take survives a source that fails, and gives up on one that fails for good.
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
		b.requireStats(t, worker.Stats{Claimed: 1, Failed: 1})
	})
}

// TestNew refuses what cannot work, and says what would.
func TestNew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  worker.Config
		says string
	}{
		"NoName":       {worker.Config{}, "worker name is empty"},
		"TooManySlots": {worker.Config{Name: "w", Slots: 1001}, "use 1 to 1000"},
		"NegativeSlot": {worker.Config{Name: "w", Slots: -1}, "use 1 to 1000"},
		"SmallOutput":  {worker.Config{Name: "w", OutputLimit: 10}, "use 1024 to 1048576"},
		"Negative":     {worker.Config{Name: "w", KillGrace: -1}, "kill grace -1ns: use more than 0"},
		"EmptyFolder":  {worker.Config{Name: "w", Packs: map[string]string{"demo": ""}}, `the folder of pack "demo" is empty`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := worker.New(test.cfg, &requests{}, &claims{}, &reports{}, discard())
			require.ErrorContains(t, err, test.says)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}
}
