package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/cli"
)

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestUsage checks what a person reads after a mistake in the command line.
func TestUsage(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"an unknown flag names the help of its command": {[]string{"dev", "--frobnicate"}, []string{"--frobnicate", "Run 'attune dev --help'"}},
		"a misspelt command is suggested":               {[]string{"queues"}, []string{`unknown command "queues"`, "did you mean queue?", "Run 'attune --help'"}},
		"a misspelt subcommand is suggested":            {[]string{"queue", "lst"}, []string{"did you mean list?", "Run 'attune queue --help'"}},
		"a queue without a key says how to name one":    {[]string{"queue", "show"}, []string{"name a queue: attune queue show KEY"}},
		"a missing token names its file":                {[]string{"queue", "list"}, []string{filepath.Join(".attune", "token")}},
		"a missing token file is named":                 {[]string{"queue", "list", "--api-token-file", "/nope"}, []string{"http.token cannot be read: stat /nope: no such file"}},
		"a database is named in every way":              {[]string{"migrate"}, []string{"--postgres-url", "ATTUNE_POSTGRES_URL"}},
		"the demo without its pack says how to name it": {[]string{"demo"}, []string{filepath.Join("packs", "demo"), "name the pack with --pack"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run(t, tt.args...)
			require.Equal(t, 2, code, stderr)
			for _, text := range tt.want {
				require.Contains(t, stderr, text)
			}
		})
	}

	t.Run("a missing pack ends the demo before the services start", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := run(t, "demo", "--pack", "/nope")
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "/nope")
	})

	t.Run("without a server, a command says how to reach one", func(t *testing.T) {
		t.Parallel()
		away := []string{"--url", "http://127.0.0.1:1"}
		for _, args := range [][]string{{"health"}, {"queue", "list"}, {"queue", "show", "a.b"}, {"queue", "verify"}, {"queue", "verify", "a.b"}} {
			args = append(args, away...)
			if args[0] == "queue" {
				args = append(args, "--api-token-file", token)
			}
			code, _, stderr := run(t, args...)
			require.Equal(t, 1, code)
			require.Contains(t, stderr, "Start attune with the role api, or name its URL with --url.", args)
		}
	})

	t.Run("the version has a command", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := run(t, "version")
		require.Zero(t, code, stderr)
		require.Equal(t, "attune version dev\n", stdout)
	})
}

// TestURL checks that commands accept the URL of the API that attune dev prints.
func TestURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	for _, suffix := range []string{"", "/", "/api/v1", "/api/v1/"} {
		code, _, stderr := run(t, "health", "--url", server.URL+suffix)
		require.Zero(t, code, stderr)
	}
	code, stdout, stderr := attuneQueue(t, newAttuneAPI(), "list")
	require.Zero(t, code, stderr)
	under := httptest.NewServer(newAttuneAPI())
	t.Cleanup(under.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
	code, again, stderr := run(t, "queue", "list", "--url", under.URL+"/api/v1", "--api-token-file", token)
	require.Zero(t, code, stderr)
	require.Equal(t, stdout, again)
}

func TestQueueVerify_Unused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"items": []}`))
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
	code, stdout, stderr := run(t, "queue", "verify", "--url", server.URL, "--api-token-file", token)
	require.Zero(t, code, stderr)
	require.Equal(t, "no queue has been used yet\n", stdout)
}

func TestQueueList_Order(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	first := a.stats
	first.Queue, first.Mode = "app.build", attune.QueuePaused
	a.more = []attune.QueueStats{first}
	code, stdout, stderr := attuneQueue(t, a, "list")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?s)^QUEUE .*\napp.build +paused .*\nshop.deploy +open `, stdout)
}
