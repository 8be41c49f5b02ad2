package bridge_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

type claimerFunc func(claims []attune.ExecutionClaimMessage) ([]attune.ClaimDecision, error)

func (f claimerFunc) Claim(
	_ context.Context, claims []attune.ExecutionClaimMessage, _ time.Duration,
) ([]attune.ClaimDecision, error) {
	return f(claims)
}

func TestClaims_Handle(t *testing.T) {
	t.Parallel()
	w := newSigner(t)
	replyKey, err := attune.NewReplyKey()
	require.NoError(t, err)
	claim := func(installation attune.InstallationID, execution attune.ExecutionID) attune.ExecutionClaimMessage {
		return attune.ExecutionClaimMessage{
			Installation: installation, Execution: execution, Attempt: 1, Worker: "w", Serial: 1, ReplyKey: replyKey.Public(),
			Key: w.public(), Pool: "gpu",
		}
	}
	input := attune.ExecutionInput{Enforcement: 3, Action: "demo.act", ActionDigest: "d", Parameters: json.RawMessage(`{"secret":1}`)}
	grantAll := claimerFunc(func(claims []attune.ExecutionClaimMessage) ([]attune.ClaimDecision, error) {
		var decisions []attune.ClaimDecision
		for _, c := range claims {
			require.EqualValues(t, "one", c.Installation)
			require.Equal(t, w.public(), c.Key)
			decisions = append(decisions, attune.ClaimDecision{
				Reply: attune.ExecutionClaimReply{Execution: c.Execution, Attempt: c.Attempt, Granted: true}, Input: input,
			})
		}
		return decisions, nil
	})
	signer := bridge.NewSigner(newBridgeKey(t))
	handle := func(t *testing.T, claimer bridge.Claimer, refused bridge.Refused, batch ...bridge.SignedClaim) ([]attune.ExecutionClaimReply, error) {
		t.Helper()
		claims := bridge.NewClaims(claimer, &fakeSecrets{}, signer, "one", time.Minute, refused, slog.New(slog.DiscardHandler))
		signed, err := claims.Handle(t.Context(), batch)
		if signed == nil {
			return nil, err
		}
		return openAll[attune.ExecutionClaimReply](t, signer, batch, signed), err
	}

	t.Run("a claim of another installation is refused, and the others are answered in their order", func(t *testing.T) {
		t.Parallel()
		replies, err := handle(t, grantAll, noneRefused(t),
			signAll(t, w, claim("zero", 1), claim("one", 2), claim("zero", 2), claim("one", 3))...)
		require.NoError(t, err)
		for i, want := range []attune.ExecutionClaimReply{
			{Execution: 1, Attempt: 1}, {Execution: 2, Attempt: 1, Granted: true},
			{Execution: 2, Attempt: 1}, {Execution: 3, Attempt: 1, Granted: true},
		} {
			got := replies[i]
			require.Equal(t, want.Granted, got.EncryptedInput != nil)
			got.EncryptedInput = nil
			require.Equal(t, want, got)
		}
	})

	t.Run("the input is readable only with the reply key, for this claim", func(t *testing.T) {
		t.Parallel()
		replies, err := handle(t, grantAll, noneRefused(t), signAll(t, w, claim("one", 2))...)
		require.NoError(t, err)
		whole, err := json.Marshal(replies)
		require.NoError(t, err)
		require.NotContains(t, string(whole), "secret")
		got, err := replyKey.Decrypt(claim("one", 2), replies[0].EncryptedInput)
		require.NoError(t, err)
		require.Equal(t, input, got)
		_, err = replyKey.Decrypt(claim("one", 3), replies[0].EncryptedInput)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "it was encrypted for another claim")
	})

	t.Run("a forged claim is refused, and the others of its batch are answered", func(t *testing.T) {
		t.Parallel()
		batch := signAll(t, w, claim("one", 1), claim("one", 2), claim("one", 3))
		batch[1].Payload = signAll(t, w, claim("one", 9))[0].Payload
		refused := new(refusals)
		replies, err := handle(t, grantAll, refused.count, batch...)
		requireRefused(t, err, map[int]attune.Refusal{1: attune.RefusedSignature})
		require.True(t, replies[0].Granted)
		require.True(t, replies[2].Granted)
		require.Empty(t, replies[1].EncryptedInput)
		require.Equal(t, []string{"execution.claim signature"}, refused.all())
	})

	t.Run("a claim with another key is counted and gets no input", func(t *testing.T) {
		t.Parallel()
		taken := claimerFunc(func(claims []attune.ExecutionClaimMessage) ([]attune.ClaimDecision, error) {
			reply := attune.ExecutionClaimReply{Execution: 2, Attempt: 1, Status: attune.ExecutionRunning}
			return []attune.ClaimDecision{{Reply: reply, OtherKey: true}}, nil
		})
		refused := new(refusals)
		replies, err := handle(t, taken, refused.count, signAll(t, w, claim("one", 2))...)
		require.NoError(t, err, "also an honest worker claims an attempt whose request is delivered twice")
		require.Equal(t, []attune.ExecutionClaimReply{{Execution: 2, Attempt: 1, Status: attune.ExecutionRunning}}, replies)
		require.Equal(t, []string{"execution.claim key"}, refused.all())
	})

	t.Run("a claim with the routing key of another pool is refused", func(t *testing.T) {
		t.Parallel()
		elsewhere := claimerFunc(func(claims []attune.ExecutionClaimMessage) ([]attune.ClaimDecision, error) {
			require.Equal(t, "gpu", claims[0].Pool)
			return []attune.ClaimDecision{
				{Reply: attune.ExecutionClaimReply{Execution: 2, Attempt: 1, Status: attune.ExecutionRequested}, OtherPool: true},
			}, nil
		})
		refused := new(refusals)
		replies, err := handle(t, elsewhere, refused.count, signAll(t, w, claim("one", 2))...)
		requireRefused(t, err, map[int]attune.Refusal{0: attune.RefusedPool})
		require.Empty(t, replies[0])
		require.Equal(t, []string{"execution.claim pool"}, refused.all())
	})

	t.Run("secrets travel only in the encrypted part of a reply", func(t *testing.T) {
		t.Parallel()
		claims := bridge.NewClaims(grantAll, &fakeSecrets{value: "hunter2"}, signer, "one", time.Minute, noneRefused(t), slog.New(slog.DiscardHandler))
		batch := signAll(t, w, claim("one", 2))
		signed, err := claims.Handle(t.Context(), batch)
		require.NoError(t, err)
		replies := openAll[attune.ExecutionClaimReply](t, signer, batch, signed)
		whole, err := json.Marshal(replies)
		require.NoError(t, err)
		require.NotContains(t, string(whole), "hunter2")
		got, err := replyKey.Decrypt(claim("one", 2), replies[0].EncryptedInput)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"TOKEN": "hunter2"}, got.Secrets)
	})

	t.Run("without an answer about the secrets, no claim of the batch is answered", func(t *testing.T) {
		t.Parallel()
		away := &fakeSecrets{err: attune.Errorf(attune.CodeUnavailable, "away")}
		claims := bridge.NewClaims(grantAll, away, signer, "one", time.Minute, noneRefused(t), slog.New(slog.DiscardHandler))
		replies, err := claims.Handle(t.Context(), signAll(t, w, claim("one", 2)))
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.Nil(t, replies)
	})

	t.Run("an error reaches every claim of the batch", func(t *testing.T) {
		t.Parallel()
		away := claimerFunc(func([]attune.ExecutionClaimMessage) ([]attune.ClaimDecision, error) {
			return nil, attune.Errorf(attune.CodeUnavailable, "away")
		})
		_, err := handle(t, away, noneRefused(t), signAll(t, w, claim("one", 1))...)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	})
}
