package bridge_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// signer is the private key of a worker.
type signer ed25519.PrivateKey

func newSigner(t *testing.T) signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return signer(private)
}

func (s signer) public() attune.WorkerKey {
	return attune.WorkerKeyOf(ed25519.PrivateKey(s))
}

// signAll signs messages with the key of one worker.
func signAll[M attune.WorkerMessage[M]](t *testing.T, s signer, messages ...M) []attune.Signed[M] {
	t.Helper()
	all := make([]attune.Signed[M], len(messages))
	for i, message := range messages {
		signed, err := attune.Sign(ed25519.PrivateKey(s), message)
		require.NoError(t, err)
		all[i] = signed
	}
	return all
}

// newBridgeKey returns a key of a bridge.
func newBridgeKey(t *testing.T) attune.BridgeSigningKey {
	t.Helper()
	key, err := attune.ParseBridgeSigningKey(attune.NewBridgeSigningKey())
	require.NoError(t, err)
	return key
}

// openAll verifies the replies to the requests of a batch, and returns zero for a request without one.
func openAll[R any, M attune.WorkerMessage[M]](t *testing.T, by *bridge.Signer, batch []attune.Signed[M], signed []attune.SignedReply) []R {
	t.Helper()
	require.Len(t, signed, len(batch))
	replies := make([]R, len(batch))
	for i, reply := range signed {
		if reply.Signature != nil {
			require.NoError(t, attune.VerifyReply([]attune.BridgeKey{by.Public()}, batch[i], reply, &replies[i]))
		}
	}
	return replies
}

// refusals counts refused messages.
type refusals struct {
	mu     sync.Mutex
	counts []string // "routing key reason"
}

func (r *refusals) count(_ context.Context, key string, why attune.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts = append(r.counts, key+" "+string(why))
}

// all returns what was counted since the last call, sorted.
func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := slices.Sorted(slices.Values(r.counts))
	r.counts = nil
	return counts
}

// noneRefused fails the test when a message is refused.
func noneRefused(t *testing.T) func(context.Context, string, attune.Refusal) {
	t.Helper()
	return func(_ context.Context, key string, why attune.Refusal) { t.Errorf("%s was refused: %s", key, why) }
}

// requireRefused checks which messages of a batch were refused, and why.
func requireRefused(t *testing.T, err error, want map[int]attune.Refusal) {
	t.Helper()
	batch, ok := errors.AsType[*attune.BatchError](err)
	require.True(t, ok, "%v", err)
	got := map[int]attune.Refusal{}
	for i, cause := range batch.Refused {
		refusal, ok := errors.AsType[*attune.RefusalError](cause)
		require.True(t, ok, "%v", cause)
		got[i] = refusal.Why
	}
	require.Equal(t, want, got)
}
