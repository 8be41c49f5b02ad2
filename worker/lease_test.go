package worker

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

const minute = time.Minute

var errNobody = attune.Errorf(attune.CodeUnavailable, "nobody answers")

// leaseStore answers the renewals of a renewer and remembers them.
type leaseStore struct {
	answer func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) // n counts from 1

	mu    sync.Mutex
	begun time.Time
	asked []time.Duration // since begun
	about [][]attune.AttemptID
}

func (*leaseStore) Claim(context.Context, attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
	return attune.ExecutionClaimReply{}, errNobody
}

func (l *leaseStore) Renew(ctx context.Context, q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	l.mu.Lock()
	l.asked = append(l.asked, time.Since(l.begun))
	l.about = append(l.about, q.Attempts)
	n := len(l.asked)
	l.mu.Unlock()
	return l.answer(ctx, n)
}

func renewed(d time.Duration, lost ...attune.AttemptID) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{Lease: attune.Duration(d), Lost: lost}, nil
}

func nobody(context.Context, int) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{}, errNobody
}

// kept is a renewer that runs in a bubble, with what became of its attempts.
type kept struct {
	*renewer
	*leaseStore
	stop func()
}

func keep(t *testing.T, answer func(context.Context, int) (attune.ExecutionRenewReply, error)) *kept {
	t.Helper()
	l := &leaseStore{answer: answer, begun: time.Now()}
	k := &kept{renewer: newRenewer(l, Config{Name: "w1"}.WithDefaults(), slog.New(slog.DiscardHandler)), leaseStore: l}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	k.stop = func() { cancel(); running.Wait() }
	t.Cleanup(k.stop)
	return k
}

// fate is when an attempt was ended and killed, since the beginning, and why.
type fate struct {
	*attempt
	mu            sync.Mutex
	ended, killed time.Duration
	why           error
}

const never = time.Duration(-1)

// hold takes an attempt that was asked for the given time ago.
func (k *kept) hold(id int, length, ago time.Duration) *fate {
	f := &fate{ended: never, killed: never}
	once := func(at *time.Duration, why error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if *at == never {
			*at, f.why = time.Since(k.begun), cmp.Or(f.why, why)
		}
	}
	f.attempt = &attempt{
		id:   attune.AttemptID{Execution: attune.ExecutionID(id), Attempt: 1},
		end:  func(cause error) { once(&f.ended, cause) },
		kill: func() { once(&f.killed, nil) },
	}
	k.renewer.hold(f.attempt, lease{from: time.Now().Add(-ago), length: length})
	return f
}

// now is when the attempt was ended, if it was.
func (f *fate) now() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// TestKeeper_Ends says when an attempt with a lease of a minute, of which nobody hears but by renewals, comes to its end.
func TestKeeper_Ends(t *testing.T) {
	t.Parallel()
	id := attune.AttemptID{Execution: 1, Attempt: 1}
	const s = time.Second
	for name, test := range map[string]struct {
		length, ago   time.Duration // of the claim
		answer        func(ctx context.Context, n int) (attune.ExecutionRenewReply, error)
		ended, killed time.Duration
		why           string
		asked         []time.Duration // the first of them
	}{
		"NeverAnswered": {length: minute,
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 45 * s, killed: 56*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 45s",
			asked: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"FailedAtOnce": {length: minute, answer: nobody,
			ended: 45 * s, killed: 56*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 45s",
			asked: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"AnsweredWithoutLease": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(0) },
			ended:  45 * s, killed: 56*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 45s"},
		"Answered": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) },
			ended:  never, killed: never,
			asked: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"EveryFourthAnswered": {length: minute,
			answer: func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n%4 == 0 {
					return renewed(minute)
				}
				return attune.ExecutionRenewReply{}, errNobody
			},
			ended: never, killed: never,
			asked: []time.Duration{10 * s, 20 * s, 30 * s, 40 * s, 50 * s, 60 * s}},
		"CountsFromTheQuestion": {length: minute,
			answer: func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n > 1 {
					return nobody(ctx, n)
				}
				<-time.After(9 * s)
				return renewed(minute)
			},
			ended: 55 * s, killed: 66*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 45s"},
		"Lost": {length: minute,
			answer: func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 1 {
					return renewed(minute, attune.AttemptID{Execution: 1, Attempt: 2})
				}
				return renewed(minute, id)
			},
			ended: 20 * s, killed: 20 * s, why: "its lease was lost: it had run out, or the execution was ended without its worker",
			asked: []time.Duration{10 * s, 20 * s}},
		"LeasesBecomeShorter": {length: minute,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(12 * s) },
			ended:  never, killed: never,
			asked: []time.Duration{10 * s, 12 * s, 14 * s}},
		"LeasesBecomeLonger": {length: 12 * s,
			answer: func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) },
			ended:  never, killed: never,
			asked: []time.Duration{2 * s, 12 * s, 22 * s}},
		"LongLease": {length: time.Hour, // which does not make an answer that is lost cost more than ClaimTimeout
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				if until, _ := ctx.Deadline(); time.Until(until) != DefaultClaimTimeout {
					return renewed(0, id)
				}
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 45 * minute, killed: 56*minute + 15*s, why: "its lease ran out: no renewal was answered for 45m0s",
			asked: []time.Duration{10 * minute, 20 * minute, 30 * minute}},
		"ShortLease": {length: 12 * s,
			answer: func(ctx context.Context, _ int) (attune.ExecutionRenewReply, error) {
				if until, _ := ctx.Deadline(); time.Until(until) != 2*s {
					return renewed(0, id)
				}
				<-ctx.Done()
				return attune.ExecutionRenewReply{}, ctx.Err()
			},
			ended: 9 * s, killed: 11*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 9s",
			asked: []time.Duration{2 * s, 4 * s, 6 * s, 8 * s, 10 * s}},
		"ClaimedSlowly": {length: minute, ago: 9 * s, answer: nobody,
			ended: 36 * s, killed: 47*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 45s",
			asked: []time.Duration{1 * s, 11 * s}},
		"ClaimedTooSlowly": {length: minute, ago: 46 * s, answer: nobody,
			killed: 10*s + 250*time.Millisecond, why: "its lease ran out: no renewal was answered for 46s"},
		"OverBeforeItCame": {length: minute, ago: time.Hour, answer: nobody,
			why: "its lease ran out: no renewal was answered for 1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := keep(t, test.answer)
				f := k.hold(1, test.length, test.ago)
				require.Equal(t, test.ended == 0, f.now() == 0, "it is ended before its claim is acted upon, or later")
				<-time.After(time.Hour)
				k.stop()
				require.Equal(t, test.ended, f.ended)
				require.Equal(t, test.killed, f.killed)
				if test.why == "" {
					require.NoError(t, f.why)
				} else {
					require.EqualError(t, f.why, test.why)
				}
				if test.asked != nil {
					require.GreaterOrEqual(t, len(k.asked), len(test.asked))
					require.Equal(t, test.asked, k.asked[:len(test.asked)])
				}
				if name == "Lost" {
					require.Len(t, k.asked, len(test.asked), "nothing is left to be renewed")
				}
			})
		})
	}
}

// TestKeeper_Batch asks about everything at once.
func TestKeeper_Batch(t *testing.T) {
	t.Parallel()
	ids := func(numbers ...int) (ids []attune.AttemptID) {
		for _, n := range numbers {
			ids = append(ids, attune.AttemptID{Execution: attune.ExecutionID(n), Attempt: 1})
		}
		return ids
	}

	t.Run("OneQuestionForAll", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, func(_ context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 2 {
					return renewed(minute, ids(5)...)
				}
				return renewed(minute)
			})
			k.hold(9, minute, 0)
			<-time.After(3 * time.Second)
			five, three := k.hold(5, minute, 0), k.hold(3, 2*minute, 0)
			<-time.After(18 * time.Second)
			require.Equal(t, 20*time.Second, five.now())
			require.Equal(t, never, three.now())
			k.release(three.attempt)
			<-time.After(10 * time.Second)
			k.stop()
			require.Equal(t, [][]attune.AttemptID{ids(3, 5, 9), ids(3, 5, 9), ids(9)}, k.about)
			require.Equal(t, []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second}, k.asked)
		})
	})

	t.Run("TheShortestCounts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n == 1 { // nobody answers the long one, when the short one comes
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
			require.Equal(t, never, long.now())
			require.Equal(t, never, short.now())
			k.stop()
			require.Equal(t, []time.Duration{10 * time.Second, 11 * time.Second, 12 * time.Second}, k.asked[:3])
			require.Equal(t, ids(1, 2), k.about[1])
		})
	})

	t.Run("TheYoungestAnswerCounts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, nobody)
			f := k.hold(1, minute, 0)
			now := time.Now()
			reply := attune.ExecutionRenewReply{Lease: attune.Duration(minute)}
			k.answered(now.Add(20*time.Second), ids(1), reply)
			k.answered(now.Add(10*time.Second), ids(1), reply)
			<-time.After(time.Hour)
			k.stop()
			require.Equal(t, 65*time.Second, f.ended)
		})
	})

	t.Run("WhoCameAfterTheQuestionIsNoConcernOfTheAnswer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			k := keep(t, func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) {
				if n > 1 {
					return nobody(ctx, n)
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

// TestKeeper_Ended keeps the lease of an attempt that has ended until it is released, and ends nothing any more.
func TestKeeper_Ended(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(context.Context, int) (attune.ExecutionRenewReply, error)
		asked  int // in 10 min
	}{
		"Answered": {func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(minute) }, 60},
		"Nobody":   {nobody, 60},
		"Lost": {func(context.Context, int) (attune.ExecutionRenewReply, error) {
			return renewed(minute, attune.AttemptID{Execution: 1, Attempt: 1})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := keep(t, test.answer)
				f := k.hold(1, minute, 0)
				k.actionEnded(f.attempt)
				<-time.After(10*time.Minute + time.Second)
				k.release(f.attempt)
				<-time.After(time.Hour)
				k.stop()
				require.Len(t, k.asked, test.asked)
				require.Equal(t, never, f.ended)
				require.Equal(t, never, f.killed)
				require.True(t, slices.IsSorted(k.asked))
			})
		})
	}
}

// TestKeeper_AbsurdLease asks at a bounded rate whatever it is told.
func TestKeeper_AbsurdLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, func(context.Context, int) (attune.ExecutionRenewReply, error) { return renewed(1) })
		f := k.hold(1, 1, 0)
		k.actionEnded(f.attempt)
		<-time.After(time.Second)
		k.stop()
		require.InDelta(t, time.Second/minRenewal, len(k.asked), 1)
	})
}

// TestKeeper_Frozen ends and kills at once when the worker was stopped for longer than a lease.
func TestKeeper_Frozen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, nobody)
		k.stop()
		f, other := k.hold(1, minute, 0), k.hold(2, 2*time.Hour, 0)
		attempts, _, _ := k.look(time.Now().Add(time.Hour))
		require.Zero(t, f.ended)
		require.Zero(t, f.killed)
		require.Equal(t, never, other.ended)
		require.Equal(t, []attune.AttemptID{f.id, other.id}, attempts, "a renewal is due as well")
	})
}
