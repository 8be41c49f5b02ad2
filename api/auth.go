package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/attune-go/attune"
)

// apiPrefix is what needs the token, whether or not there is a route below it.
const apiPrefix = "/api/v1/"

// authenticate lets a request pass that carries the token or goes to an open route.
//
// It decides by the route that the request will reach, not by its path: a path can be written in many ways.
func (s *Server) authenticate(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.config.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := exchangeOf(r.Context()).pattern
		open := s.router.open[pattern] || pattern == "" && !strings.HasPrefix(r.URL.Path, apiPrefix)
		if open {
			next.ServeHTTP(w, r)
			return
		}
		given, found := bearerToken(r.Header.Get("Authorization"))
		switch {
		case !found:
			unauthorized("this needs the API token: send the header Authorization: Bearer <token>").ServeHTTP(w, r)
		case !sameToken(given, want):
			unauthorized("the API token is wrong").with("WWW-Authenticate", challenge+`, error="invalid_token"`).ServeHTTP(w, r)
		default:
			admin := attune.Principal{Name: "admin", Method: attune.AuthToken}
			next.ServeHTTP(w, r.WithContext(withPrincipal(r.Context(), admin)))
		}
	})
}

const challenge = `Bearer realm="attune"`

func unauthorized(detail string) *Problem {
	return newProblem(http.StatusUnauthorized, string(attune.CodeUnauthorized), detail).with("WWW-Authenticate", challenge)
}

// bearerToken returns what follows "Bearer" in an Authorization header.
func bearerToken(header string) (string, bool) {
	scheme, credentials, found := strings.Cut(header, " ")
	credentials = strings.TrimSpace(credentials)
	return credentials, found && strings.EqualFold(scheme, "Bearer") && credentials != ""
}

// sameToken compares digests: they have one length, so the time says nothing about the length of the token either.
func sameToken(given string, want [sha256.Size]byte) bool {
	got := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// signedWith reports whether signature ("sha256=<hex>") is the HMAC-SHA256 of body under secret.
func signedWith(secret string, body []byte, signature string) bool {
	digits, prefixed := strings.CutPrefix(signature, "sha256=")
	given, err := hex.DecodeString(digits)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(given, mac.Sum(nil)) && prefixed && err == nil
}

// sameOrigin refuses what a browser sends on behalf of another site. The token already keeps such requests out; this
// keeps them out of a browser that holds the token for the dashboard.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern(webhookPattern) // signed, and sent by servers
	protection.SetDenyHandler(newProblem(http.StatusForbidden, CodeForbidden,
		"the request was sent by a browser on behalf of another site"))
	return protection.Handler(next)
}
