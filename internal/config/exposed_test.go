package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

func TestExposedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("secret"), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	open, private := file("open", 0o644), file("private", 0o640)
	exposed := func(variables map[string]string) map[string]string {
		return config.ExposedFiles(nil, func(name string) (string, bool) {
			value, found := variables[name]
			return value, found
		})
	}
	require.Equal(t, map[string]string{"http.token": open, "tls.key": open, "bridge.signing_key": open}, exposed(map[string]string{
		"ATTUNE_API_TOKEN_FILE": open, "ATTUNE_TLS_KEY": open, "ATTUNE_BRIDGE_SIGNING_KEY_FILE": open, "ATTUNE_SECRETS_KEY_FILE": private,
		"ATTUNE_TLS_CERT": open,
	}), "a group may read a file, and a certificate is public")
	require.Empty(t, exposed(map[string]string{"ATTUNE_API_TOKEN_FILE": filepath.Join(dir, "none"), "ATTUNE_AMQP_URL": open}))

	settings := file("attune.yaml", 0o644)
	require.NoError(t, os.WriteFile(settings, []byte("http:\n  token_file: "+open+"\n"), 0o600))
	require.Equal(t, map[string]string{"http.token": open}, exposed(map[string]string{"ATTUNE_CONFIG": settings}))
	require.Empty(t, exposed(map[string]string{"ATTUNE_CONFIG": settings, "ATTUNE_API_TOKEN_FILE": private}), "the variable replaces the file")
}
