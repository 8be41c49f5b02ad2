package bridge_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/worker"
)

// answering is a program that reads the requests of a worker and writes replies, in the place of the bridge and before it.
type answering struct {
	t       *testing.T
	key     attune.BridgeSigningKey // of the bridge, which the worker knows
	broker  *worker.Broker
	refused *refusals
}

// answerer starts a program that answers each request with the replies that answers returns for it, in this order. A reply is the JSON
// of any value; an [amqp.Table] is an error reply with these headers.
func answerer[M attune.WorkerMessage[M]](t *testing.T, queue string, answers func(attune.BridgeSigningKey, attune.Signed[M]) []any) *answering {
	t.Helper()
	topology, err := rabbitmq.NewTopology(attune.DefaultPool)
	require.NoError(t, err)
	address := testenv.AMQP(t)
	connections, err := rabbitmq.Connect(t.Context(), rabbitmq.Config{URL: address, Name: t.Name()}, topology)
	require.NoError(t, err)
	t.Cleanup(connections.Close)
	a := &answering{t: t, key: newBridgeKey(t), refused: new(refusals)}
	a.broker, err = worker.NewBroker(connections, attune.DefaultPool,
		worker.NewBridges([]attune.BridgeKey{a.key.Public()}, a.refused.count, slog.New(slog.DiscardHandler)))
	require.NoError(t, err)

	conn, err := amqp.Dial(address)
	require.NoError(t, err)
	channel, err := conn.Channel()
	require.NoError(t, err)
	requests, err := channel.Consume(queue, "", true, false, false, false, nil)
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for request := range requests {
			var signed attune.Signed[M]
			if err := json.Unmarshal(request.Body, &signed); err != nil {
				t.Errorf("request: %v", err)
			}
			signed.Arrived(request.RoutingKey)
			for _, answer := range answers(a.key, signed) {
				out := amqp.Publishing{CorrelationId: request.CorrelationId}
				if headers, isError := answer.(amqp.Table); isError {
					out.Headers = headers
				} else if out.Body, err = json.Marshal(answer); err != nil {
					t.Errorf("reply: %v", err)
				}
				if err := channel.PublishWithContext(context.Background(), "", request.ReplyTo, false, false, out); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); running.Wait() })
	return a
}

// claim claims an execution, and waits as long for a reply as the worker does.
func (a *answering) claim(id attune.ExecutionID, wait time.Duration) (attune.ClaimDecision, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), wait)
	defer cancel()
	return a.broker.Claim(ctx, attune.ExecutionClaimMessage{Installation: "one", Execution: id, Attempt: 1, Worker: "w"})
}

const (
	longWait  = 2 * time.Minute
	shortWait = time.Second // for a reply that does not come
)

func signedReply[M attune.WorkerMessage[M]](t *testing.T, key attune.BridgeSigningKey, request attune.Signed[M], reply any) attune.SignedReply {
	t.Helper()
	signed, err := attune.SignReply(key, request, reply)
	if err != nil {
		t.Errorf("sign: %v", err)
	}
	return signed
}

// granting returns the reply that grants a claim, with an input.
func granting(t *testing.T, request attune.Signed[attune.ExecutionClaimMessage], word string) attune.ExecutionClaimReply {
	t.Helper()
	claim, err := attune.Verify(request)
	if err != nil {
		t.Errorf("open: %v", err)
	}
	encrypted, err := claim.Encrypt(attune.ExecutionInput{Action: "demo.act", Parameters: json.RawMessage(`"` + word + `"`)})
	if err != nil {
		t.Errorf("encrypt: %v", err)
	}
	return attune.ExecutionClaimReply{
		Execution: claim.Execution, Attempt: 1, Granted: true, Lease: attune.Duration(time.Minute), EncryptedInput: encrypted,
	}
}

// TestReply_ToAWorker answers claims of a worker over the broker, with forged, replayed and altered replies before the right one.
func TestReply_ToAWorker(t *testing.T) {
	t.Parallel()

	t.Run("claims of one worker have one key, rising serials, and a reply key each", func(t *testing.T) {
		t.Parallel()
		var seen []attune.ExecutionClaimMessage // written by the program, read when it has replied
		a := answerer(t, rabbitmq.QueueExecutionClaim, func(key attune.BridgeSigningKey, request bridge.SignedClaim) []any {
			claim, err := attune.Verify(request)
			if err != nil {
				t.Errorf("open: %v", err)
			}
			seen = append(seen, claim)
			return []any{signedReply(t, key, request, granting(t, request, "right"))}
		})
		for id := range attune.ExecutionID(3) {
			_, err := a.claim(id+1, longWait)
			require.NoError(t, err)
		}
		require.Len(t, seen, 3)
		for i, m := range seen[1:] {
			require.Equal(t, seen[i].Key, m.Key)
			require.Greater(t, m.Serial, seen[i].Serial)
			require.NotEqual(t, seen[i].ReplyKey, m.ReplyKey)
			require.Equal(t, attune.DefaultPool, m.Pool)
		}
		require.Empty(t, a.refused.all())
	})

	mine := newBridgeKey(t)
	for name, test := range map[string]struct {
		forge func(key attune.BridgeSigningKey, request bridge.SignedClaim) any
		why   attune.Refusal
	}{
		"a reply without a signature": {func(_ attune.BridgeSigningKey, request bridge.SignedClaim) any {
			return granting(t, request, "forged")
		}, attune.RefusedKey},
		"a reply of another bridge": {func(_ attune.BridgeSigningKey, request bridge.SignedClaim) any {
			return signedReply(t, mine, request, granting(t, request, "forged"))
		}, attune.RefusedKey},
		"a reply of another bridge under the name of the right one": {func(key attune.BridgeSigningKey, request bridge.SignedClaim) any {
			forged := signedReply(t, mine, request, granting(t, request, "forged"))
			public := key.Public()
			forged.Key = public[:]
			return forged
		}, attune.RefusedSignature},
		"an altered reply": {func(key attune.BridgeSigningKey, request bridge.SignedClaim) any {
			altered := signedReply(t, key, request, granting(t, request, "right"))
			altered.Payload[len(altered.Payload)/2] ^= 1
			return altered
		}, attune.RefusedSignature},
		"an error without a signature": {func(attune.BridgeSigningKey, bridge.SignedClaim) any {
			return amqp.Table{rabbitmq.HeaderReason: string(attune.CodeInvalid), rabbitmq.HeaderError: "forged"}
		}, attune.RefusedSignature},
		"a reply that is no object": {func(attune.BridgeSigningKey, bridge.SignedClaim) any { return "forged" }, attune.RefusedSignature},
	} {
		t.Run(name+" is counted, and the worker waits for the right one", func(t *testing.T) {
			t.Parallel()
			var onlyForged atomic.Bool
			a := answerer(t, rabbitmq.QueueExecutionClaim, func(key attune.BridgeSigningKey, request bridge.SignedClaim) []any {
				answers := []any{test.forge(key, request)}
				if !onlyForged.Load() {
					answers = append(answers, signedReply(t, key, request, granting(t, request, "right")))
				}
				return answers
			})
			d, err := a.claim(1, longWait)
			require.NoError(t, err)
			require.Equal(t, `"right"`, string(d.Input.Parameters))
			require.Equal(t, []string{"execution.claim.reply " + string(test.why)}, a.refused.all())

			onlyForged.Store(true)
			d, err = a.claim(2, shortWait)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker sends its claim again: %v", err)
			require.Empty(t, d)
		})
	}

	t.Run("the reply to an earlier claim of the same attempt is refused", func(t *testing.T) {
		t.Parallel()
		var first *attune.SignedReply
		a := answerer(t, rabbitmq.QueueExecutionClaim, func(key attune.BridgeSigningKey, request bridge.SignedClaim) []any {
			if first == nil {
				first = new(signedReply(t, key, request, granting(t, request, "old")))
			}
			return []any{first}
		})
		_, err := a.claim(1, longWait)
		require.NoError(t, err)
		for _, id := range []attune.ExecutionID{1, 2} {
			_, err := a.claim(id, shortWait)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		}
		require.Equal(t, []string{"execution.claim.reply signature", "execution.claim.reply signature"}, a.refused.all())
	})

	t.Run("a signed grant that cannot be decrypted is an error, and not the lack of an answer", func(t *testing.T) {
		t.Parallel()
		a := answerer(t, rabbitmq.QueueExecutionClaim, func(key attune.BridgeSigningKey, request bridge.SignedClaim) []any {
			reply := granting(t, request, "right")
			reply.EncryptedInput[len(reply.EncryptedInput)-1] ^= 1
			return []any{signedReply(t, key, request, reply)}
		})
		d, err := a.claim(1, longWait)
		require.Equal(t, attune.CodeInternal, attune.CodeOf(err), "the worker gives up after some claims: each of them renews the lease")
		require.ErrorContains(t, err, "decrypt the reply to the claim")
		require.Empty(t, d)
		require.Empty(t, a.refused.all())
	})

	t.Run("a signed error is final", func(t *testing.T) {
		t.Parallel()
		a := answerer(t, rabbitmq.QueueExecutionClaim, func(key attune.BridgeSigningKey, request bridge.SignedClaim) []any {
			reply, err := bridge.Failed[attune.ExecutionClaimMessage](bridge.NewSigner(key))(request, attune.CodeUnauthorized, "no")
			if err != nil {
				t.Errorf("sign: %v", err)
			}
			return []any{reply}
		})
		_, err := a.claim(1, longWait)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
	})

	t.Run("the reply to an earlier renewal extends no lease", func(t *testing.T) {
		t.Parallel()
		var first *attune.SignedReply
		a := answerer(t, rabbitmq.QueueExecutionRenew, func(key attune.BridgeSigningKey, request bridge.SignedRenewal) []any {
			if first == nil {
				first = new(signedReply(t, key, request, attune.ExecutionRenewReply{Lease: attune.Duration(time.Minute)}))
				return []any{attune.ExecutionRenewReply{Lease: attune.Duration(time.Hour)}, first}
			}
			return []any{first}
		})
		renew := func(wait time.Duration) (attune.ExecutionRenewReply, error) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			return a.broker.Renew(ctx, attune.ExecutionRenewMessage{Worker: "w", Attempts: []attune.AttemptID{{Execution: 1, Attempt: 1}}})
		}
		reply, err := renew(longWait)
		require.NoError(t, err)
		require.Equal(t, attune.Duration(time.Minute), reply.Lease)
		require.Equal(t, []string{"execution.renew.reply key"}, a.refused.all())
		reply, err = renew(shortWait)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.Zero(t, reply)
		require.Equal(t, []string{"execution.renew.reply signature"}, a.refused.all())
	})
}
