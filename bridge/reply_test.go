package bridge_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/worker"
)

// TestReply_ToAWorker sends claims of a worker over the broker to a program that answers them in the place of the bridge.
func TestReply_ToAWorker(t *testing.T) {
	t.Parallel()
	topology, err := rabbitmq.NewTopology(attune.DefaultPool)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	input := attune.ExecutionInput{Action: "demo.act", Parameters: json.RawMessage(`{"n":1}`)}

	// claims runs a program that answers each claim with answer, and returns what a worker gets from it.
	claims := func(
		t *testing.T, answer func(attune.ExecutionClaimMessage) attune.ExecutionClaimReply,
	) func(attune.ExecutionID) (attune.ClaimDecision, error) {
		t.Helper()
		connections, err := rabbitmq.Connect(ctx, rabbitmq.Config{URL: testenv.AMQP(t), Name: t.Name()}, topology)
		require.NoError(t, err)
		responder := rabbitmq.NewResponder(connections.Consume, rabbitmq.ConsumerConfig{
			Queue: rabbitmq.QueueExecutionClaim, Publisher: rabbitmq.NewPublisher(connections.Publish),
		}, func(_ context.Context, batch []bridge.SignedClaim) ([]attune.ExecutionClaimReply, error) {
			replies := make([]attune.ExecutionClaimReply, len(batch))
			for i, signed := range batch {
				claim, err := attune.Open(signed)
				if err != nil {
					return nil, err
				}
				replies[i] = answer(claim)
			}
			return replies, nil
		})
		running, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { _ = responder.Run(running) })
		t.Cleanup(func() { stop(); done.Wait(); connections.Close() })
		broker, err := worker.NewBroker(connections, attune.DefaultPool)
		require.NoError(t, err)
		return func(id attune.ExecutionID) (attune.ClaimDecision, error) {
			return broker.Claim(ctx, attune.ExecutionClaimMessage{Installation: "one", Execution: id, Attempt: 1, Worker: "w"})
		}
	}
	granted := func(claim attune.ExecutionClaimMessage, sealedFor attune.ExecutionClaimMessage) attune.ExecutionClaimReply {
		sealed, err := sealedFor.Seal(input)
		if err != nil {
			t.Errorf("seal: %v", err)
		}
		return attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: 1, Granted: true, Lease: attune.Duration(time.Minute), Sealed: sealed}
	}

	t.Run("claims of one worker have one key, rising serials, and a reply key each", func(t *testing.T) {
		t.Parallel()
		var seen []attune.ExecutionClaimMessage // written by the responder, read when it has replied
		claim := claims(t, func(m attune.ExecutionClaimMessage) attune.ExecutionClaimReply {
			seen = append(seen, m)
			return granted(m, m)
		})
		for id := range attune.ExecutionID(3) {
			d, err := claim(id + 1)
			require.NoError(t, err)
			require.Equal(t, input, d.Input)
		}
		require.Len(t, seen, 3)
		for i, m := range seen[1:] {
			require.Equal(t, seen[i].Key, m.Key)
			require.Greater(t, m.Serial, seen[i].Serial)
			require.NotEqual(t, seen[i].ReplyKey, m.ReplyKey)
		}
	})

	t.Run("a reply that was sealed for another claim does not count as a reply", func(t *testing.T) {
		t.Parallel()
		var first *attune.ExecutionClaimMessage
		claim := claims(t, func(m attune.ExecutionClaimMessage) attune.ExecutionClaimReply {
			if first == nil {
				first = &m
			}
			return granted(m, *first)
		})
		_, err := claim(1)
		require.NoError(t, err)
		for _, id := range []attune.ExecutionID{1, 2} {
			d, err := claim(id)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker sends its claim again")
			require.Empty(t, d)
		}
	})

	t.Run("a program that can read claims and write replies chooses the input", func(t *testing.T) {
		t.Parallel()
		claim := claims(t, func(m attune.ExecutionClaimMessage) attune.ExecutionClaimReply { return granted(m, m) })
		d, err := claim(4711)
		require.NoError(t, err)
		require.Equal(t, input, d.Input, "a worker knows no key of the bridge")
	})
}
