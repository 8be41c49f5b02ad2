package attune_test

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// FuzzVerify opens anything that the broker may deliver: what opens has the payload of a message that was signed.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signed := map[string]bool{}
	seed(f, signed, delivered(f, key, aClaim()))
	seed(f, signed, delivered(f, key, aRenewal()))
	seed(f, signed, delivered(f, key, aReport()))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"key":"","signature":"","payload":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		requireSigned[attune.ExecutionClaimMessage](t, signed, body)
		requireSigned[attune.ExecutionRenewMessage](t, signed, body)
		requireSigned[attune.ExecutionCompletedMessage](t, signed, body)
	})
}

// seed adds a message, and the same message without its last byte.
func seed[M attune.WorkerMessage[M]](f *testing.F, signed map[string]bool, message attune.Signed[M]) {
	f.Helper()
	body, err := json.Marshal(message)
	require.NoError(f, err)
	f.Add(body)
	f.Add(body[:len(body)-1])
	signed[message.RoutingKey()+" "+string(message.Payload)] = true
}

func requireSigned[M attune.WorkerMessage[M]](t *testing.T, signed map[string]bool, body []byte) {
	t.Helper()
	var received attune.Signed[M]
	if json.Unmarshal(body, &received) != nil {
		return
	}
	received.Arrived(attune.KeyOfPool(received.BaseKey(), "gpu"))
	message, err := attune.Verify(received)
	if err != nil {
		return
	}
	require.NoError(t, message.Validate())
	require.True(t, signed[received.RoutingKey()+" "+string(received.Payload)], "%s was never signed", received.Payload)
}
