package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/attune-go/attune"
)

// apiPrefix is what needs the token, whether or not there is a route below it.
const apiPrefix = "/api/v1/"

// authenticate lets a request pass that carries a token or goes to an open route. The principal that the token belongs to
// goes along in the request's context: see principalOf.
//
// It decides by the route that the request will reach, not by its path: a path can be written in many ways.
func (s *Server) authenticate(next http.Handler) http.Handler {
	known := s.credentials()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := exchangeOf(r.Context()).pattern
		open := s.router.open[pattern] || pattern == "" && !strings.HasPrefix(r.URL.Path, apiPrefix)
		if open {
			next.ServeHTTP(w, r)
			return
		}
		given, found := bearerToken(r.Header.Get("Authorization"))
		if !found {
			unauthorized("this needs the API token: send the header Authorization: Bearer <token>").ServeHTTP(w, r)
			return
		}
		principal, right := bearerOf(known, given)
		if !right {
			unauthorized("the API token is wrong").with("WWW-Authenticate", challenge+`, error="invalid_token"`).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(withPrincipal(r.Context(), principal)))
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

// credential is a token that the API knows, and the principal that it belongs to.
type credential struct {
	digest    [sha256.Size]byte // of the token
	principal attune.Principal
}

// credentials are the tokens that the API knows. There is one, and its principal is the administrator.
func (s *Server) credentials() []credential {
	admin := attune.Principal{Name: "admin", Method: attune.AuthToken}
	return []credential{{sha256.Sum256([]byte(s.config.Token)), admin}}
}

// bearerOf returns the principal that a token belongs to. It compares digests, all of them: they have one length, so the time
// says nothing about the length of a token, nor about which one it is.
func bearerOf(known []credential, token string) (bearer attune.Principal, right bool) {
	given := sha256.Sum256([]byte(token))
	for _, c := range known {
		if subtle.ConstantTimeCompare(given[:], c.digest[:]) == 1 {
			bearer, right = c.principal, true
		}
	}
	return bearer, right
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
