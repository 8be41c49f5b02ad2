package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/secrets"
)

// slowWorld fakes every dependency of an Ingest for concurrent calls. Its evaluations last until the test lets them end.
type slowWorld struct {
	*ingest.Ingest
	running, most atomic.Int64
	end           chan struct{} // an evaluation ends when it receives
	mu            sync.Mutex
	begun         []string // evaluations by payload or parameters, in the order of their begin; guarded by mu
}

func setupSlow(t *testing.T, evaluations int) *slowWorld {
	t.Helper()
	h := &slowWorld{end: make(chan struct{})}
	in, err := ingest.New(ingest.Deps{Triggers: h, Actions: h, Engine: h, Encrypter: &secrets.Keyring{}, Recorder: h, Metrics: h, Evaluations: evaluations})
	require.NoError(t, err)
	h.Ingest = in
	return h
}

func (h *slowWorld) evaluate(what json.RawMessage) {
	h.mu.Lock()
	h.begun = append(h.begun, string(what))
	h.mu.Unlock()
	now := h.running.Add(1)
	for most := h.most.Load(); now > most && !h.most.CompareAndSwap(most, now); most = h.most.Load() {
	}
	<-h.end
	h.running.Add(-1)
}

func (h *slowWorld) Trigger(_ context.Context, ref attune.Ref) (attune.Trigger, error) {
	return attune.Trigger{Ref: ref}, nil
}

func (h *slowWorld) Action(_ context.Context, ref attune.Ref) (attune.Action, error) {
	return attune.Action{Ref: ref, Enabled: true}, nil
}

func (*slowWorld) MaskEvent(_ attune.Trigger, payload json.RawMessage) (json.RawMessage, []attune.SecretField, error) {
	return payload, nil, nil
}

func (h *slowWorld) CheckEvent(_ attune.Trigger, payload json.RawMessage) error {
	h.evaluate(payload)
	return nil
}

func (h *slowWorld) Decide(_ context.Context, event attune.Event, _ []attune.Candidate) []attune.Decision {
	h.evaluate(event.Payload)
	return nil
}

func (h *slowWorld) Manual(_ attune.Action, parameters json.RawMessage) (attune.Decision, error) {
	h.evaluate(parameters)
	return attune.Decision{Parameters: parameters}, nil
}

func (h *slowWorld) Rechoose(_ context.Context, run attune.RecordedRun, _ attune.Action) attune.Decision {
	h.evaluate(run.Parameters)
	return attune.Decision{}
}

func (h *slowWorld) Lane(_ context.Context, _ attune.Event, _ attune.Action, decision attune.Decision) attune.Decision {
	h.evaluate(decision.Parameters)
	return decision
}

// Record fails like a transaction when ctx ends before the commit.
func (h *slowWorld) Record(ctx context.Context, event attune.Event, decide attune.DecideFunc) (attune.Recorded, error) {
	decide(event, nil)
	return attune.Recorded{Event: event, Enforcements: make([]attune.Enforcement, 1)}, ctx.Err()
}

func (*slowWorld) ReserveID(context.Context) (attune.EventID, error) { return 0, nil }

func (*slowWorld) EventRecorded(context.Context, attune.Source) {}

func (*slowWorld) EnforcementReached(context.Context, int, attune.EnforcementStatus, attune.Reason) {}

func TestIngest_Evaluations(t *testing.T) {
	t.Parallel()

	t.Run("at most the configured number of evaluations runs at the same time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const evaluations, calls = 3, 20
			h := setupSlow(t, evaluations)
			errs := make([]error, calls)
			var done sync.WaitGroup
			for i := range calls {
				done.Go(func() {
					if i%2 == 0 {
						_, errs[i] = h.Event(t.Context(), push())
					} else {
						_, errs[i] = h.Run(t.Context(), deploy())
					}
				})
			}
			synctest.Wait()
			require.EqualValues(t, evaluations, h.running.Load(), "all slots are in use")
			close(h.end)
			done.Wait()
			require.Equal(t, make([]error, calls), errs)
			require.EqualValues(t, evaluations, h.most.Load())
			require.Len(t, h.begun, calls*3/2, "an event is checked and decided, a run is decided")
		})
	})

	t.Run("callers wait in the order of their calls", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const calls = 10
			h := setupSlow(t, 1)
			var done sync.WaitGroup
			var want []string
			for i := range calls {
				run := deploy()
				run.Parameters = json.RawMessage(fmt.Sprint(i))
				want = append(want, fmt.Sprint(i))
				done.Go(func() { _, _ = h.Run(t.Context(), run) })
				synctest.Wait() // the call runs or waits
			}
			close(h.end)
			done.Wait()
			require.Equal(t, want, h.begun)
		})
	})

	t.Run("a caller that waits leaves when its context ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := setupSlow(t, 1)
			var running, waiting sync.WaitGroup
			running.Go(func() { _, _ = h.Run(t.Context(), deploy()) })
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			refused := make([]error, 2)
			waiting.Go(func() { _, refused[0] = h.Run(ctx, deploy()) })
			waiting.Go(func() { _, refused[1] = h.Event(ctx, push()) })
			synctest.Wait()
			cancel()
			waiting.Wait()
			for _, err := range refused {
				require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "%v", err)
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Len(t, h.begun, 1, "the engine has not seen the other calls")

			running.Go(func() { _, _ = h.Run(t.Context(), deploy()) })
			close(h.end)
			running.Wait()
			require.Len(t, h.begun, 2, "the slot is free for the next call")
		})
	})

	t.Run("an event that waits for its decision is not recorded when its context ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := setupSlow(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			var refused error
			done.Go(func() { _, refused = h.Event(ctx, push()) })
			synctest.Wait() // the check of the event runs
			done.Go(func() { _, _ = h.Run(t.Context(), deploy()) })
			synctest.Wait() // the run waits, so it is before the decision
			h.end <- struct{}{}
			synctest.Wait() // the run is evaluated, and the decision waits
			cancel()
			synctest.Wait()
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(refused), "%v", refused)
			close(h.end)
			done.Wait()
			require.Len(t, h.begun, 2)
		})
	})
}

func TestNew_NegativeEvaluations(t *testing.T) {
	t.Parallel()
	h := &slowWorld{}
	_, err := ingest.New(ingest.Deps{Triggers: h, Actions: h, Engine: h, Encrypter: &secrets.Keyring{}, Recorder: h, Metrics: h, Evaluations: -1})
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	require.ErrorContains(t, err, "-1 evaluations")
}
