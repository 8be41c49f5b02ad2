package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/attune-go/attune"
)

// apiPrefix begins every path that needs the token, also a path without a route.
const apiPrefix = "/api/v1/"

// authenticate lets a request pass if it has a valid token or its route is open. It stores the token's principal in the
// context of the request: see principalOf.
//
// It decides by the matched route, not by the path: the same path can be written in many ways.
func (s *Server) authenticate(next http.Handler) http.Handler {
	credentials := s.credentials()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := requestInfoOf(r.Context()).pattern
		open := s.router.open[pattern] || pattern == "" && !belowAPI(r.URL.Path)
		if open {
			next.ServeHTTP(w, r)
			return
		}
		token, found := bearerToken(r.Header.Get("Authorization"))
		if !found {
			unauthorized("the request needs the API token: send the header Authorization: Bearer <token>").ServeHTTP(w, r)
			return
		}
		principal, valid := principalOfToken(credentials, token)
		if !valid {
			unauthorized("the API token is wrong").with("WWW-Authenticate", challenge+`, error="invalid_token"`).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(withPrincipal(r.Context(), principal)))
	})
}

// belowAPI reports whether a path, or the clean path with the same meaning, is below apiPrefix.
func belowAPI(path string) bool {
	return strings.HasPrefix(path, apiPrefix) || strings.HasPrefix(cleaned(path), apiPrefix)
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

// credential is a token of the API with its principal.
type credential struct {
	digest    [sha256.Size]byte // SHA-256 of the token
	principal attune.Principal
}

// credentials returns the tokens of the API. There is one; its principal is the administrator.
func (s *Server) credentials() []credential {
	admin := attune.Principal{Name: "admin", Method: attune.AuthToken}
	return []credential{{sha256.Sum256([]byte(s.config.Token)), admin}}
}

// principalOfToken returns the principal of a token. It compares the token's digest with every credential, so its duration
// reveals neither the length of a valid token nor which credential matched.
func principalOfToken(credentials []credential, token string) (principal attune.Principal, valid bool) {
	digest := sha256.Sum256([]byte(token))
	for _, c := range credentials {
		if subtle.ConstantTimeCompare(digest[:], c.digest[:]) == 1 {
			principal, valid = c.principal, true
		}
	}
	return principal, valid
}

// sameOrigin refuses requests that a browser sends on behalf of another site. The token check does not catch them when the
// browser itself adds the token.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern(webhookPattern) // signed, and sent by servers
	protection.SetDenyHandler(newProblem(http.StatusForbidden, CodeForbidden,
		"the request was sent by a browser on behalf of another site"))
	return protection.Handler(next)
}
