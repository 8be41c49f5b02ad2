package worker_test

import (
	"context"
	"os"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// leases grants every claim with a lease of length and renews as answer says: with the same, unless told otherwise.
type leases struct {
	mu     sync.Mutex
	length time.Duration
	answer renewal
	asked  []attune.ExecutionRenewMessage
}

type renewal = func(question attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error)

func (b *bundle) lease(length time.Duration, answer renewal) *leases {
	l := &leases{length: length, answer: answer}
	b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		reply := granted(q)
		reply.Lease = attune.Duration(l.length)
		return reply, nil
	}
	b.claims.renew = func(_ context.Context, q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked = append(l.asked, q)
		if l.answer != nil {
			return l.answer(q)
		}
		return attune.ExecutionRenewReply{Lease: attune.Duration(l.length)}, nil
	}
	return l
}

// lose answers from now on that m is lost. It delivers one more request, whose lease is short, which brings the renewal of
// all others forward; finish lets that end.
func (b *bundle) lose(l *leases, m attune.ExecutionRequestedMessage) (finish func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.length = time.Second
	l.answer = func(attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
		return attune.ExecutionRenewReply{Lease: attune.Duration(time.Hour), Lost: []attune.AttemptID{idOf(m)}}, nil
	}
	return b.pushHeld(request("true"))
}

// times is how often a renewal was asked for.
func (l *leases) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked)
}

func away(attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{}, errAway
}

func idOf(m attune.ExecutionRequestedMessage) attune.AttemptID {
	return attune.AttemptID{Execution: m.Execution, Attempt: m.Attempt}
}

// pushHeld delivers a request that is claimed and does not start before go is closed, because its acknowledgement takes
// that long. In a bubble it stands for an action that runs, which would hold up the clock.
func (b *bundle) pushHeld(m attune.ExecutionRequestedMessage) (start func()) {
	gate := make(chan struct{})
	b.requests.queue <- worker.Request{Message: m, Ack: func() error {
		<-gate
		return nil
	}}
	return func() { close(gate) }
}

// TestWorker_Renews keeps the lease of an attempt from its claim until its report was published.
func TestWorker_Renews(t *testing.T) {
	t.Parallel()
	const lease = time.Minute

	t.Run("AcrossManyLeases", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			l := b.lease(lease, nil)
			b.start(t)
			m, other := request("true"), request("true")
			start, startOther := b.pushHeld(m), b.pushHeld(other)
			<-time.After(time.Hour + time.Second)
			start()
			startOther()
			for range 2 {
				require.Equal(t, attune.ExecutionSucceeded, b.nextIn(t).Status)
			}
			<-time.After(time.Hour)
			require.Equal(t, 360, l.times(), "every sixth of a lease, and not once after the reports")
			for _, question := range l.asked {
				require.Equal(t, "w1", question.Worker)
				require.Equal(t, []attune.AttemptID{idOf(m), idOf(other)}, question.Attempts)
			}
			b.stop()
			require.NoError(t, <-b.ended)
			b.requireTally(t, map[string]int{"succeeded": 2})
		})
	})

	t.Run("UntilItsReportIsPublished", func(t *testing.T) {
		t.Parallel()
		for name, lost := range map[string]bool{"Kept": false, "Lost": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := setup(t)
					l := b.lease(lease, nil)
					if lost {
						l.answer = func(q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
							return attune.ExecutionRenewReply{Lease: attune.Duration(lease), Lost: q.Attempts}, nil
						}
					}
					begun := time.Now()
					b.reports.fail = func(context.Context) error {
						if time.Since(begun) < time.Hour {
							return errAway
						}
						return nil
					}
					b.start(t)
					b.requests.push(request("true"))
					require.Equal(t, attune.ExecutionSucceeded, b.nextIn(t).Status)
					<-time.After(time.Hour)
					if lost {
						require.Equal(t, 1, l.times())
					} else {
						require.InDelta(t, 360, l.times(), 1)
					}
					b.stop()
					require.NoError(t, <-b.ended)
					b.requireTally(t, map[string]int{"succeeded": 1})
				})
			})
		}
	})

	t.Run("WhileTheWorkerStops", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t, func(c *worker.Config) { c.StopGrace, c.ReportGrace = 10*time.Minute, 20*time.Minute })
			l := b.lease(lease, nil)
			begun := time.Now()
			b.reports.fail = func(context.Context) error {
				if time.Since(begun) < 15*time.Minute {
					return errAway
				}
				return nil
			}
			b.start(t)
			start := b.pushHeld(request("true"))
			synctest.Wait()
			b.stop()
			<-time.After(5*time.Minute + time.Second)
			require.Equal(t, 30, l.times())
			start()
			<-time.After(5 * time.Minute)
			require.Equal(t, 60, l.times())
			require.NoError(t, <-b.ended)
			require.Equal(t, attune.ExecutionSucceeded, b.nextIn(t).Status)
			require.InDelta(t, 90, l.times(), 1)
		})
	})

	t.Run("NothingRunsWithoutLease", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.lease(0, nil)
		b.start(t)
		report := b.do(t, request(touch()...))
		require.Equal(t, attune.ExecutionAbandoned, report.Status)
		require.Equal(t, attune.ReasonWorkerLost, report.Reason)
		b.requireNothingRan(t)
	})

	t.Run("NobodyAnswersAWorkerThatIsGivenUp", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.lease(lease, nil)
			b.claims.renew = func(ctx context.Context, _ attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			}
			b.reports.fail = func(context.Context) error { return errAway }
			b.start(t)
			b.requests.push(request("no-such-program"))
			<-time.After(5 * lease)
			before := time.Now()
			b.stop()
			require.ErrorContains(t, <-b.ended, "1 executions unreported")
			require.LessOrEqual(t, time.Since(before), b.stopTime)
			b.requireTally(t, map[string]int{"failed": 1, "unreported": 1})
		})
	})
}

// TestWorker_LeaseOfTheAnsweredQuestion counts a lease from the claim that was answered, not from those before.
func TestWorker_LeaseOfTheAnsweredQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.lease(time.Minute, away)
		answer := b.claims.answer
		var asked time.Time
		b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
			if b.claims.asked.Load() < 5 {
				<-ctx.Done()
				return attune.ExecutionClaimReply{}, ctx.Err()
			}
			asked = time.Now()
			<-time.After(7 * time.Second)
			return answer(ctx, q)
		}
		b.start(t)
		start := b.pushHeld(request("true"))
		for b.said.counts()["lost"] == 0 {
			<-time.After(time.Millisecond)
			synctest.Wait()
		}
		require.InDelta(t, 45*time.Second, time.Since(asked), float64(time.Millisecond))
		start()
		got := b.nextIn(t)
		require.Equal(t, attune.ExecutionAbandoned, got.Status)
		require.Equal(t, attune.ReasonWorkerLost, got.Reason)
		require.Equal(t, "its lease ran out: no renewal was answered for 45s; ended before it was started", got.Error)
		b.stop()
		require.NoError(t, <-b.ended)
		b.requireTally(t, map[string]int{"abandoned": 1, "lost": 1})
	})
}

// TestWorker_ClaimedTooLate starts nothing under a lease that is over, or will be before long.
func TestWorker_ClaimedTooLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.lease(time.Nanosecond, nil)
	b.start(t)
	got := b.do(t, request(touch()...))
	require.Equal(t, attune.ReasonWorkerLost, got.Reason)
	require.Contains(t, got.Error, "ended before it was started")
	require.NoError(t, b.stopped(t))
	require.NoFileExists(t, b.path("ran"))
}

// stubborn is a script of a process and a child of it that both ignore SIGTERM. It leaves "ready" with the process id.
const stubborn = `trap '' TERM; sh -c 'while :; do sleep 0.02; done' & echo $$ > ready; while :; do sleep 0.02; done`

// requireNoGroup waits until nobody is left of a process group.
func requireNoGroup(t *testing.T, group int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(groupOf(group)) == 0 }, deadline, tick, "group %d is alive", group)
}

// TestWorker_Lost ends processes whose lease is not the worker's any more.
func TestWorker_Lost(t *testing.T) {
	t.Parallel()

	t.Run("Answered", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = time.Hour })
		l := b.lease(time.Hour, nil)
		b.start(t)
		lost, kept := request(b.script(t, stubborn)), request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done")
		b.requests.push(lost)
		b.requests.push(kept)
		pid := b.pid(t, "ready")
		b.read(t, "up")

		finish := b.lose(l, lost)
		got := b.reports.next(t)
		require.Equal(t, lost.Execution, got.Execution)
		require.Equal(t, attune.ExecutionAbandoned, got.Status)
		require.Equal(t, attune.ReasonWorkerLost, got.Reason)
		require.Equal(t, "its lease was lost: it had run out, or the execution was ended without its worker; "+
			"ended while it ran; it was killed so that it does not outlive its lease", got.Error)
		requireNoGroup(t, pid)
		require.Equal(t, 1, b.said.counts()["abandoned"])

		finish()
		b.reports.next(t)
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.NoError(t, b.stopped(t))
	})

	t.Run("NeverRenewed", func(t *testing.T) {
		t.Parallel()
		for name, test := range map[string]struct {
			script, says string
		}{
			"TermIsHonoured": {`trap 'exit 3' TERM; echo $$ > ready; while :; do sleep 0.02; done`, `; ended while it ran$`},
			"TermIsIgnored":  {stubborn, `; it was killed so that it does not outlive its lease$`},
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
					require.Regexp(t, `^its lease ran out: no renewal was answered for \d`, got.Error)
					require.NoError(t, b.stopped(t))
					b.requireTally(t, map[string]int{"abandoned": 1, "lost": 1})
					ready, _ := os.ReadFile(b.path("ready"))
					inTime := len(ready) > 0 && regexp.MustCompile(test.says).MatchString(got.Error)
					if !inTime && 2*lease < deadline {
						continue
					}
					require.Regexp(t, test.says, got.Error)
					requireNoGroup(t, b.pid(t, "ready"))
					return
				}
			})
		}
	})

	t.Run("WhileItIsBeingCancelled", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = time.Hour })
		l := b.lease(time.Hour, nil)
		b.start(t)
		m := request(b.script(t, `trap 'echo t > term' TERM; echo $$ > ready; while :; do sleep 0.02; done`))
		b.requests.push(m)
		pid := b.pid(t, "ready")
		require.True(t, b.Cancel(m.Execution, m.Attempt))
		b.read(t, "term")

		finish := b.lose(l, m)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, "cancelled while it ran; it was killed so that it does not outlive its lease", got.Error)
		requireGone(t, pid)
		finish()
		b.reports.next(t)
	})

	t.Run("WhatItLeftBehind", func(t *testing.T) {
		t.Parallel()
		if _, err := os.Stat("/proc/self/stat"); err != nil {
			t.Skip("who is left of a group is read from /proc")
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
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "it had ended by itself")
		require.Equal(t, "done\n", got.Stdout)
		requireNoGroup(t, pid)
		finish()
		b.reports.next(t)
	})
}
