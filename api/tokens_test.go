package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
)

func TestTokens(t *testing.T) {
	t.Parallel()

	t.Run("a token is shown once, and stored without its text", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder := b.do(t, post("/api/v1/tokens",
			`{"name": "hook", "role": "event", "triggers": ["github.push"], "expires_in": "1h30m", "note": "the new hook"}`))
		require.Equal(t, http.StatusCreated, recorder.Code, recorder.Body.String())
		var issued api.IssuedToken
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &issued))
		secret, ok := auth.ParseToken(issued.Value)
		require.True(t, ok)
		require.Equal(t, []auth.Secret{secret}, b.tokens.secrets)
		require.Equal(t, secret.Prefix, issued.Secrets[0].Prefix)
		require.Equal(t, []auth.TokenRequest{{
			Name: "hook", Role: auth.RoleEvent, Triggers: []attune.Ref{"github.push"}, Life: 90 * time.Minute,
		}}, b.tokens.requests)
		require.Equal(t, []attune.Principal{admin.Principal}, b.tokens.by)
		require.Contains(t, b.log.String(), `msg="a token was created" token=hook`)
		require.NotContains(t, b.log.String(), issued.Value)
	})

	t.Run("only a request without the member, or with null, makes a token that does not expire", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, body := range []string{`{"name": "ci", "role": "viewer"}`, `{"name": "ci", "role": "viewer", "expires_in": null}`} {
			require.Equal(t, http.StatusCreated, b.do(t, post("/api/v1/tokens", body)).Code)
		}
		require.Equal(t, []time.Duration{0, 0}, []time.Duration{b.tokens.requests[0].Life, b.tokens.requests[1].Life})
	})

	t.Run("a trigger that no pack has is a warning", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder := b.do(t, post("/api/v1/tokens", `{"name": "hook", "role": "event", "triggers": ["github.push", "github.psuh"]}`))
		require.Equal(t, http.StatusCreated, recorder.Code, recorder.Body.String())
		var issued api.IssuedToken
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &issued))
		require.Len(t, issued.Warnings, 1)
		require.Contains(t, issued.Warnings[0], `no installed pack has the trigger "github.psuh"`)
	})

	t.Run("a wrong request is refused with the name of its member", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for body, want := range map[string]string{
			`{"name": "CI", "role": "viewer"}`:                          `name "CI"`,
			`{"name": "bootstrap", "role": "viewer"}`:                   `"bootstrap" belongs to the token of the settings`,
			`{"name": "ci", "role": "root"}`:                            "body.role: use one of viewer, operator, admin, worker, event",
			`{"name": "ci", "role": "event"}`:                           "triggers: the role event needs",
			`{"name": "ci", "role": "viewer", "expires_in": "soon"}`:    `body.expires_in: duration "soon"`,
			`{"name": "ci", "role": "viewer", "expires_in": "1s"}`:      "expires_in: 1s",
			`{"name": "ci", "role": "viewer", "expires_in": "0s"}`:      "expires_in: 0s",
			`{"name": "ci", "role": "viewer", "expires_in": ""}`:        "body.expires_in: empty",
			`{"name": "ci", "role": "viewer", "on_behalf_of": "a\nb"}`:  "on_behalf_of",
			`{"name": "ci", "role": "viewer", "triggers": ["demo.go"]}`: "only the role event has triggers",
		} {
			problem := requireProblem(t, b.do(t, post("/api/v1/tokens", body)), 422, "invalid")
			require.Contains(t, problem.Detail, want)
		}
		require.Empty(t, b.tokens.requests)
	})

	t.Run("a rotation keeps the earlier secret for some minutes", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder := b.do(t, post("/api/v1/tokens/ci/rotate", ""))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Equal(t, auth.DefaultKeepOld, b.tokens.keepOld)
		require.Zero(t, b.tokens.life)
		var issued api.IssuedToken
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &issued))
		secret, ok := auth.ParseToken(issued.Value)
		require.True(t, ok)
		require.Equal(t, []auth.Secret{secret}, b.tokens.secrets)

		require.Equal(t, http.StatusOK, b.do(t, post("/api/v1/tokens/ci/rotate", `{"keep_old": "0s", "expires_in": "24h"}`)).Code)
		require.Zero(t, b.tokens.keepOld)
		require.Equal(t, 24*time.Hour, b.tokens.life)
		for _, body := range []string{`{"keep_old": "-1s"}`, `{"keep_old": "721h"}`, `{"keep_old": "long"}`, `{"expires_in": "1ms"}`,
			`{"expires_in": "0s"}`, `{"expires_in": ""}`} {
			requireProblem(t, b.do(t, post("/api/v1/tokens/ci/rotate", body)), 422, "invalid")
		}
		require.Len(t, b.tokens.secrets, 2)
	})

	t.Run("a token is revoked by its name", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireJSON(t, `{"id": 3, "name": "ci", "role": "viewer", "created_at": "2030-01-02T12:00:00Z",
			"created_by": {"name": "admin", "method": "token"}, "revoked_at": "2030-01-02T12:00:00Z",
			"revoked_by": {"name": "admin", "method": "token"}}`, b.do(t, post("/api/v1/tokens/ci/revoke", `{"note": "leaked"}`)))
	})

	t.Run("a name that no token has is not found, and the token of the settings cannot be changed here", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, verb := range []string{"rotate", "revoke"} {
			requireProblem(t, b.do(t, post("/api/v1/tokens/missing/"+verb, "")), 404, "not_found")
			requireProblem(t, b.do(t, post("/api/v1/tokens/No%20Name/"+verb, "")), 404, "not_found")
			problem := requireProblem(t, b.do(t, post("/api/v1/tokens/bootstrap/"+verb, "")), 409, "conflict")
			require.Contains(t, problem.Detail, "in the settings of attune")
		}
	})

	t.Run("a list leaves out the revoked tokens unless it is asked for them", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		token, err := b.tokens.token("ci", auth.Secret{Prefix: "abcdefgh"})
		require.NoError(t, err)
		b.tokens.found = []auth.Token{token}
		requireJSON(t, `{"items": [{"id": 3, "name": "ci", "role": "viewer", "created_at": "2030-01-02T12:00:00Z",
			"created_by": {"name": "admin", "method": "token"},
			"secrets": [{"prefix": "abcdefgh", "created_at": "2030-01-02T12:00:00Z"}]}], "next": "YmVmb3JlOjM"}`,
			b.do(t, get("/api/v1/tokens?limit=1")))
		require.False(t, b.tokens.revoked)
		require.Equal(t, http.StatusOK, b.do(t, get("/api/v1/tokens?revoked=true&cursor=YmVmb3JlOjM")).Code)
		require.True(t, b.tokens.revoked)
		require.EqualValues(t, 3, b.tokens.page.Before)
	})

	t.Run("only an administrator reaches them", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, role := range []auth.Role{auth.RoleViewer, auth.RoleOperator, auth.RoleWorker, auth.RoleEvent, ""} {
			header := []string{b.as(role)}
			for _, in := range []request{
				{http.MethodGet, "/api/v1/tokens", "", header}, {http.MethodPost, "/api/v1/tokens", `{"name": "x", "role": "admin"}`, header},
				{http.MethodPost, "/api/v1/tokens/ci/rotate", "", header}, {http.MethodPost, "/api/v1/tokens/ci/revoke", "", header},
			} {
				requireProblem(t, b.do(t, in), 403, "forbidden")
			}
		}
		require.Empty(t, b.tokens.secrets)
	})
}
