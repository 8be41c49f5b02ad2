package fxmodules

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/worker"
)

// noBridgeKeys are those of a process that runs neither a bridge nor a worker.
func noBridgeKeys() *bridgeKeys {
	refused := func(context.Context, string, attune.Refusal) {}
	return newBridgeKeys(bridge.NewSigner(attune.BridgeSigningKey{}), worker.NewBridges(nil, refused, slog.New(slog.DiscardHandler)))
}

// TestLive_BridgeKeys reloads the keys of the bridge in the order of a rotation.
func TestLive_BridgeKeys(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	first, second := attune.NewBridgeSigningKey(), attune.NewBridgeSigningKey()
	key := func(text string) attune.BridgeSigningKey {
		parsed, err := attune.ParseBridgeSigningKey(text)
		require.NoError(t, err)
		return parsed
	}
	keys := noBridgeKeys()
	believes := func(by string) bool {
		cancel, err := attune.SignCancel(key(by), attune.ExecutionCancelMessage{Execution: 1, Attempt: 1})
		require.NoError(t, err)
		_, believed := keys.known.Cancel(t.Context(), cancel)
		return believed
	}

	keys.reload(config.Config{BridgeKey: config.NewSecret(first)}, logger)
	require.Equal(t, key(first).Public(), keys.signer.Public())
	require.True(t, believes(first) && !believes(second), "the worker believes the bridge of its process")
	keys.reload(config.Config{BridgeKey: config.NewSecret(first), BridgeKeys: []attune.BridgeKey{key(second).Public()}}, logger)
	require.True(t, believes(first) && believes(second))
	keys.reload(config.Config{BridgeKey: config.NewSecret(second), BridgeKeys: []attune.BridgeKey{key(first).Public()}}, logger)
	require.Equal(t, key(second).Public(), keys.signer.Public())
	require.True(t, believes(first) && believes(second))
	keys.reload(config.Config{BridgeKey: config.NewSecret(second)}, logger)
	require.True(t, !believes(first) && believes(second))

	keys.reload(config.Config{BridgeKey: config.NewSecret("no key")}, logger)
	require.Equal(t, key(second).Public(), keys.signer.Public(), "a key that cannot be read changes nothing")
	require.Contains(t, log.String(), "the signing key of the bridge has changed")
	require.Contains(t, log.String(), "attune keeps the old ones")
	require.NotContains(t, log.String(), first)
	require.NotContains(t, log.String(), second)
}

// TestLive_Keys reloads the keys of secrets, in the order of a rotation.
func TestLive_Keys(t *testing.T) {
	t.Parallel()
	first, second := strings.Repeat("01", 32), strings.Repeat("02", 32)
	with := func(keys ...string) config.Config {
		return config.Config{SecretsKey: config.NewSecret(strings.Join(keys, "\n"))}
	}
	var log strings.Builder
	keys, err := parseKeyring(with(first))
	require.NoError(t, err)
	l, err := newLive(with(first), keys, noBridgeKeys(), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	encrypted, err := keys.Encrypt([]byte("hunter2"), "a")
	require.NoError(t, err)

	l.reload(with(first))
	require.NotContains(t, log.String(), "keys of secrets")
	for _, next := range []config.Config{with(first, second), with(second, first)} {
		l.reload(next)
		decrypted, err := keys.Decrypt(encrypted, "a")
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(decrypted))
		encrypted, err = keys.Reencrypt(encrypted, "a")
		require.NoError(t, err)
	}
	l.reload(with(second))
	decrypted, err := keys.Decrypt(encrypted, "a")
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(decrypted))
	require.Contains(t, log.String(), "the keys of secrets have changed")
	ring, err := parseKeyring(with(second, first))
	require.NoError(t, err)
	require.Contains(t, log.String(), fmt.Sprintf(`encrypts=%s decrypt="[%s %s]"`, ring.IDs()[0], ring.IDs()[0], ring.IDs()[1]))
	require.NotContains(t, log.String(), second)

	require.True(t, l.reload(with(second)))
	require.False(t, l.reload(config.Config{SecretsKey: config.NewSecret("no key")}))
	require.Contains(t, log.String(), "cannot be used, attune keeps the old ones")
	require.False(t, keys.Empty())
}
