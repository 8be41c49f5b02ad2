package worker_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// touch returns a command that writes the file "ran".
func touch() []string { return []string{"sh", "-c", "echo ran >> ran"} }

func (b *bundle) requireNothingRan(t *testing.T) {
	t.Helper()
	_, err := os.Stat(b.path("ran"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestWorker_Claim claims before it acknowledges, and acknowledges before it runs.
func TestWorker_Claim(t *testing.T) {
	t.Parallel()

	t.Run("the claim comes before the acknowledgement", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		m := request(touch()...)
		delivery := b.requests.push(m)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			if !delivery.open() || q.Execution != m.Execution || q.Attempt != 1 || q.Worker != "w1" {
				return attune.ClaimDecision{}, attune.Errorf(attune.CodeInvalid, "claimed too late or wrongly: %+v", q)
			}
			return granted(q), nil
		}
		b.start(t)
		require.Equal(t, "ack", delivery.wait(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
	})

	t.Run("a running action holds no delivery", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		delivery := b.requests.push(request("sh", "-c", "echo up > up; while [ ! -f go ]; do sleep 0.02; done"))
		b.read(t, "up")
		require.Equal(t, "ack", delivery.wait(t))
		require.Empty(t, b.reports.published)
		require.NoError(t, os.WriteFile(b.path("go"), nil, 0o644))
		b.reports.next(t)
	})

	t.Run("an action runs although its acknowledgement is lost", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		b.requests.queue <- worker.Request{Message: request("true").message(), Ack: func() error { return errAway }}
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
	})

	t.Run("a refused claim runs no action", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			return refused(q), nil
		}
		b.start(t)
		require.Equal(t, "ack", b.requests.push(request(touch()...)).wait(t))
		require.NoError(t, b.stopped(t))
		b.requireNothingRan(t)
		require.Empty(t, b.reports.published)
		b.requireTally(t, map[string]int{"refused": 1})
	})

	t.Run("a claim is sent again until a reply comes", func(t *testing.T) {
		t.Parallel()
		b, dir := &bundle{}, t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			b = setup(t, func(c *worker.Config) { c.Packs["demo"] = dir })
			b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
				switch n := b.claims.sent.Load(); {
				case n%10 == 5: // the reply is lost
					<-ctx.Done()
					return attune.ClaimDecision{}, ctx.Err()
				case n < 30:
					return attune.ClaimDecision{}, errAway
				}
				return granted(q), nil
			}
			b.start(t)
			delivery := b.requests.push(request("no-such-program"))
			require.Equal(t, attune.ReasonExecutableNotFound, b.nextIn(t).Reason)
			require.Equal(t, "ack", <-delivery.settled)
			b.requireTally(t, map[string]int{"failed": 1})
			b.stop()
			require.NoError(t, <-b.ended)
		})
		require.EqualValues(t, 30, b.claims.sent.Load())
	})

	for name, test := range map[string]struct {
		err  error
		sent int64
	}{
		"a final error makes the request a dead letter": {attune.Errorf(attune.CodeInvalid, "no"), 1},
		"an unknown error is tried five times":          {errors.New("bug"), 5},
		"an input that cannot be decrypted is asked for five times, although each claim renews the lease": {
			attune.WrapError(attune.CodeInternal, errors.New("open"), "decrypt the reply to the claim"), 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.claims.answer = func(context.Context, attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
					return attune.ClaimDecision{}, test.err
				}
				b.start(t)
				require.Equal(t, "dead", <-b.requests.push(request(touch()...)).settled)
				require.Equal(t, test.sent, b.claims.sent.Load())
				b.stop()
				require.NoError(t, <-b.ended)
				b.requireNothingRan(t)
				b.requireTally(t, map[string]int{})
			})
		})
	}

	t.Run("a request without an attempt is a dead letter", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("true")
		m.Attempt = 0
		require.Equal(t, "dead", b.requests.push(m).wait(t))
		require.Zero(t, b.claims.sent.Load())
	})

	t.Run("an unanswered request is returned when the worker stops", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.claims.answer = func(context.Context, attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
				return attune.ClaimDecision{}, errAway
			}
			b.start(t)
			delivery := b.requests.push(request("true"))
			synctest.Wait()
			b.stop()
			require.Equal(t, "requeue", <-delivery.settled)
			require.NoError(t, <-b.ended)
		})
	})

	t.Run("a claim that is granted while the worker stops is run", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		sent := make(chan struct{})
		answer := make(chan struct{})
		b.claims.answer = func(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			close(sent)
			select {
			case <-answer:
				return granted(q), nil
			case <-ctx.Done():
				return attune.ClaimDecision{}, ctx.Err()
			}
		}
		b.start(t)
		delivery := b.requests.push(request("true"))
		<-sent
		b.stop()
		close(answer)
		require.Equal(t, "ack", delivery.wait(t))
		require.Equal(t, attune.ExecutionSucceeded, b.reports.next(t).Status)
		require.NoError(t, b.stopped(t))
	})
}

// TestWorker_Duplicates delivers a request more than once.
func TestWorker_Duplicates(t *testing.T) {
	t.Parallel()
	const held = "echo ran >> ran; while [ ! -f go ]; do sleep 0.02; done"

	t.Run("a duplicate is dropped while the action runs and after", func(t *testing.T) {
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
		b.requireTally(t, map[string]int{"duplicate": 2, "succeeded": 2})
	})

	t.Run("a duplicate is returned when the worker stops", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		answer := make(chan struct{})
		b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			<-answer
			return refused(q), nil
		}
		b.start(t)
		m := request("true")
		first := b.requests.push(m)
		require.Eventually(t, func() bool { return b.claims.sent.Load() == 1 }, deadline, tick)
		second := b.requests.push(m)
		require.Eventually(t, func() bool { return b.requests.taken.Load() == 2 }, deadline, tick)
		b.stop()
		require.Equal(t, "requeue", second.wait(t))
		close(answer)
		require.Equal(t, "ack", first.wait(t))
	})

	t.Run("a duplicate waits for the claim of the first delivery", func(t *testing.T) {
		t.Parallel()
		for name, grant := range map[string]bool{"the claim is granted": true, "the claim fails": false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				answer := make(chan struct{})
				b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
					<-answer
					if !grant && b.claims.sent.Load() == 1 {
						return attune.ClaimDecision{}, attune.Errorf(attune.CodeInvalid, "no")
					}
					return granted(q), nil
				}
				b.start(t)
				m := request("true")
				first := b.requests.push(m)
				require.Eventually(t, func() bool { return b.claims.sent.Load() == 1 }, deadline, tick)
				second := b.requests.push(m)
				require.Eventually(t, func() bool { return b.requests.taken.Load() == 2 }, deadline, tick)
				require.True(t, second.open(), "it replaces the first delivery if the claim fails")
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
