package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/oidc/issuertest"
)

const audience = "attune"

// setup returns an issuer and what verifies its tokens.
func setup(t *testing.T) (*issuertest.Issuer, *oidc.Issuer) {
	t.Helper()
	issuer := issuertest.Start(t)
	return issuer, oidc.New(oidc.Config{
		Issuer: issuer.URL, Audience: audience,
		Claims: auth.ClaimRules{NameClaim: "email", Roles: map[string]auth.Role{"ops": auth.RoleOperator}},
	})
}

func claimsOfAda() map[string]any {
	return map[string]any{"email": "ada@example.com", "roles": []string{"staff", "ops"}}
}

func requireRefused(t *testing.T, verifier *oidc.Issuer, token, message string) {
	t.Helper()
	caller, err := verifier.Verify(t.Context(), token)
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, message)
	require.Equal(t, auth.Caller{}, caller)
}

func TestIssuer_Verify(t *testing.T) {
	t.Parallel()

	t.Run("a token of the issuer has its caller", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		require.Zero(t, issuer.Requests(), "nothing is asked before the first token")
		want := auth.Caller{Principal: attune.Principal{Name: "ada@example.com", Method: attune.AuthOIDC}, Role: auth.RoleOperator}
		for range 20 {
			caller, err := verifier.Verify(t.Context(), issuer.Token(t, audience, claimsOfAda()))
			require.NoError(t, err)
			require.Equal(t, want, caller)
		}
		require.Equal(t, 2, issuer.Requests(), "the document and the keys are read once")
	})

	t.Run("a token of another issuer, for another audience or of another time is refused", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		foreign := issuertest.Start(t)
		const invalid = "the token is not a valid token of the issuer for this audience"
		requireRefused(t, verifier, issuer.Token(t, "other", claimsOfAda()), invalid)
		requireRefused(t, verifier, issuer.Token(t, audience, map[string]any{"aud": nil}), invalid)
		requireRefused(t, verifier, issuer.Token(t, audience, map[string]any{"iss": foreign.URL}), invalid)
		requireRefused(t, verifier, issuer.Token(t, audience, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), invalid)
		requireRefused(t, verifier, issuer.Token(t, audience, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), "the token expired at ")
		requireRefused(t, verifier, issuer.Token(t, audience, map[string]any{"exp": nil}), "the token has no expiry")
		asked := issuer.Requests()
		requireRefused(t, verifier, foreign.Token(t, audience, claimsOfAda()), invalid)
		require.Equal(t, asked, issuer.Requests(), "attune does not look for the key of another issuer")
		requireRefused(t, verifier, foreign.Token(t, audience, map[string]any{"iss": issuer.URL}), invalid)
		require.Zero(t, foreign.Requests(), "a token cannot make attune ask another issuer")
	})

	t.Run("a token without a signature of the issuer's key and algorithm is refused", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		claims := fmt.Sprintf(`{"iss": %q, "aud": "attune", "sub": "x", "email": "x", "exp": %d}`, issuer.URL, time.Now().Add(time.Hour).Unix())
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		good := issuer.Token(t, audience, claimsOfAda())
		parts := strings.Split(good, ".")
		body := base64.RawURLEncoding.EncodeToString([]byte(claims))
		for name, token := range map[string]string{
			"none":         base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + body + ".",
			"a secret":     oidctest.SignIDToken([]byte(strings.Repeat("k", 32)), "key-1", "HS256", claims),
			"another key":  oidctest.SignIDToken(other, "key-1", "ES256", claims),
			"other claims": parts[0] + "." + body + "." + parts[2],
			"no signature": parts[0] + "." + parts[1] + ".",
			"no token":     "a.b.c",
			"empty parts":  "..",
		} {
			caller, err := verifier.Verify(t.Context(), token)
			require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), name)
			require.Equal(t, auth.Caller{}, caller, name)
		}
	})

	t.Run("a new key of the issuer works at once, and its old key does not", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		old := issuer.Token(t, audience, claimsOfAda())
		_, err := verifier.Verify(t.Context(), old)
		require.NoError(t, err)
		issuer.RotateKey(t)
		var group sync.WaitGroup
		errs := make([]error, 20)
		for n := range errs {
			group.Go(func() { _, errs[n] = verifier.Verify(t.Context(), issuer.Token(t, audience, claimsOfAda())) })
		}
		group.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		requireRefused(t, verifier, old, "not a valid token")
	})

	t.Run("an issuer that is down at the start is asked again", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		issuer.SetDown(true)
		token := issuer.Token(t, audience, claimsOfAda())
		for range 5 {
			_, err := verifier.Verify(t.Context(), token)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
			require.ErrorContains(t, err, "the tokens of the issuer "+issuer.URL+" cannot be verified: it answers, but with the status 503")
		}
		require.Equal(t, 1, issuer.Requests(), "tokens do not hammer an issuer that is down")
		issuer.SetDown(false)
		require.Eventually(t, func() bool {
			_, err := verifier.Verify(t.Context(), token)
			return err == nil
		}, time.Minute, 50*time.Millisecond)
	})

	t.Run("an issuer that goes down is not a wrong token, and known keys still work", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		known := issuer.Token(t, audience, claimsOfAda())
		_, err := verifier.Verify(t.Context(), known)
		require.NoError(t, err)
		issuer.RotateKey(t)
		issuer.SetDown(true)
		_, err = verifier.Verify(t.Context(), issuer.Token(t, audience, claimsOfAda()))
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		_, err = verifier.Verify(t.Context(), known)
		require.NoError(t, err)
	})

	t.Run("tokens with unknown keys cannot flood the issuer", func(t *testing.T) {
		t.Parallel()
		issuer, verifier := setup(t)
		foreign := issuertest.Start(t)
		start := time.Now()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				_, _ = verifier.Verify(t.Context(), foreign.Token(t, audience, map[string]any{"iss": issuer.URL}))
			})
		}
		group.Wait()
		allowed := 4 + int(time.Since(start)/time.Second)
		require.LessOrEqual(t, issuer.Requests(), allowed)
	})
}

func TestIssuer_Keys(t *testing.T) {
	t.Parallel()
	issuer, verifier := setup(t)
	keys, err := verifier.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, keys)
	issuer.SetDown(true)
	_, err = verifier.Keys(t.Context())
	require.ErrorContains(t, err, "503")
	issuer.SetDown(false)
	keys, err = verifier.Keys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, keys)
}
