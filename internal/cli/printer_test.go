package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/doctor"
)

// hostile holds an escape sequence, a bell, a carriage return, a delete character and a C1 control. shown is how people see it.
const (
	hostile = "x\x1b[2J\a\r\x7f\u009b1m"
	shown   = `x\u001b[2J\u0007\u000d\u007f\u009b1m`
)

// requireSafe checks that a terminal shows an output as it is.
func requireSafe(t *testing.T, output string) {
	t.Helper()
	for _, r := range output {
		require.True(t, r == '\n' || !unicode.IsControl(r), "%q", output)
	}
}

// Texts from outside cannot control the terminal. JSON has them as they are.
func TestOutput_ControlCharacters(t *testing.T) {
	t.Parallel()

	t.Run("the version of a pack", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		quoted, err := json.Marshal(hostile)
		require.NoError(t, err)
		pack := "name: shop\nversion: " + string(quoted) + "\nactions: {deploy: {command: [cat]}}\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(pack), 0o600))
		code, stdout, stderr := run(t, "packs", "check", dir, "--data-dir", t.TempDir())
		require.Zero(t, code, stderr)
		requireSafe(t, stdout)
		require.Contains(t, stdout, strings.ReplaceAll(shown, `\u000d`, " "), "a version has one line")
		require.Equal(t, len("shop  ")+len(shown)-len(`\u000d`)+len("   "), strings.Index(stdout, "TRIGGERS"),
			"a column has the width of what is shown: %q", stdout)
	})

	t.Run("a queue", func(t *testing.T) {
		t.Parallel()
		a := newAttuneAPI()
		a.stats.Mode = hostile
		a.changes[0].Note, a.changes[0].OnBehalfOf = hostile+"\nfake row", hostile
		for _, args := range [][]string{{"list"}, {"show", "shop.deploy"}, {"verify"}} {
			_, stdout, stderr := attuneQueue(t, a, args...)
			requireSafe(t, stdout+stderr)
			require.Contains(t, stdout, `\u001b[2J`, args)
			require.NotRegexp(t, `(?m)^fake row`, stdout, args)
		}
		code, stdout, stderr := attuneQueue(t, a, "show", "shop.deploy", "--output", "json")
		require.Zero(t, code, stderr)
		var found struct {
			Queue   api.Queue
			Changes []api.QueueChange
		}
		require.NoError(t, json.Unmarshal([]byte(stdout), &found))
		require.Equal(t, attune.QueueMode(hostile), found.Queue.Mode)
		require.Contains(t, stdout, "\u009b", "a program reads the text as the API sent it")
	})

	t.Run("a diagnosis", func(t *testing.T) {
		t.Parallel()
		finding := doctor.Finding{Check: "rules", Severity: doctor.Note, Where: "rule " + hostile, What: hostile, Do: hostile}
		code, stdout, stderr := attuneDoctor(t, http.StatusOK, diagnosis(finding))
		require.Zero(t, code, stderr)
		requireSafe(t, stdout)
		require.Equal(t, 3, strings.Count(stdout, shown))
	})

	t.Run("an error of the API and the response of a health check", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusConflict)
			if r.URL.Path == "/livez" {
				_, _ = io.WriteString(w, hostile)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"title": "Conflict", "detail": hostile})
		}))
		t.Cleanup(server.Close)
		token := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
		code, _, stderr := run(t, "queue", "list", "--url", server.URL, "--api-token-file", token)
		require.Equal(t, 1, code)
		requireSafe(t, stderr)
		require.Contains(t, stderr, "409 Conflict: "+shown)
		code, stdout, _ := run(t, "health", "--live", "--url", server.URL)
		require.Equal(t, 1, code)
		require.Equal(t, shown+"\n", stdout)
	})

	t.Run("an argument", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{hostile}, {"help", hostile}, {"queue", "show", hostile}, {"dev", "--" + hostile},
			{"packs", "check", hostile, "--data-dir", t.TempDir()}} {
			code, _, stderr := run(t, args...)
			require.NotZero(t, code, "%q", args)
			requireSafe(t, stderr)
		}
	})
}
