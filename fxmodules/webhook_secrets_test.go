package fxmodules

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWebhookSecrets finds secrets in variables and in files.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("first\n")
	variables := map[string]string{
		"PLAIN": "in the variable", "PLAIN_FILE": path, "FILED": "", "FILED_FILE": path, "LOST_FILE": path + ".none",
	}
	secrets := &webhookSecrets{files: map[string]string{}, environment: func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	}}
	requireSecret := func(name, want string) {
		t.Helper()
		got, found := secrets.lookup(name)
		require.Equal(t, want, got)
		require.Equal(t, want != "", found)
	}
	requireSecret("PLAIN", "in the variable")
	requireSecret("FILED", "first")
	requireSecret("LOST", "")
	requireSecret("UNKNOWN", "")

	write("second")
	requireSecret("FILED", "first")
	var log strings.Builder
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	requireSecret("FILED", "second")
	require.Contains(t, log.String(), "the secret of a webhook has changed")
	require.NotContains(t, log.String(), "second")

	write("")
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	requireSecret("FILED", "second")
	require.Equal(t, 1, strings.Count(log.String(), "attune keeps the old secret\" file="+path+" "))
	require.Equal(t, 2, strings.Count(log.String(), "file="+path+".none"), "a file that was never readable is named at each reload")
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	require.Equal(t, 2, strings.Count(log.String(), "attune keeps the old secret\" file="+path+" "), "each reload names the file again")

	require.NoError(t, os.WriteFile(path+".none", []byte("late"), 0o600))
	requireSecret("LOST", "late")
}
