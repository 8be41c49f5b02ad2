package bridge_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// TestCompletions_Refused handles batches with reports that are forged or invalid.
func TestCompletions_Refused(t *testing.T) {
	t.Parallel()
	w := newSigner(t)
	report := func(id attune.ExecutionID) attune.ExecutionCompletedMessage {
		return attune.ExecutionCompletedMessage{Execution: id, Attempt: 1, Status: attune.ExecutionSucceeded, Pool: "gpu"}
	}
	finisher := finisherFunc(func(reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
		var completions []attune.Completion
		for _, r := range reports {
			require.Equal(t, w.public(), r.Key)
			effect := attune.CompletionFinished
			switch r.Execution {
			case 3:
				effect = attune.CompletionForged
			case 6:
				effect = attune.CompletionForeign
			}
			completions = append(completions, attune.Completion{
				Execution: r.Execution, Queue: "q", Ticket: ticket(attune.EnforcementID(r.Execution)), Effect: effect,
			})
		}
		return completions, nil
	})
	altered := signAll(t, w, report(2))[0]
	altered.Signature[0] ^= 1
	open := report(4)
	open.Status = attune.ExecutionRunning
	batch := append(signAll(t, w, report(1)), altered)
	batch = append(batch, signAll(t, w, report(3), open, report(5), report(6))...)

	queues, refused := &fakeQueues{}, new(refusals)
	counted := map[attune.CompletionEffect]int{}
	completions := bridge.NewCompletions(finisher, queues, "", func(_ context.Context, e attune.CompletionEffect, _ attune.ExecutionStatus) {
		counted[e]++
	}, refused.count, slog.New(slog.DiscardHandler))
	requireRefused(t, completions.Handle(t.Context(), batch), map[int]attune.Refusal{
		1: attune.RefusedSignature, 2: attune.RefusedKey, 3: attune.RefusedContent, 5: attune.RefusedPool,
	})
	require.Equal(t, []attune.Ticket{ticket(1), ticket(5)}, queues.released["q"], "the others are done")
	require.Equal(t, map[attune.CompletionEffect]int{"finished": 2, "forged": 1, "foreign": 1}, counted)
	require.Equal(t, []string{"execution.completed content", "execution.completed key", "execution.completed pool", "execution.completed signature"}, refused.all())
}
