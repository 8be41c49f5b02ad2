package oidc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/oidc/issuertest"
)

func TestIssuer_ClaimsAreExact(t *testing.T) {
	t.Parallel()
	issuer := issuertest.Start(t)
	verifier := oidc.New(oidc.Config{Issuer: issuer.URL, Audience: audience, Claims: auth.ClaimRules{
		RoleClaim: "realm.roles", NameClaim: "email", Roles: map[string]auth.Role{"ops": auth.RoleOperator, "root": auth.RoleAdmin},
	}})
	future, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	iss, aud, exp := fmt.Sprintf(`"iss": %q`, issuer.URL), `"aud": "attune"`, fmt.Sprintf(`"exp": %d`, future)
	ada := `"sub": "user-1", "email": "ada@example.com", "realm": {"roles": ["ops"]}`
	verify := func(claims ...string) (auth.Caller, error) {
		return verifier.Verify(t.Context(), issuer.Sign("{"+strings.Join(claims, ", ")+"}"))
	}
	want := auth.Caller{Principal: attune.Principal{Name: "ada@example.com", Method: attune.AuthOIDC}, Role: auth.RoleOperator}

	for name, more := range map[string]string{
		"nothing else":                `"iat": 1`,
		"another audience":            `"AUD": "other", "Aud": ["other"]`,
		"another expiry":              fmt.Sprintf(`"EXP": %d, "Exp": 0`, past),
		"another begin":               fmt.Sprintf(`"NBF": %d`, future*2),
		"another name and role":       `"Email": "root@example.com", "EMAIL": "root@example.com", "Realm": {"roles": ["root"]}`,
		"claims of other sources":     `"_claim_names": {"email": "none"}`,
		"names with other folds":      `"\u017fub": "root"`,
		"the same name on two levels": `"act": {"sub": "x", "aud": "y"}`,
	} {
		caller, err := verify(iss, aud, exp, ada, more)
		require.NoError(t, err, "a claim has exactly its name: %s", name)
		require.Equal(t, want, caller, name)
	}
	for name, claims := range map[string][]string{
		"only an audience of another case": {iss, `"AUD": "attune"`, exp, ada},
		"only an expiry of another case":   {iss, aud, fmt.Sprintf(`"EXP": %d`, future), ada},
		"a name of another case":           {iss, aud, exp, `"Email": "ada@example.com"`},
		"two issuers":                      {`"iss": "https://other.example"`, iss, aud, exp, ada},
		"two audiences":                    {iss, `"aud": "other"`, aud, exp, ada},
		"two expiries":                     {iss, aud, fmt.Sprintf(`"exp": %d`, past), exp, ada},
		"two begins":                       {iss, aud, exp, ada, fmt.Sprintf(`"nbf": %d, "nbf": 1`, future*2)},
		"two times of issue":               {iss, aud, exp, ada, `"iat": 1, "iat": 2`},
		"two subjects":                     {iss, aud, exp, ada, `"sub": "user-2"`},
		"two names":                        {iss, aud, exp, `"email": "root@example.com"`, ada},
		"two names, one with an escape":    {iss, aud, exp, ada, `"\u0065mail": "root@example.com"`},
		"two roles":                        {iss, aud, exp, `"email": "ada@example.com", "realm": {"roles": [], "roles": ["root"]}`},
		"two parents of roles":             {iss, aud, exp, ada, `"realm": {"roles": ["root"]}`},
		"deep claims":                      {iss, aud, exp, ada, `"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100)},
		"no object":                        {iss, aud, exp, ada, `}, {`},
		"an invisible name":                {iss, aud, exp, `"email": "ada\u200b@example.com"`},
		"a name with a line break":         {iss, aud, exp, `"email": "ada\nroot"`},
	} {
		caller, err := verify(claims...)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%s: %v", name, err)
		require.Equal(t, auth.Caller{}, caller, name)
	}
}
