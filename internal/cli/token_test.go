package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/internal/cli"
)

// tokenAPI is an API with tokens. It keeps the bodies of the requests by method and path.
type tokenAPI struct {
	mu     sync.Mutex
	bodies map[string]map[string]any
}

func (a *tokenAPI) token(name string) auth.Token {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	return auth.Token{
		ID: 3, Name: name, Role: auth.RoleEvent, Triggers: []attune.Ref{"demo.push", "demo.tag"}, CreatedAt: noon,
		CreatedBy: attune.Principal{Name: "bootstrap", Method: attune.AuthToken}, ExpiresAt: new(noon.Add(time.Hour)),
		Secrets: []auth.TokenSecret{{Prefix: "bbbbbbbb", CreatedAt: noon}, {Prefix: "aaaaaaaa", CreatedAt: noon, ValidUntil: new(noon.Add(10 * time.Minute))}},
	}
}

func (a *tokenAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent)
	a.bodies[r.Method+" "+r.URL.RequestURI()] = sent
	var body any
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v1/tokens":
		used := a.token("old")
		used.Role, used.Triggers, used.Secrets = auth.RoleViewer, nil, nil
		used.LastUsedAt, used.RevokedAt = new(used.CreatedAt.Add(time.Minute)), new(used.CreatedAt.Add(time.Hour))
		body = api.List[auth.Token]{Items: []auth.Token{a.token("ci"), used}}
	case "POST /api/v1/tokens", "POST /api/v1/tokens/ci/rotate":
		body = api.IssuedToken{Token: a.token("ci"), Value: "att_secret"}
	case "POST /api/v1/tokens/ci/revoke":
		body = a.token("ci")
	default:
		w.WriteHeader(http.StatusNotFound)
		body = api.Problem{Title: "Not Found", Detail: "there is no token"}
	}
	_ = json.NewEncoder(w).Encode(body)
}

// attuneToken runs `attune token`, and returns what the API received.
func attuneToken(t *testing.T, args ...string) (code int, stdout, stderr string, bodies map[string]map[string]any) {
	t.Helper()
	a := &tokenAPI{bodies: map[string]map[string]any{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(apiToken+"\n"), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"token", "--url", server.URL, "--api-token-file", file}, args...), &out, &errs)
	return code, out.String(), errs.String(), a.bodies
}

func TestToken(t *testing.T) {
	t.Parallel()

	t.Run("a new token alone is on the standard output", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, bodies := attuneToken(t, "create", "ci", "--role", "event", "--trigger", "demo.push,demo.tag",
			"--expires", "48h", "--note", "the new hook", "--on-behalf-of", "ada")
		require.Zero(t, code, stderr)
		require.Equal(t, "att_secret\n", stdout)
		require.Equal(t, "The token of ci (role event, expires: 2030-01-02 13:00:00 UTC). It is shown only now:\n", stderr)
		require.Equal(t, map[string]map[string]any{"POST /api/v1/tokens": {
			"name": "ci", "role": "event", "triggers": []any{"demo.push", "demo.tag"}, "expires_in": "48h0m0s",
			"note": "the new hook", "on_behalf_of": "ada",
		}}, bodies)
	})

	t.Run("a program reads the whole token", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, _ := attuneToken(t, "create", "ci", "--role", "viewer", "-o", "json")
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		var issued api.IssuedToken
		require.NoError(t, json.Unmarshal([]byte(stdout), &issued))
		require.Equal(t, "att_secret", issued.Value)
		require.Equal(t, "ci", issued.Name)
	})

	t.Run("a rotation keeps the earlier secret as long as it says", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, bodies := attuneToken(t, "rotate", "ci")
		require.Zero(t, code, stderr)
		require.Equal(t, "att_secret\n", stdout)
		require.Equal(t, map[string]any{"keep_old": "10m0s"}, bodies["POST /api/v1/tokens/ci/rotate"])
		_, _, _, bodies = attuneToken(t, "rotate", "ci", "--keep-old", "0s", "--expires", "1h")
		require.Equal(t, map[string]any{"keep_old": "0s", "expires_in": "1h0m0s"}, bodies["POST /api/v1/tokens/ci/rotate"])
	})

	t.Run("a token is revoked by its name", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, bodies := attuneToken(t, "revoke", "ci", "--note", "leaked")
		require.Zero(t, code, stderr)
		require.Equal(t, "The token of ci is revoked.\n", stdout)
		require.Equal(t, map[string]any{"note": "leaked"}, bodies["POST /api/v1/tokens/ci/revoke"])
		code, _, stderr, _ = attuneToken(t, "revoke", "other")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "404 Not Found: there is no token")
	})

	t.Run("the list is for people", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, bodies := attuneToken(t, "list")
		require.Zero(t, code, stderr)
		require.Contains(t, bodies, "GET /api/v1/tokens?limit=500")
		require.Empty(t, cmp.Diff(`NAME  ROLE    PREFIX                                             CREATED                  BY         USED                     EXPIRES                          TRIGGERS
ci    event   bbbbbbbb,aaaaaaaa (until 2030-01-02 12:10:00 UTC)  2030-01-02 12:00:00 UTC  bootstrap  never                    2030-01-02 13:00:00 UTC          demo.push,demo.tag
old   viewer  -                                                  2030-01-02 12:00:00 UTC  bootstrap  2030-01-02 12:01:00 UTC  revoked 2030-01-02 13:00:00 UTC  -
`, stdout))
		code, stdout, stderr, bodies = attuneToken(t, "list", "--all", "--output", "json")
		require.Zero(t, code, stderr)
		require.Contains(t, bodies, "GET /api/v1/tokens?limit=500&revoked=true")
		var tokens []auth.Token
		require.NoError(t, json.Unmarshal([]byte(stdout), &tokens))
		require.Len(t, tokens, 2)
	})
}
