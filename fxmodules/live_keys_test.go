package fxmodules

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

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
	l, err := newLive(with(first), keys, slog.New(slog.NewTextHandler(&log, nil)))
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
	require.NotContains(t, log.String(), second)

	l.reload(config.Config{SecretsKey: config.NewSecret("no key")})
	require.Contains(t, log.String(), "cannot be used, attune keeps the old ones")
	require.False(t, keys.Empty())
}
