package oidc_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/oidc/issuertest"
)

func TestIssuer_LogsRefusals(t *testing.T) {
	t.Parallel()
	issuer := issuertest.Start(t)
	var log bytes.Buffer
	verifier := oidc.New(oidc.Config{Issuer: issuer.URL, Audience: audience, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	past := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		claims map[string]any
		want   []string
	}{
		{map[string]any{"aud": "other"}, []string{`expected audience`, `audience="\"other\""`, "wants_audience=attune"}},
		{map[string]any{"iss": "https://elsewhere.example"}, []string{`reason="the token is of another issuer"`, "issuer=https://elsewhere.example"}},
		{map[string]any{"exp": past.Unix()}, []string{"expired at 2020-01-02T03:04:05Z", "expires=2020-01-02T03:04:05Z", "kid=key-1"}},
		{map[string]any{"exp": nil}, []string{"the token has no expiry", `expires=""`}},
		{map[string]any{"sub": "bootstrap"}, []string{"belongs to attune"}},
		{map[string]any{"iss": strings.Repeat("x", 5000)}, []string{"another issuer"}},
	} {
		log.Reset()
		token := issuer.Token(t, audience, tt.claims)
		_, err := verifier.Verify(t.Context(), token)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
		for _, want := range append(tt.want, "a JSON web token was refused", "wants_issuer="+issuer.URL) {
			require.Contains(t, log.String(), want)
		}
		require.NotContains(t, log.String(), "0001-01-01")
		require.NotContains(t, log.String(), strings.Split(token, ".")[2], "the log never has the token")
		require.Less(t, log.Len(), 2000)
	}
	log.Reset()
	_, err := verifier.Verify(t.Context(), issuer.Token(t, audience, nil))
	require.NoError(t, err)
	require.Empty(t, log.String())
}

func TestIssuer_SaysWhatIsWrongWithTheIssuer(t *testing.T) {
	t.Parallel()
	signer := issuertest.Start(t)
	check := func(url string, want ...string) {
		t.Helper()
		verifier := oidc.New(oidc.Config{Issuer: url, Audience: audience})
		_, err := verifier.Verify(t.Context(), signer.Token(t, audience, map[string]any{"iss": url}))
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		for _, text := range append(want, "the tokens of the issuer "+url+" cannot be verified: it ") {
			require.ErrorContains(t, err, text)
		}
	}
	answer := func(status int, body string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server
	}
	gone := answer(http.StatusOK, "")
	gone.Close()
	check(gone.URL, "does not answer")
	check(answer(http.StatusNotFound, "").URL, "answers, but", "404", "set oidc.issuer")
	check(answer(http.StatusBadGateway, "").URL, "answers, but with the status 502")
	check(answer(http.StatusOK, "<html>").URL, "answers, but its discovery document cannot be read")
	check(answer(http.StatusOK, `{"issuer": "https://other.example/realm"}`).URL, `names the issuer "https://other.example/realm": set oidc.issuer`)
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	check(untrusted.URL, "answers, but its certificate is not trusted", "SSL_CERT_FILE")
}
