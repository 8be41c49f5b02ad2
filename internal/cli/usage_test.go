package cli_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
		"an argument of a command without any is named": {[]string{"serve", "now", "then"},
			[]string{`"now" is one argument too many: attune serve takes none`, "Run 'attune serve --help'"}},
		"an argument of a subcommand without any is named":  {[]string{"queue", "list", "now"}, []string{`"now" is one argument too many: attune queue list takes none`}},
		"a second queue is named":                           {[]string{"queue", "show", "a.b", "c.d"}, []string{`"c.d" is one argument too many: attune queue show KEY`}},
		"a second queue to verify is named":                 {[]string{"queue", "verify", "a.b", "c.d"}, []string{`"c.d" is one argument too many: attune queue verify [KEY]`}},
		"an argument of a shell is named":                   {[]string{"completion", "bash", "now"}, []string{`"now" is one argument too many: attune completion bash takes none`}},
		"an empty queue is named":                           {[]string{"queue", "show", ""}, []string{"argument 1, the queue, is empty: attune queue show KEY"}},
		"an empty queue to verify is named":                 {[]string{"queue", "verify", ""}, []string{"argument 1, the queue, is empty: attune queue verify [KEY]"}},
		"an impossible queue is refused":                    {[]string{"queue", "show", "a\nb"}, []string{`queue key: "a\nb" contains the character U+000A`}},
		"packs without a folder are named":                  {[]string{"packs", "check"}, []string{"name a pack: attune packs check DIR..."}},
		"an empty folder of a pack is named":                {[]string{"packs", "check", "../../packs/demo", ""}, []string{"argument 2, the pack, is empty: attune packs check DIR..."}},
		"a folder that does not exist is no pack":           {[]string{"packs", "check", "../../packs/demo", "/nope"}, []string{`"/nope" is not the folder of a pack`}},
		"an empty token file is named":                      {[]string{"queue", "list", "--api-token-file", ""}, []string{"--api-token-file: http.token names no file: give its path or leave it out"}},
		"a change of a queue is a request":                  {[]string{"queue", "pause", "a.b"}, []string{`unknown command "pause"`, "the API changes queues: POST /api/v1/queues/KEY/pause"}},
		"an empty pack of the demo is named":                {[]string{"demo", "--pack", ""}, []string{"--pack is empty"}},
		"an empty settings file is named":                   {[]string{"migrate", "--config", ""}, []string{"--config is empty: name a settings file or leave it out"}},
		"an empty URL is named":                             {[]string{"health", "--url", ""}, []string{"--url: use a URL such as"}},
		"an unknown help topic is named":                    {[]string{"help", "bogus"}, []string{`there is no help topic "bogus": attune has audit, broker, completion, demo, dev, doctor, health, help, keys, `, "queue, secret, serve, token, version"}},
		"an unknown help subtopic is named":                 {[]string{"help", "queue", "bogus"}, []string{`there is no help topic "queue bogus": attune queue has lanes, limit, list, show, verify`}},
		"a token without a name says how to name one":       {[]string{"token", "revoke"}, []string{"name a token: attune token revoke NAME"}},
		"a token without a role says which there are":       {[]string{"token", "create", "ci"}, []string{"--role is required: say what the holder may do: viewer, operator, admin, event or worker"}},
		"a token with an unknown role says which there are": {[]string{"token", "create", "ci", "--role", "root"}, []string{`--role: "root" is not a role: use viewer, operator, admin, worker or event`}},
		"a token of the role event needs triggers":          {[]string{"token", "create", "ci", "--role", "event"}, []string{"--trigger: the role event needs 1 to 100"}},
		"a token with an impossible expiry is refused":      {[]string{"token", "create", "ci", "--role", "viewer", "--expires", "1s"}, []string{"--expires: 1s: use 1m0s to "}},
		"a rotation with an impossible time is refused":     {[]string{"token", "rotate", "ci", "--keep-old", "-1s"}, []string{"--keep-old: -1s: use 0s to 720h0m0s"}},
		"a token that expires at once is refused":           {[]string{"token", "create", "ci", "--role", "viewer", "--expires", "0s"}, []string{"--expires: 0s: use 1m0s to ", "or leave it out"}},
		"a rotation that expires at once is refused":        {[]string{"token", "rotate", "ci", "--expires", "0s"}, []string{"--expires: 0s: use 1m0s to "}},
		"an expiry in days says how many hours that is":     {[]string{"token", "create", "ci", "--role", "viewer", "--expires", "90d"}, []string{`"90d" for "--expires" flag: a length of time has no days: use hours: 2160h`}},
		"an expiry without a unit says what to use":         {[]string{"token", "rotate", "ci", "--keep-old", "9"}, []string{`"9" for "--keep-old" flag: use a length of time such as 90m or 2160h`}},
		"a note that cannot be recorded is refused":         {[]string{"token", "revoke", "ci", "--note", "a\nb"}, []string{"--note: "}},
		"a topic below a command is named":                  {[]string{"help", "serve", "bogus"}, []string{`there is no help topic "serve bogus": attune serve has no subcommands`}},
		"the help of an unknown command":                    {[]string{"bogus", "--help"}, []string{`unknown command "bogus" for "attune"`}},
		"the help of an unknown subcommand":                 {[]string{"queue", "bogus", "--help"}, []string{`unknown command "bogus" for "attune queue"`}},
		"the completion for an unknown shell":               {[]string{"completion", "bogus"}, []string{`unknown command "bogus" for "attune completion"`}},
		"a missing token names its file":                    {[]string{"queue", "list"}, []string{filepath.Join(".attune", "token")}},
		"a missing token file is named":                     {[]string{"queue", "list", "--api-token-file", "/nope"}, []string{"http.token cannot be read: stat /nope: no such file"}},
		"a database is named in every way":                  {[]string{"migrate"}, []string{"--postgres-url", "ATTUNE_POSTGRES_URL"}},
		"the demo without its pack says how to name it":     {[]string{"demo"}, []string{filepath.Join("packs", "demo"), "name the pack with --pack"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, tt.args...)
			require.Equal(t, 2, code, stderr)
			require.Empty(t, stdout)
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

	t.Run("the usage of a group names the place of its command once", func(t *testing.T) {
		t.Parallel()
		for _, group := range []string{"", " token", " queue", " keys", " keys new"} {
			_, stdout, _ := run(t, append(strings.Fields(group), "--help")...)
			require.Contains(t, stdout, "\n  attune"+group+" COMMAND\n")
			require.NotContains(t, stdout, "[command]\n")
		}
		_, stdout, _ := run(t, "completion", "--help")
		require.Contains(t, stdout, "attune completion [command]")
	})

	t.Run("the help of every command is shown", func(t *testing.T) {
		t.Parallel()
		for _, topic := range []string{"", "help", "serve", "queue", "queue show", "packs check", "completion", "completion bash"} {
			path := strings.Fields(topic)
			code, byCommand, stderr := run(t, append([]string{"help"}, path...)...)
			require.Zero(t, code, stderr)
			require.Contains(t, byCommand, strings.TrimSpace("attune "+topic)+" ")
			code, byFlag, stderr := run(t, append(path, "--help")...)
			require.Zero(t, code, stderr)
			require.Equal(t, byCommand, byFlag)
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
