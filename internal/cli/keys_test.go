package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

func TestKeys(t *testing.T) {
	t.Parallel()

	t.Run("a key of the bridge is in a private file, and its public key is printed", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "bridge.key")
		code, printed, stderr := run(t, "keys", "new", "bridge", file)
		require.Zero(t, code, stderr)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		key, err := attune.ParseBridgeSigningKey(string(text))
		require.NoError(t, err)
		require.Equal(t, key.Public().String()+"\n", printed)
		code, again, _ := run(t, "keys", "public", file)
		require.Zero(t, code)
		require.Equal(t, printed, again)

		code, stdout, stderr := run(t, "keys", "new", "bridge", file)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "file exists: choose another file")
		code, kept, _ := run(t, "keys", "new", "bridge", file, "--keep")
		require.Zero(t, code)
		require.Equal(t, printed, kept)
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, after, "a key that exists stays")
	})

	t.Run("a key of secrets is one that attune can use", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "secrets.key")
		code, printed, stderr := run(t, "keys", "new", "secrets", file)
		require.Zero(t, code, stderr)
		require.Empty(t, printed)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		keys, err := secrets.ParseKeyring(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		require.False(t, keys.Empty())
	})

	for name, tt := range map[string]struct {
		content string
		want    string
	}{
		"a file that is no key is refused":  {"swordfish", "signing key of 9 characters"},
		"an empty file is refused, as kept": {"", "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(file, []byte(tt.content), 0o600))
			for _, args := range [][]string{{"keys", "public", file}, {"keys", "new", "bridge", "--keep", file}} {
				code, stdout, stderr := run(t, args...)
				require.Equal(t, 1, code)
				require.Empty(t, stdout)
				require.Contains(t, stderr, tt.want)
				require.NotContains(t, stderr, "swordfish")
			}
		})
	}
}
