package oidc_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/oidc/issuertest"
)

// aged is an issuer, and its verifier with a clock that the test moves.
type aged struct {
	*issuertest.Issuer

	verifier *oidc.Issuer
	passed   atomic.Int64 // nanoseconds since the start
}

func setupAged(t *testing.T) *aged {
	t.Helper()
	a := &aged{Issuer: issuertest.Start(t)}
	start := time.Now()
	a.verifier = oidc.New(oidc.Config{
		Issuer: a.URL, Audience: audience, Claims: auth.ClaimRules{NameClaim: "email"}, AskPeriod: time.Millisecond,
		Now: func() time.Time { return start.Add(time.Duration(a.passed.Load())) },
	})
	return a
}

func (a *aged) wait(d time.Duration) { a.passed.Add(int64(d)) }

// token returns a token that lives longer than every test.
func (a *aged) token(t *testing.T) string {
	t.Helper()
	return a.Token(t, audience, map[string]any{"email": "ada@example.com", "exp": time.Now().Add(24 * time.Hour).Unix()})
}

func (a *aged) code(t *testing.T, token string) attune.Code {
	t.Helper()
	_, err := a.verifier.Verify(t.Context(), token)
	if err == nil {
		return ""
	}
	return attune.CodeOf(err)
}

func TestIssuer_WithdrawnKeys(t *testing.T) {
	t.Parallel()

	t.Run("a withdrawn key works for five minutes at most, also when no other key arrives", func(t *testing.T) {
		t.Parallel()
		a := setupAged(t)
		old := a.token(t)
		require.Empty(t, a.code(t, old))
		a.RotateKey(t)
		a.wait(3 * time.Minute)
		require.Empty(t, a.code(t, old))
		require.Equal(t, 2, a.Requests(), "young keys are not read again")
		a.wait(2 * time.Minute)
		require.Equal(t, attune.CodeUnauthorized, a.code(t, old))
		require.Empty(t, a.code(t, a.token(t)))
	})

	t.Run("a withdrawn key does not outlive a quiet time", func(t *testing.T) {
		t.Parallel()
		a := setupAged(t)
		old := a.token(t)
		require.Empty(t, a.code(t, old))
		a.RotateKey(t)
		a.wait(30 * time.Minute)
		require.Equal(t, attune.CodeUnauthorized, a.code(t, old))
	})

	t.Run("keys are read again in the background before they are too old", func(t *testing.T) {
		t.Parallel()
		a := setupAged(t)
		old := a.token(t)
		require.Empty(t, a.code(t, old))
		a.RotateKey(t)
		a.wait(4 * time.Minute)
		require.Empty(t, a.code(t, old), "the token does not wait")
		require.Eventually(t, func() bool { return a.code(t, old) == attune.CodeUnauthorized }, time.Minute, time.Millisecond)
	})

	t.Run("known keys work for an hour while the issuer is down, and no longer", func(t *testing.T) {
		t.Parallel()
		a := setupAged(t)
		known := a.token(t)
		require.Empty(t, a.code(t, known))
		a.SetDown(true)
		for range 5 {
			a.wait(10 * time.Minute)
			require.Empty(t, a.code(t, known))
		}
		asked := a.Requests()
		require.Empty(t, a.code(t, known))
		require.Equal(t, asked, a.Requests(), "tokens do not hammer an issuer that is down")
		a.wait(10 * time.Minute)
		require.Equal(t, attune.CodeUnavailable, a.code(t, known))
		a.SetDown(false)
		a.wait(5 * time.Second)
		require.Empty(t, a.code(t, known))
	})

	t.Run("an issuer without any key leaves no key to judge with", func(t *testing.T) {
		t.Parallel()
		a := setupAged(t)
		known := a.token(t)
		require.Empty(t, a.code(t, known))
		a.SetKeys(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys": []}`) })
		a.wait(6 * time.Minute)
		require.Equal(t, attune.CodeUnavailable, a.code(t, known), "the withdrawn key does not work")
	})
}

// Every failure to read the keys is one of the issuer, and not of the token.
func TestIssuer_KeysThatCannotBeRead(t *testing.T) {
	t.Parallel()
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	const noKeys = "answers, but not with a set of keys"
	for name, tt := range map[string]struct {
		keys http.HandlerFunc
		want string
	}{
		"a page":           {answer("<html><body>Sign in</body></html>"), noKeys},
		"nothing":          {answer(""), noKeys},
		"null":             {answer("null"), noKeys},
		"another document": {answer(`{"error": "not now"}`), noKeys},
		"a list":           {answer(`[]`), noKeys},
		"more than a MiB":  {answer(`{"keys": [], "more": "` + strings.Repeat("x", 1<<20) + `"}`), noKeys},
		"a half answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, "{")
		}, noKeys},
		"no key":             {answer(`{"keys": []}`), ""},
		"keys without use":   {answer(`{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "new"}, 7, {"kty": "EC"}]}`), ""},
		"another status":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "status 502"},
		"an answer too late": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "does not answer"},
		"a body without end": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "does not answer"},
		"a broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := setupAged(t)
			token := a.token(t)
			a.SetKeys(tt.keys)
			_, err := a.verifier.Verify(t.Context(), token)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, tt.want)

			a.SetKeys(nil)
			a.wait(5 * time.Second)
			require.Empty(t, a.code(t, token))
			a.RotateKey(t)
			a.SetKeys(tt.keys)
			require.Equal(t, attune.CodeUnavailable, a.code(t, a.token(t)), "the same holds for a new key")
		})
	}
}
