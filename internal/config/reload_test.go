package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

// TestReload reads the settings again after their files have changed.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const first, second = "first-token-0123456789", "second-token-0123456789"
	tokenFile := write("token", first+"\n")
	file := write("attune.yaml", "log: {level: info}\nworker: {slots: 3}\n")
	flags := config.Bind(pflag.NewFlagSet("attune", pflag.ContinueOnError))
	require.NoError(t, flags.Parse([]string{"--api-token-file", tokenFile, "--config", file}))
	none := func(string) (string, bool) { return "", false }
	cfg, err := config.Load(flags, none)
	require.NoError(t, err)

	next, changed, err := config.Reload(cfg, flags, none)
	require.NoError(t, err)
	require.Empty(t, changed)
	require.Equal(t, cfg, next)

	write("token", second)
	write("attune.yaml", "log: {level: debug}\nworker: {slots: 4}\n")
	next, changed, err = config.Reload(cfg, flags, none)
	require.NoError(t, err)
	require.Equal(t, []string{"http.token", "worker.slots", "log.level"}, changed)
	require.Equal(t, second, next.APIToken.Reveal())
	require.Equal(t, slog.LevelDebug, next.LogLevel)

	// A value that cannot be read stays as it is, and others change.
	write("token", "short")
	write("attune.yaml", "log: {level: warn}\nworker: {slots: 0}\n")
	later, changed, err := config.Reload(next, flags, none)
	require.ErrorContains(t, err, "http.token has 5 characters")
	require.ErrorContains(t, err, "worker.slots")
	require.Equal(t, []string{"log.level"}, changed)
	require.Equal(t, second, later.APIToken.Reveal())
	require.Equal(t, 4, later.WorkerSlots)
	require.Equal(t, slog.LevelWarn, later.LogLevel)

	// A settings file that cannot be read changes nothing.
	write("token", first)
	write("attune.yaml", "log: [")
	later, changed, err = config.Reload(next, flags, none)
	require.ErrorContains(t, err, "attune.yaml:1")
	require.Empty(t, changed)
	require.Equal(t, next, later)

	write("token", "short")
	later, changed, err = config.Reload(next, flags, none)
	require.ErrorContains(t, err, "attune.yaml:1")
	require.ErrorContains(t, err, "http.token has 5 characters", "the other layers are read, too")
	require.Empty(t, changed)
	require.Equal(t, next, later)
}

// TestReload_Pipes has named pipes without a writer in the place of files. Reload does not wait for them.
func TestReload_Pipes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokenFile, file := filepath.Join(dir, "token"), filepath.Join(dir, "attune.yaml")
	write := func(path, text string) {
		_ = os.Remove(path)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	pipe := func(path string) {
		require.NoError(t, os.Remove(path))
		require.NoError(t, syscall.Mkfifo(path, 0o600))
	}
	write(tokenFile, "first-token-0123456789")
	write(file, "log: {level: info}")
	flags := config.Bind(pflag.NewFlagSet("attune", pflag.ContinueOnError))
	require.NoError(t, flags.Parse([]string{"--api-token-file", tokenFile, "--config", file}))
	none := func(string) (string, bool) { return "", false }
	cfg, err := config.Load(flags, none)
	require.NoError(t, err)

	pipe(tokenFile)
	pipe(file)
	next, changed, err := config.Reload(cfg, flags, none)
	require.ErrorContains(t, err, tokenFile)
	require.ErrorContains(t, err, file)
	require.ErrorContains(t, err, "is not a regular file")
	require.Empty(t, changed)
	require.Equal(t, cfg, next)

	write(tokenFile, "second-token-0123456789")
	write(file, "log: {level: debug}")
	_, changed, err = config.Reload(cfg, flags, none)
	require.NoError(t, err)
	require.Equal(t, []string{"http.token", "log.level"}, changed)
}

func TestValidate_TLS(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--tls-cert=c"}, {"--tls-key=k"}, {"--tls-client-ca=a"}, {"--tls-key=k", "--tls-client-ca=a"}} {
		cfg, err := load(t, layers{args: append(args, "--roles=worker", "--amqp-url=amqp://127.0.0.1/")})
		require.NoError(t, err)
		require.ErrorContains(t, cfg.Validate(), "tls.cert and tls.key belong together", args)
	}
	cfg, err := load(t, layers{args: []string{"--roles=orchestrator", "--amqp-url=amqp://127.0.0.1/", "--postgres-url=postgres://127.0.0.1/a", "--tls-cert=c", "--tls-key=k", "--tls-client-ca=a"}})
	require.NoError(t, err)
	require.NoError(t, cfg.Validate())
}
