package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// vaultAPI is an API that records what it receives.
type vaultAPI struct {
	mu       sync.Mutex
	received []string // "method path body"
	warnings string   // a member of the response to a change
	rotation []string // the responses of rotations, in their order
}

func (a *vaultAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	a.received = append(a.received, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
	const token = `{"id": 1, "name": "TOKEN", "packs": ["shop"], "key_id": "0a1b2c3d", "revision": 2,
		"principal": {"name": "admin", "method": "token"}, "updated_at": "2030-01-02T12:00:00Z"}`
	switch {
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/rotate-key"):
		_, _ = io.WriteString(w, a.rotation[0])
		a.rotation = a.rotation[1:]
	case r.Method == http.MethodPut:
		_, _ = io.WriteString(w, "{"+a.warnings+token[1:])
	default:
		_, _ = io.WriteString(w, `{"items": [`+token+`]}`)
	}
}

// attuneSecret runs attune secret against the API.
func (a *vaultAPI) attuneSecret(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
	return run(t, append(append([]string{"secret"}, args...), "--url", server.URL, "--api-token-file", token)...)
}

func TestSecret(t *testing.T) {
	t.Parallel()
	valueFile := func(t *testing.T, text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "value")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}

	t.Run("a value comes from a file, without the line break at its end", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{}
		code, stdout, stderr := a.attuneSecret(t, "set", "TOKEN", "--value-file", valueFile(t, "two\nlines\r\n"), "--pack", "shop", "--note", "new",
			"--on-behalf-of", "ada")
		require.Zero(t, code, stderr)
		require.Equal(t, "secret TOKEN is set: revision 2, granted to shop\n", stdout)
		require.Len(t, a.received, 1)
		body, found := strings.CutPrefix(a.received[0], "PUT /api/v1/secrets/TOKEN ")
		require.True(t, found, a.received)
		require.JSONEq(t, `{"value": "two\nlines", "packs": ["shop"], "note": "new", "on_behalf_of": "ada"}`, body)
	})

	t.Run("grants change alone", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{}
		code, _, stderr := a.attuneSecret(t, "set", "TOKEN", "--keep-value", "--pack", "a", "--pack", "b")
		require.Zero(t, code, stderr)
		require.Equal(t, []string{`PUT /api/v1/secrets/TOKEN {"packs":["a","b"]}`}, a.received)
	})

	t.Run("what looks like a mistake is a warning", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{warnings: `"warnings": ["no pack shop"], `}
		code, stdout, stderr := a.attuneSecret(t, "set", "TOKEN", "--keep-value")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "secret TOKEN is set")
		require.Equal(t, "attune: warning: --keep-value changes nothing without --pack\nattune: warning: no pack shop\n", stderr)
	})

	t.Run("a list has no values", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{}
		code, stdout, stderr := a.attuneSecret(t, "list")
		require.Zero(t, code, stderr)
		require.Regexp(t, `^SECRET +PACKS +REVISION +KEY +SET BY +SET AT\nTOKEN +shop +2 +0a1b2c3d +admin +2030-01-02 12:00:00 UTC\n$`, stdout)
		code, stdout, stderr = a.attuneSecret(t, "list", "-o", "json")
		require.Zero(t, code, stderr)
		var listed []map[string]any
		require.NoError(t, json.NewDecoder(bytes.NewBufferString(stdout)).Decode(&listed))
		require.Equal(t, "TOKEN", listed[0]["name"])
	})

	t.Run("a secret is removed", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{}
		code, stdout, stderr := a.attuneSecret(t, "remove", "TOKEN")
		require.Zero(t, code, stderr)
		require.Equal(t, "secret TOKEN is removed\n", stdout)
		require.Equal(t, []string{"DELETE /api/v1/secrets/TOKEN"}, a.received)
		code, _, stderr = a.attuneSecret(t, "remove", "TOKEN", "--note", "leaked", "--on-behalf-of", "ada")
		require.Zero(t, code, stderr)
		require.Equal(t, `DELETE /api/v1/secrets/TOKEN {"on_behalf_of":"ada","note":"leaked"}`, a.received[1])
	})

	t.Run("a rotation continues until every value was read, and none moved", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{rotation: []string{
			`{"key_id": "k", "moved": 2, "next": "events:0"}`, `{"key_id": "k", "moved": 3}`,
			`{"key_id": "k", "next": "events:0"}`, `{"key_id": "k", "moved": 1}`, `{"key_id": "k"}`,
		}}
		code, stdout, stderr := a.attuneSecret(t, "rotate-key")
		require.Zero(t, code, stderr)
		require.Equal(t, "6 values moved to key k; every value has it now\n", stdout)
		const begin, next = "POST /api/v1/secrets/rotate-key {}", `POST /api/v1/secrets/rotate-key {"from":"events:0"}`
		require.Equal(t, []string{begin, next, begin, next, begin}, a.received)

		a = &vaultAPI{rotation: []string{`{"key_id": "k"}`}}
		code, _, stderr = a.attuneSecret(t, "rotate-key", "--note", "yearly")
		require.Zero(t, code, stderr)
		require.Equal(t, []string{`POST /api/v1/secrets/rotate-key {"note":"yearly"}`}, a.received, "a rotation that moves nothing is one request")
	})

	t.Run("a rotation ends when a process still encrypts with another key", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{rotation: slices.Repeat([]string{`{"key_id": "k", "moved": 1}`}, 5)}
		code, _, stderr := a.attuneSecret(t, "rotate-key")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "5 values moved to key k, and new values still have another key")
	})

	t.Run("a value that cannot be decrypted fails the rotation", func(t *testing.T) {
		t.Parallel()
		a := &vaultAPI{rotation: []string{`{"key_id": "k", "failed": 1, "error": "row 3 cannot be decrypted", "next": "events:0"}`, `{"key_id": "k", "moved": 3}`}}
		code, stdout, stderr := a.attuneSecret(t, "rotate-key")
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "1 values cannot be decrypted and keep their key; the first: row 3 cannot be decrypted")
	})

	t.Run("mistakes are named before a request is sent, without the value", func(t *testing.T) {
		t.Parallel()
		for want, args := range map[string][]string{
			"name a secret: attune secret set NAME":      {"set"},
			"is not the name of an environment":          {"set", "A-B", "--keep-value", "--pack", "shop"},
			"too short to be masked":                     {"set", "TOKEN", "--value-file", valueFile(t, "hu2\n")},
			"the value is not text":                      {"set", "TOKEN", "--value-file", valueFile(t, "hunter2\x00")},
			"--value-file: open /nope":                   {"set", "TOKEN", "--value-file", "/nope"},
			"exclude each other":                         {"set", "TOKEN", "--keep-value", "--value-file", "x"},
			`"hunter2" is one argument too many`:         {"set", "TOKEN", "hunter2"},
			"is reserved: names that begin with ATTUNE_": {"remove", "ATTUNE_X"},
			"every action has the variable PATH already": {"set", "PATH", "--keep-value", "--pack", "shop"},
			"--pack: pack":                               {"set", "TOKEN", "--keep-value", "--pack", "No Name"},
			"--note: ":                                   {"remove", "TOKEN", "--note", "a\nb"},
		} {
			a := &vaultAPI{}
			code, _, stderr := a.attuneSecret(t, args...)
			require.Equal(t, 2, code, want)
			require.Contains(t, stderr, want)
			require.Empty(t, a.received)
		}
	})
}
