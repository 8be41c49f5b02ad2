package worker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_ActionMismatch claims attempts of actions that the worker has in another version, or does not have.
func TestWorker_ActionMismatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*attune.ExecutionInput)
		want   string
	}{
		"an action that the worker does not have runs nothing": {
			func(input *attune.ExecutionInput) { input.Action = "demo.unknown" },
			`does not have action "demo.unknown": give the worker the pack "demo"`,
		},
		"an action with another digest runs nothing": {
			func(input *attune.ExecutionInput) { input.ActionDigest = attune.Action{Ref: input.Action}.Digest() },
			"give every process the same version of pack \"demo\"",
		},
		"an action without a digest runs nothing": {
			func(input *attune.ExecutionInput) { input.ActionDigest = "" },
			"another version of action",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
				d := granted(q)
				test.change(&d.Input)
				return d, nil
			}
			b.start(t)
			got := b.do(t, request(touch()...))
			require.Equal(t, attune.ExecutionFailed, got.Status)
			require.Equal(t, attune.ReasonActionMismatch, got.Reason)
			require.Contains(t, got.Error, test.want)
			b.requireNothingRan(t)
		})
	}

	t.Run("the action of the reply runs, not the action that the request names", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		good, other := request("echo", "right"), request(touch()...)
		good.message()
		other.message()
		forged := other
		forged.Execution, forged.Enforcement = good.Execution, 99
		b.start(t)
		b.requests.queue <- worker.Request{Message: forged.ExecutionRequestedMessage, Ack: func() error { return nil }}
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
		require.Equal(t, "right\n", got.Stdout)
		b.requireNothingRan(t)
	})
}
