package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_Renews renews the lease of an attempt from its claim until its report is published.
func TestWorker_Renews(t *testing.T) {
	t.Parallel()
	const lease = time.Minute

	t.Run("leases are renewed every sixth of their length", func(t *testing.T) {
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
			for _, question := range l.renewals {
				require.Equal(t, "w1", question.Worker)
				require.Equal(t, []attune.AttemptID{idOf(m), idOf(other)}, question.Attempts)
			}
			b.stop()
			require.NoError(t, <-b.ended)
			b.requireTally(t, map[string]int{"succeeded": 2})
		})
	})

	t.Run("a lease is renewed until the report is published", func(t *testing.T) {
		t.Parallel()
		for name, lost := range map[string]bool{"the lease is renewed": false, "the lease is lost": true} {
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

	t.Run("a stopping worker renews its leases", func(t *testing.T) {
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

	t.Run("an attempt without a lease does not run", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.lease(0, nil)
		b.start(t)
		report := b.do(t, request(touch()...))
		require.Equal(t, attune.ExecutionAbandoned, report.Status)
		require.Equal(t, attune.ReasonWorkerLost, report.Reason)
		b.requireNothingRan(t)
	})

	t.Run("a worker stops in time although no renewal is answered", func(t *testing.T) {
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

// TestWorker_LeaseOfTheAnsweredClaim counts a lease from the claim that was answered, not from earlier ones.
func TestWorker_LeaseOfTheAnsweredClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.lease(time.Minute, away)
		answer := b.claims.answer
		var sentAt time.Time
		b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			if b.claims.sent.Load() < 5 {
				<-ctx.Done()
				return attune.ClaimDecision{}, ctx.Err()
			}
			sentAt = time.Now()
			<-time.After(7 * time.Second)
			return answer(ctx, q)
		}
		b.start(t)
		start := b.pushHeld(request("true"))
		for b.log.all()["unrenewed"] == 0 {
			<-time.After(time.Millisecond)
			synctest.Wait()
		}
		require.InDelta(t, 45*time.Second, time.Since(sentAt), float64(time.Millisecond))
		start()
		got := b.nextIn(t)
		require.Equal(t, attune.ExecutionAbandoned, got.Status)
		require.Equal(t, attune.ReasonWorkerLost, got.Reason)
		require.Equal(t, "the lease was not renewed: no reply for 45s; ended before it was started", got.Error)
		b.stop()
		require.NoError(t, <-b.ended)
		b.requireTally(t, map[string]int{"abandoned": 1, "unrenewed": 1})
	})
}

// TestWorker_ClaimedTooLate starts no process under a lease that is over or nearly over.
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
