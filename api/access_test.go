package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/oidc/issuertest"
)

// everyone marks a route that needs no token.
const everyone = "everyone"

// accessTable names who may use each route: everyone, or the callers with a right.
func accessTable() map[string]string {
	return map[string]string{
		"GET /livez":                            everyone,
		"GET /readyz":                           everyone,
		"GET /metrics":                          everyone,
		"POST /api/v1/webhooks/{key}":           everyone, // signed
		"GET /api/v1/whoami":                    "identity",
		"GET /api/v1/openapi.json":              "read",
		"GET /api/v1/openapi.yaml":              "read",
		"GET /api/v1/doctor":                    "read",
		"GET /api/v1/events":                    "read",
		"GET /api/v1/events/{id}":               "read",
		"GET /api/v1/enforcements":              "read",
		"GET /api/v1/enforcements/{id}":         "read",
		"GET /api/v1/executions":                "read",
		"GET /api/v1/executions/{id}":           "read",
		"GET /api/v1/queues":                    "read",
		"GET /api/v1/queues/{key}":              "read",
		"GET /api/v1/queues/{key}/grants":       "read",
		"GET /api/v1/queues/{key}/lanes":        "read",
		"GET /api/v1/queues/{key}/changes":      "read",
		"GET /api/v1/queues/{key}/policies":     "read",
		"GET /api/v1/policies":                  "read",
		"GET /api/v1/policies/global":           "read",
		"GET /api/v1/policies/{scope}/{ref}":    "read",
		"PUT /api/v1/policies/global":           "operate",
		"PUT /api/v1/policies/{scope}/{ref}":    "operate",
		"PATCH /api/v1/policies/global":         "operate",
		"PATCH /api/v1/policies/{scope}/{ref}":  "operate",
		"DELETE /api/v1/policies/global":        "operate",
		"DELETE /api/v1/policies/{scope}/{ref}": "operate",
		"GET /api/v1/queues/{key}/starts":       "read",
		"GET /api/v1/limiters":                  "read",
		"GET /api/v1/limiters/log":              "read",
		"GET /api/v1/limiters/{id}/log":         "read",
		"GET /api/v1/quotas":                    "read",
		"GET /api/v1/actions":                   "read",
		"POST /api/v1/actions/{ref}/policy":     "read",
		"GET /api/v1/actions/{ref}":             "read",
		"GET /api/v1/actions/{ref}/queue-stats": "read",
		"GET /api/v1/rules":                     "read",
		"GET /api/v1/rules/{ref}":               "read",
		"GET /api/v1/rules/{ref}/changes":       "read",
		"POST /api/v1/policies/try":             "read",
		"POST /api/v1/events":                   "send_events",
		"POST /api/v1/actions/{ref}/run":        "run",
		"POST /api/v1/executions/{id}/cancel":   "operate",
		"POST /api/v1/enforcements/{id}/cancel": "operate",
		"POST /api/v1/enforcements/{id}/retry":  "operate",
		"POST /api/v1/queues/{key}/pause":       "operate",
		"POST /api/v1/queues/{key}/resume":      "operate",
		"POST /api/v1/queues/{key}/drain":       "operate",
		"PUT /api/v1/queues/{key}/limit":        "operate",
		"POST /api/v1/queues/{key}/limit/clear": "operate",
		"PUT /api/v1/queues/{key}/lanes/limit":  "operate",

		"POST /api/v1/queues/{key}/lanes/limit/clear": "operate",
		"POST /api/v1/rules/{ref}/enable":             "operate",
		"POST /api/v1/rules/{ref}/disable":            "operate",
		"GET /api/v1/tokens":                          "administer",
		"POST /api/v1/tokens":                         "administer",
		"POST /api/v1/tokens/{name}/rotate":           "administer",
		"POST /api/v1/tokens/{name}/revoke":           "administer",
		"GET /api/v1/audit":                           "administer",
		"GET /api/v1/secrets":                         "administer",
		"PUT /api/v1/secrets/{name}":                  "administer",
		"DELETE /api/v1/secrets/{name}":               "administer",
		"POST /api/v1/secrets/rotate-key":             "administer",
	}
}

// kind is a kind of caller: a bearer token, and the rights that it gives. A caller without a valid token has none.
type kind struct {
	name, token string
	known       bool // the token is valid
	rights      []string
}

const (
	bootstrapToken = "bootstrap-0123456789"
	audience       = "attune"
)

// tokenShelf is a store of tokens.
type tokenShelf map[string]auth.StoredSecret

func (s tokenShelf) FindSecret(_ context.Context, prefix string) (auth.StoredSecret, error) {
	if found, ok := s[prefix]; ok {
		return found, nil
	}
	return auth.StoredSecret{}, notFound("token with this prefix")
}

func (tokenShelf) RecordUse(context.Context, auth.TokenID) error { return nil }

// put adds a token and returns its text.
func (s tokenShelf) put(role auth.Role, change func(*auth.StoredSecret)) string {
	text, secret := auth.NewToken()
	stored := auth.StoredSecret{Secret: secret, Token: auth.Token{ID: auth.TokenID(len(s) + 1), Name: "some-" + string(role), Role: role}}
	if change != nil {
		change(&stored)
	}
	s[secret.Prefix] = stored
	return text
}

// kinds returns every kind of caller, and the authenticator that tells them apart: the one of the product, with an issuer and a store.
func kinds(t *testing.T) ([]kind, *auth.Authenticator) {
	t.Helper()
	issuer, foreign, shelf := issuertest.Start(t), issuertest.Start(t), tokenShelf{}
	roles := map[string]auth.Role{"v": auth.RoleViewer, "o": auth.RoleOperator, "a": auth.RoleAdmin, "w": auth.RoleWorker}
	callers := auth.NewAuthenticator(auth.Sources{
		Bootstrap: func() string { return bootstrapToken }, Tokens: shelf, Logger: slog.New(slog.DiscardHandler),
		Issuer: oidc.New(oidc.Config{
			Issuer: issuer.URL, Audience: audience, Claims: auth.ClaimRules{Roles: roles}, AskPeriod: time.Millisecond,
		}),
	})
	past := time.Now().Add(-time.Minute)
	unknown, _ := auth.NewToken()
	viewer := []string{"identity", "read"}
	operator := []string{"identity", "read", "send_events", "run", "operate"}
	admin := append(slices.Clone(operator), "administer")
	ofRole := func(role string) map[string]any { return map[string]any{"roles": []string{role}} }
	return []kind{
		{"no token", "", false, nil},
		{"an unknown token", unknown, false, nil},
		{"a text that is no token", "att_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, nil},
		{"an expired admin", shelf.put(auth.RoleAdmin, func(s *auth.StoredSecret) { s.Token.ExpiresAt = &past }), false, nil},
		{"a revoked admin", shelf.put(auth.RoleAdmin, func(s *auth.StoredSecret) { s.Token.RevokedAt = &past }), false, nil},
		{"the earlier secret of an admin", shelf.put(auth.RoleAdmin, func(s *auth.StoredSecret) { s.ValidUntil = &past }), false, nil},
		{"an admin of a foreign issuer", foreign.Token(t, audience, ofRole("a")), false, nil},
		{"an admin of a foreign issuer that names ours", foreign.Token(t, audience, map[string]any{"iss": issuer.URL, "roles": "a"}), false, nil},
		{"an admin for another audience", issuer.Token(t, "other", ofRole("a")), false, nil},
		{"an admin whose web token expired", issuer.Token(t, audience, map[string]any{"roles": "a", "exp": past.Unix()}), false, nil},

		{"bootstrap", bootstrapToken, true, admin},
		{"admin", shelf.put(auth.RoleAdmin, nil), true, admin},
		{"operator", shelf.put(auth.RoleOperator, nil), true, operator},
		{"viewer", shelf.put(auth.RoleViewer, nil), true, viewer},
		{"worker", shelf.put(auth.RoleWorker, nil), true, []string{"identity"}},
		{"event of the trigger", shelf.put(auth.RoleEvent, func(s *auth.StoredSecret) {
			s.Token.Triggers = []attune.Ref{"github.push"}
		}), true, []string{"identity", "send_events"}},
		{"event of another trigger", shelf.put(auth.RoleEvent, func(s *auth.StoredSecret) {
			s.Token.Triggers = []attune.Ref{"github.tag"}
		}), true, []string{"identity"}},
		{"a role of the future", shelf.put("auditor", nil), true, []string{"identity"}},
		{"admin of the issuer", issuer.Token(t, audience, ofRole("a")), true, admin},
		{"operator of the issuer", issuer.Token(t, audience, ofRole("o")), true, operator},
		{"viewer of the issuer", issuer.Token(t, audience, ofRole("v")), true, viewer},
		{"worker of the issuer", issuer.Token(t, audience, ofRole("w")), true, []string{"identity"}},
		{"no role of the issuer", issuer.Token(t, audience, nil), true, []string{"identity"}},
	}, callers
}

// TestAccess sends a request that would succeed to every route, as every kind of caller.
func TestAccess(t *testing.T) {
	t.Parallel()
	table := accessTable()
	callerKinds, callers := kinds(t)
	b := setupAll(t)
	var document apiDocument
	require.NoError(t, json.Unmarshal(b.do(t, get("/api/v1/openapi.json")).Body.Bytes(), &document))
	require.ElementsMatch(t, slices.Collect(maps.Keys(table)), b.server(t).Patterns(), "a route without a line in the table")

	b.deps.Callers, b.built = callers, nil
	for route, needs := range table {
		method, path, _ := strings.Cut(route, " ")
		good := goodRequest(t, route, document.Paths[path][strings.ToLower(method)])
		for _, caller := range callerKinds {
			r := good.build(t)
			r.Header.Del("Authorization")
			if caller.token != "" {
				r.Header.Set("Authorization", "Bearer "+caller.token)
			}
			recorder := httptest.NewRecorder()
			b.server(t).Handler().ServeHTTP(recorder, r)
			where := route + " as " + caller.name + ": " + recorder.Body.String()
			switch {
			case needs == everyone || slices.Contains(caller.rights, needs):
				require.Less(t, recorder.Code, 300, where)
			case !caller.known:
				require.Equal(t, http.StatusUnauthorized, recorder.Code, where)
				require.Contains(t, recorder.Header().Get("WWW-Authenticate"), "Bearer", where)
			default:
				require.Equal(t, http.StatusForbidden, recorder.Code, where)
				require.Equal(t, "forbidden", requireProblem(t, recorder, http.StatusForbidden, "forbidden").Code)
			}
		}
	}
}

// The table agrees with the rights of the roles: package auth.
func TestAccessTableNamesRights(t *testing.T) {
	t.Parallel()
	for route, needs := range accessTable() {
		require.True(t, needs == everyone || slices.Contains(auth.Rights(), auth.Right(needs)), route)
	}
}
