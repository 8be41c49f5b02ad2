package fxmodules

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/readfile"
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
	secrets := newWebhookSecrets(func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	})
	at := time.Now()
	secrets.now = func() time.Time { return at }
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
	requireLost()
	at = at.Add(failureAge)
	requireSecret("LOST", "the late secret.")
}

// TestWebhookSecrets_Check names the secrets that deliveries cannot use, before the first delivery.
func TestWebhookSecrets_Check(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	variables := map[string]string{"GOOD": "sixteen letters.", "SHORT": "fifteen letters", "LOST_FILE": missing}
	secrets := newWebhookSecrets(func(name string) (string, bool) {
		value, found := variables[name]
		return value, found
	})
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

// TestWebhookSecrets_Hang reads a file on a mount that does not answer, while deliveries arrive.
func TestWebhookSecrets_Hang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secrets := newWebhookSecrets(func(name string) (string, bool) {
			path, found := map[string]string{"HUNG_FILE": "/hung", "GOOD_FILE": "/good"}[name]
			return path, found
		})
		reads := 0
		var mu sync.Mutex
		secrets.readFile = func(path string) ([]byte, error) {
			if path == "/good" {
				return []byte("sixteen letters."), nil
			}
			mu.Lock()
			reads++
			mu.Unlock()
			<-time.After(readfile.TimeLimit)
			return nil, errors.New("no answer")
		}
		lookUp := func(name string) (took time.Duration, err error) {
			began := time.Now()
			_, err = secrets.lookup(name)
			return time.Since(began), err
		}
		var deliveries sync.WaitGroup
		for range 10 {
			deliveries.Go(func() {
				took, err := lookUp("HUNG")
				require.Error(t, err)
				require.Equal(t, readfile.TimeLimit, took, "deliveries do not wait for each other")
			})
		}
		synctest.Wait()
		took, err := lookUp("GOOD")
		require.NoError(t, err)
		require.Zero(t, took, "the secret of another webhook does not wait")
		deliveries.Wait()
		require.Equal(t, 10, reads, "the reader makes one read of them")

		for range 10 {
			took, err = lookUp("HUNG")
			require.ErrorContains(t, err, "no answer")
			require.Zero(t, took, "the failure is known")
		}
		<-time.After(failureAge)
		took, _ = lookUp("HUNG")
		require.Equal(t, readfile.TimeLimit, took)
		require.Equal(t, 11, reads)
	})
}
