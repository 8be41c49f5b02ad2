package fxmodules

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestWebhookSecrets finds secrets in variables and in files.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("the first secret\n")
	variables := map[string]string{
		"PLAIN": "in the variable", "PLAIN_FILE": path, "FILED": "", "FILED_FILE": path, "LOST_FILE": path + ".none",
	}
	secrets := &webhookSecrets{files: map[string]string{}, environment: func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	}}
	requireSecret := func(name, want string) {
		t.Helper()
		got, err := secrets.lookup(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	requireSecret("PLAIN", "in the variable")
	requireSecret("FILED", "the first secret")
	requireLost := func() {
		t.Helper()
		_, err := secrets.lookup("LOST")
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, path+".none", "the log names the file")
		coded, _ := errors.AsType[*attune.Error](err)
		require.Equal(t, "the file of a webhook's secret that the environment variable LOST_FILE names cannot be used: the log of attune says why",
			coded.Message, "the answer names only the variable")
	}
	requireLost()
	requireSecret("UNKNOWN", "")

	write("the second secret")
	requireSecret("FILED", "the first secret")
	var log strings.Builder
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	requireSecret("FILED", "the second secret")
	require.Contains(t, log.String(), "the secret of a webhook has changed")
	require.NotContains(t, log.String(), "the second secret")

	write("")
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	requireSecret("FILED", "the second secret")
	require.Equal(t, 1, strings.Count(log.String(), "attune keeps the old secret\" file="+path+" "))
	require.Equal(t, 2, strings.Count(log.String(), "file="+path+".none"), "a file that was never readable is named at each reload")
	secrets.reload(slog.New(slog.NewTextHandler(&log, nil)))
	require.Equal(t, 2, strings.Count(log.String(), "attune keeps the old secret\" file="+path+" "), "each reload names the file again")

	write("fifteen letters")
	require.False(t, secrets.reload(slog.New(slog.NewTextHandler(&log, nil))))
	requireSecret("FILED", "the second secret")
	require.Contains(t, log.String(), "has 15 characters: use 16 or more")
	require.NotContains(t, log.String(), "fifteen")

	require.NoError(t, os.WriteFile(path+".none", []byte("short"), 0o600))
	requireLost()
	require.NoError(t, os.WriteFile(path+".none", []byte("the late secret."), 0o600))
	requireSecret("LOST", "the late secret.")
}

// TestWebhookSecrets_Check names the secrets that deliveries cannot use, before the first delivery.
func TestWebhookSecrets_Check(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	variables := map[string]string{"GOOD": "sixteen letters.", "SHORT": "fifteen letters", "LOST_FILE": missing}
	secrets := &webhookSecrets{files: map[string]string{}, environment: func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	}}
	pack := attune.Pack{Name: "demo"}
	for _, name := range []string{"GOOD", "SHORT", "LOST", "UNSET"} {
		pack.Triggers = append(pack.Triggers, attune.Trigger{Ref: attune.Ref("demo." + strings.ToLower(name)), Webhook: &attune.Webhook{SecretEnv: name}})
	}
	pack.Triggers = append(pack.Triggers, attune.Trigger{Ref: "demo.none"})
	var log strings.Builder
	secrets.check([]attune.Pack{pack}, slog.New(slog.NewTextHandler(&log, nil)))
	require.Equal(t, 2, strings.Count(log.String(), "level=ERROR"), log.String())
	require.Contains(t, log.String(), "trigger=demo.short variable=SHORT")
	require.Contains(t, log.String(), "trigger=demo.lost variable=LOST")
	require.Contains(t, log.String(), missing)
	require.NotContains(t, log.String(), "fifteen")
}
