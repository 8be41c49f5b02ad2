package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/internal/config"
)

func TestOIDC(t *testing.T) {
	t.Parallel()

	t.Run("an issuer with its claims is read from every layer", func(t *testing.T) {
		t.Parallel()
		cfg, err := load(t, layers{
			file: "oidc:\n  issuer: https://login.example.com/acme\n  roles: [\"CN=ops,OU=x=operator\", staff=viewer]\n",
			env:  map[string]string{"ATTUNE_OIDC_AUDIENCE": "attune"}, args: []string{"--oidc-role-claim=realm_access.roles"},
		})
		require.NoError(t, err)
		require.Equal(t, config.OIDC{
			Issuer: "https://login.example.com/acme", Audience: "attune", Claims: auth.ClaimRules{
				RoleClaim: "realm_access.roles", NameClaim: auth.DefaultNameClaim,
				Roles: map[string]auth.Role{"CN=ops,OU=x": auth.RoleOperator, "staff": auth.RoleViewer},
			},
		}, cfg.OIDC)
		cfg, err = load(t, layers{env: map[string]string{"ATTUNE_OIDC_ROLES": "a=admin,v=viewer,a=admin"}})
		require.NoError(t, err)
		require.Equal(t, map[string]auth.Role{"a": auth.RoleAdmin, "v": auth.RoleViewer}, cfg.OIDC.Claims.Roles)
	})

	t.Run("an issuer needs an audience and roles", func(t *testing.T) {
		t.Parallel()
		cfg, err := load(t, layers{args: []string{"--oidc-issuer=http://127.0.0.1:5556/dex"}})
		require.NoError(t, err)
		cfg.Roles = []config.Role{config.RoleAPI}
		err = cfg.Validate()
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.ErrorContains(t, err, "oidc.audience is not set and oidc.issuer needs it: set --oidc-audience or ATTUNE_OIDC_AUDIENCE")
		require.ErrorContains(t, err, "oidc.roles is not set and oidc.issuer needs it: set --oidc-roles")
		cfg.Roles = []config.Role{config.RoleWorker}
		require.NotContains(t, cfg.Validate().Error(), "oidc", "only the API has callers")
	})

	t.Run("wrong values are refused", func(t *testing.T) {
		t.Parallel()
		for arg, want := range map[string]string{
			"--oidc-issuer=login.example.com":        "is not a URL of the form https://host/path",
			"--oidc-issuer=http://login.example.com": "needs https",
			"--oidc-issuer=ftp://127.0.0.1":          "needs https",
			"--oidc-issuer=https://u:p@example.com":  "is not a URL of the form",
			"--oidc-issuer=https://example.com?x=1":  "is not a URL of the form",
			"--oidc-issuer=":                         "is empty",
			"--oidc-roles=admins":                    `"admins": use VALUE=ROLE`,
			"--oidc-roles==admin":                    "use VALUE=ROLE",
			"--oidc-roles=x=root":                    `"root" is not a role for a claim: use one of admin,operator,viewer,worker`,
			"--oidc-roles=x=event":                   `"event" is not a role for a claim`,
			"--oidc-roles=x=admin,y=viewer,x=viewer": `"x" has two roles: keep one`,
			"--oidc-name-claim=":                     "is empty",
		} {
			_, err := load(t, layers{args: []string{arg}})
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), arg)
			require.ErrorContains(t, err, want)
		}
	})
}
