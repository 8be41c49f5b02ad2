package auth_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

func claims(t *testing.T, text string) map[string]any {
	t.Helper()
	var claims map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &claims))
	return claims
}

func TestClaimRules_Role(t *testing.T) {
	t.Parallel()
	roles := map[string]auth.Role{"a": auth.RoleAdmin, "o": auth.RoleOperator, "v": auth.RoleViewer, "w": auth.RoleWorker}
	for _, tt := range []struct {
		name, claim, claims string
		want                auth.Role
	}{
		{"a text", "", `{"roles": "o"}`, auth.RoleOperator},
		{"a list", "", `{"roles": ["x", "v"]}`, auth.RoleViewer},
		{"the strongest of several", "", `{"roles": ["w", "v", "a", "o"]}`, auth.RoleAdmin},
		{"a worker", "", `{"roles": ["w"]}`, auth.RoleWorker},
		{"a nested claim", "realm_access.roles", `{"realm_access": {"roles": ["o"]}}`, auth.RoleOperator},
		{"a claim whose name has dots", "https://example.com/roles", `{"https://example.com/roles": ["o"]}`, auth.RoleOperator},
		{"no claim", "", `{}`, ""},
		{"no known value", "", `{"roles": ["admin", "A", "a b", ""]}`, ""},
		{"words of a text are no values", "", `{"roles": "a o"}`, ""},
		{"values of other types", "", `{"roles": [1, true, null, {"a": 1}, ["a"]]}`, ""},
		{"an object", "", `{"roles": {"a": true}}`, ""},
		{"another claim", "", `{"groups": ["a"]}`, ""},
		{"a claim below a text", "realm.roles", `{"realm": "a"}`, ""},
	} {
		caller, err := auth.ClaimRules{RoleClaim: tt.claim, Roles: roles}.Caller(claims(t, `{"sub": "ada"}`))
		require.NoError(t, err)
		require.Empty(t, caller.Role)
		all := claims(t, tt.claims)
		all["sub"] = "ada"
		caller, err = auth.ClaimRules{RoleClaim: tt.claim, Roles: roles}.Caller(all)
		require.NoError(t, err, tt.name)
		require.Equal(t, auth.Caller{Principal: attune.Principal{Name: "ada", Method: attune.AuthOIDC}, Role: tt.want}, caller, tt.name)
	}
}

func TestClaimRules_Name(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ claim, claims, want string }{
		{"", `{"sub": "user-1", "email": "ada@example.com"}`, "user-1"},
		{"email", `{"sub": "user-1", "email": "ada@example.com"}`, "ada@example.com"},
		{"email", `{"email": "ada@example.com", "email_verified": true}`, "ada@example.com"},
		{"email", `{"email": "ada@example.com", "email_verified": "true"}`, "ada@example.com"},
		{"preferred_username", `{"preferred_username": "ada", "email_verified": false}`, "ada"},
		{"profile.name", `{"profile": {"name": "Ada Lovelace"}}`, "Ada Lovelace"},
		{"", `{"sub": "Zoë Łukasz 太郎"}`, "Zoë Łukasz 太郎"},
	} {
		caller, err := auth.ClaimRules{NameClaim: tt.claim}.Caller(claims(t, tt.claims))
		require.NoError(t, err)
		require.Equal(t, tt.want, caller.Principal.Name)
	}
	for _, tt := range []struct{ claim, claims, want string }{
		{"", `{}`, `no usable name in the claim "sub"`},
		{"", `{"sub": ""}`, "no usable name"},
		{"", `{"sub": 7}`, "no usable name"},
		{"", `{"sub": "a\nb"}`, "no usable name"},
		{"", `{"sub": "a\u202eb"}`, "no usable name"},
		{"", `{"sub": "ada\u200b"}`, `in the claim "sub" has the invisible character U+200B`},
		{"", `{"sub": "attune\u2060"}`, "invisible character U+2060"},
		{"", `{"sub": "a\u00adb"}`, "invisible character U+00AD"},
		{"", `{"sub": "a\u00a0b"}`, "invisible character U+00A0"},
		{"", `{"sub": "ada\u3164"}`, "invisible character U+3164"},
		{"", `{"sub": "ada\ufe0f"}`, "invisible character U+FE0F"},
		{"", `{"sub": "ada\u2800"}`, "invisible character U+2800"},
		{"", `{"sub": "ada\udb40\udc41"}`, "invisible character U+E0041"},
		{"email", `{"sub": "user-1"}`, `in the claim "email"`},
		{"email", `{"email": "ada@example.com", "email_verified": false}`, "has not verified the email address"},
		{"email", `{"email": "ada@example.com", "email_verified": "false"}`, "has not verified the email address"},
		{"email", `{"email": "bootstrap"}`, `the name "bootstrap" in the claim "email", which belongs to attune`},
		{"", `{"sub": " Bootstrap"}`, "belongs to attune"},
		{"", `{"sub": "temporal"}`, "belongs to attune"},
		{"", `{"sub": "SYSTEM"}`, "belongs to attune"},
		{"", `{"sub": "attune"}`, "belongs to attune"},
		{"email", `{"email": "ada@example.com", "email_verified": null}`, "has not verified the email address"},
	} {
		caller, err := auth.ClaimRules{NameClaim: tt.claim}.Caller(claims(t, tt.claims))
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
		require.ErrorContains(t, err, tt.want)
		require.Equal(t, auth.Caller{}, caller)
	}
}
