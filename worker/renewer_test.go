package worker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestRenewer_Ends checks when an attempt with a lease ends, for each pattern of replies to its renewals.
func TestRenewer_Ends(t *testing.T) {
	t.Parallel()
	id := attune.AttemptID{Execution: 1, Attempt: 1}
	const s = time.Second
	for name, test := range map[string]struct {
		length, ago   time.Duration // of the claim
		answer        func(ctx context.Context, n int) (attune.ExecutionRenewReply, error)
		ended, killed time.Duration
		why           string
		sent          []time.Duration // the times of the first renewals
		noMore        bool            // sent lists all renewals
	}{
		"a lease ends when no renewal is answered": {length: minute,
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 45 * s, killed: 56*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 45s",
			sent: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"a lease ends when every renewal fails at once": {length: minute, answer: noReply,
			ended: 45 * s, killed: 56*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 45s",
			sent: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"a reply without a lease renews nothing": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(0) },
			ended:  45 * s, killed: 56*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 45s"},
		"a lease that is renewed never ends": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) },
			ended:  never, killed: never,
			sent: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"one answered renewal of four keeps the lease": {length: minute,
			answer: func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n%4 == 0 {
					return renewed(minute)
				}
				return attune.ExecutionRenewReply{}, errNoReply
			},
			ended: never, killed: never,
			sent: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"a lease counts from the renewal, not from the reply": {length: minute,
			answer: func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n > 1 {
					return noReply(ctx, n)
				}
				<-time.After(9 * s)
				return renewed(minute)
			},
			ended: 55 * s, killed: 66*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 45s"},
		"an attempt that the reply lists as lost ends at once": {length: minute,
			answer: func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 1 {
					return renewed(minute, attune.AttemptID{Execution: 1, Attempt: 2})
				}
				return renewed(minute, id)
			},
			ended: 20 * s, killed: 20 * s, why: "the lease was lost: it expired, or the execution was ended without its worker",
			sent: []time.Duration{10 * s, 20 * s}, noMore: true},
		"shorter leases are renewed sooner": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(12 * s) },
			ended:  never, killed: never,
			sent: []time.Duration{10 * s, 12 * s, 14 * s}},
		"longer leases are renewed later": {length: 12 * s,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) },
			ended:  never, killed: never,
			sent: []time.Duration{2 * s, 12 * s, 22 * s}},
		"a renewal of a long lease waits for ClaimTimeout": {length: time.Hour,
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				if until, _ := ctx.Deadline(); time.Until(until) != DefaultClaimTimeout {
					return renewed(0, id)
				}
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 45 * minute, killed: 56*minute + 15*s, why: "the lease was not renewed: no reply for 45m0s",
			sent: []time.Duration{10 * minute, 20 * minute, 30 * minute}},
		"a renewal of a short lease waits for a sixth of the lease": {length: 12 * s,
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				if until, _ := ctx.Deadline(); time.Until(until) != 2*s {
					return renewed(0, id)
				}
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 9 * s, killed: 11*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 9s",
			sent: []time.Duration{2 * s, 4 * s, 6 * s, 8 * s, 10 * s}},
		"the time of a slow claim counts": {length: minute, ago: 9 * s, answer: noReply,
			ended: 36 * s, killed: 47*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 45s",
			sent: []time.Duration{1 * s, 11 * s}},
		"an attempt whose claim took too long is ended at once": {length: minute, ago: 46 * s, answer: noReply,
			killed: 10*s + 250*time.Millisecond, why: "the lease was not renewed: no reply for 46s"},
		"an attempt whose lease is already over is killed at once": {length: minute, ago: time.Hour, answer: noReply,
			why: "the lease was not renewed: no reply for 1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := startRenewer(t, test.answer)
				f := k.hold(1, test.length, test.ago)
				require.Equal(t, test.ended == 0, f.endedAt() == 0, "hold ends an attempt whose lease is nearly over")
				<-time.After(time.Hour)
				k.stop()
				require.Equal(t, test.ended, f.ended)
				require.Equal(t, test.killed, f.killed)
				if test.why == "" {
					require.NoError(t, f.why)
				} else {
					require.EqualError(t, f.why, test.why)
				}
				if test.sent != nil {
					require.GreaterOrEqual(t, len(k.sent), len(test.sent))
					require.Equal(t, test.sent, k.sent[:len(test.sent)])
				}
				if test.noMore {
					require.Len(t, k.sent, len(test.sent), "no renewal follows a lost lease")
				}
			})
		})
	}
}

// TestRenewer_Batch renews all leases with one request.
func TestRenewer_Batch(t *testing.T) {
	t.Parallel()
	ids := func(numbers ...int) (ids []attune.AttemptID) {
		for _, n := range numbers {
			ids = append(ids, attune.AttemptID{Execution: attune.ExecutionID(n), Attempt: 1})
		}
		return ids
	}

	t.Run("one renewal covers all leases", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 2 {
					return renewed(minute, ids(5)...)
				}
				return renewed(minute)
			})
			k.hold(9, minute, 0)
			<-time.After(3 * time.Second)
			five, three := k.hold(5, minute, 0), k.hold(3, 2*minute, 0)
			<-time.After(18 * time.Second)
			require.Equal(t, 20*time.Second, five.endedAt())
			require.Equal(t, never, three.endedAt())
			k.release(three.attempt)
			<-time.After(10 * time.Second)
			k.stop()
			require.Equal(t, [][]attune.AttemptID{ids(3, 5, 9), ids(3, 5, 9), ids(9)}, k.attempts)
			require.Equal(t, []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}, k.sent)
		})
	})

	t.Run("a worker with the most slots renews every lease, with several renewals that the bridge takes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) })
			var all []*fate
			for n := range MaxSlots {
				all = append(all, k.hold(n+1, minute, 0))
			}
			<-time.After(time.Hour)
			synctest.Wait()
			for _, f := range all {
				require.Equal(t, never, f.endedAt())
			}
			k.stop()
			seen := map[attune.AttemptID]int{}
			for _, attempts := range k.attempts {
				require.LessOrEqual(t, len(attempts), attune.MaxRenewed)
				for _, id := range attempts {
					seen[id]++
				}
			}
			require.Len(t, seen, MaxSlots)
			require.Len(t, k.attempts, MaxSlots/attune.MaxRenewed*seen[all[0].id], "no more renewals than necessary")
		})
	})

	t.Run("a renewal that came too late lengthens and ends nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 1 { // the row has the lease of another bridge, which has handled this renewal before
					return attune.ExecutionRenewReply{Lease: attune.Duration(time.Hour), Late: ids(1)}, nil
				}
				return noReply(t.Context(), n)
			})
			late, other := k.hold(1, minute, 0), k.hold(2, minute, 0)
			<-time.After(10 * time.Minute)
			require.Equal(t, 45*time.Second, late.endedAt(), "its lease is that of the claim")
			require.Equal(t, never, other.endedAt())
			k.stop()
		})
	})

	t.Run("the shortest lease sets the pace", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 1 { // the renewal of the long lease is unanswered when the short lease begins
					<-ctx.Done()
					return attune.ExecutionRenewReply{}, ctx.Err()
				}
				return renewed(6 * time.Second)
			})
			long := k.hold(1, minute, 0)
			<-time.After(10 * time.Second)
			synctest.Wait()
			short := k.hold(2, 6*time.Second, 0)
			<-time.After(minute)
			synctest.Wait()
			require.Equal(t, never, long.endedAt())
			require.Equal(t, never, short.endedAt())
			k.stop()
			require.Equal(t, []time.Duration{10 * time.Second, 11 * time.Second, 12 * time.Second}, k.sent[:3])
			require.Equal(t, ids(1, 2), k.attempts[1])
		})
	})

	t.Run("the latest answered renewal counts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, noReply)
			f := k.hold(1, minute, 0)
			later := func(d time.Duration) moment { return moment{at: time.Now().Add(d)} }
			reply := attune.ExecutionRenewReply{Lease: attune.Duration(minute)}
			k.applyReply(later(20*time.Second), ids(1), reply)
			k.applyReply(later(10*time.Second), ids(1), reply)
			<-time.After(time.Hour)
			k.stop()
			require.Equal(t, 65*time.Second, f.ended)
		})
	})

	t.Run("a reply does not affect an attempt that its renewal did not name", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := startRenewer(t, func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n > 1 {
					return noReply(ctx, n)
				}
				<-time.After(5 * time.Second)
				return renewed(minute, ids(1, 2)...)
			})
			one := k.hold(1, minute, 0)
			<-time.After(12 * time.Second)
			two := k.hold(2, minute, 0)
			<-time.After(time.Hour)
			k.stop()
			require.Equal(t, 15*time.Second, one.ended)
			require.Equal(t, 57*time.Second, two.ended)
		})
	})
}

// TestRenewer_Ended renews the lease of an attempt whose action has ended until the attempt is released, and ends
// nothing.
func TestRenewer_Ended(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(context.Context, int) (attune.ExecutionRenewReply, error)
		sent   int // in 10 min
	}{
		"the renewals are answered":     {func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) }, 60},
		"the renewals are not answered": {noReply, 60},
		"the lease is lost": {func(context.Context, int) (attune.ExecutionRenewReply, error) {
			return renewed(minute, attune.AttemptID{Execution: 1, Attempt: 1})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := startRenewer(t, test.answer)
				f := k.hold(1, minute, 0)
				k.actionEnded(f.attempt)
				<-time.After(10*time.Minute + time.Second)
				k.release(f.attempt)
				<-time.After(time.Hour)
				k.stop()
				require.Len(t, k.sent, test.sent)
				require.Equal(t, never, f.ended)
				require.Equal(t, never, f.killed)
				require.True(t, slices.IsSorted(k.sent))
			})
		})
	}
}

// TestRenewer_ShortestLease bounds the rate of renewals however short the lease is.
func TestRenewer_ShortestLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := startRenewer(t, func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(1) })
		f := k.hold(1, 1, 0)
		k.actionEnded(f.attempt)
		<-time.After(time.Second)
		k.stop()
		require.InDelta(t, time.Second/minRenewal, len(k.sent), 1)
	})
}

// TestRenewer_Frozen ends and kills at once when the worker was stopped for longer than a lease.
func TestRenewer_Frozen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := startRenewer(t, noReply)
		k.stop()
		f, other := k.hold(1, minute, 0), k.hold(2, 2*time.Hour, 0)
		attempts, _, _ := k.check(time.Now().Add(time.Hour))
		require.Zero(t, f.ended)
		require.Zero(t, f.killed)
		require.Equal(t, never, other.ended)
		require.Equal(t, []attune.AttemptID{f.id, other.id}, attempts, "a renewal is due as well")
	})
}
