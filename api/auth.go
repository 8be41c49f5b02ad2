package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Authenticator finds the caller of a bearer token. A token that is wrong, expired or revoked is an [attune.CodeUnauthorized]
// error. A token that cannot be checked now is an [attune.CodeUnavailable] error.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (auth.Caller, error)
}

// apiPrefix begins every path that needs a token, also a path without a route.
const apiPrefix = "/api/v1/"

// authorize lets a request pass if its route is public, or if its caller has the right that the route asks for. It stores the
// caller in the context of the request: see callerOf. A request for a change goes to the audit log: see auditedRequest.
//
// It decides by the matched route, not by the path: the same path can be written in many ways.
func (s *Server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := requestInfoOf(r.Context()).pattern
		access := s.router.access[pattern]
		if access.public || pattern == "" && !belowAPI(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		caller, err := s.authenticate(r)
		if err == nil {
			err = s.limited(r, LimitedToken, s.rates.callers.take(rateKey(caller)), caller.Principal.Name+" sends too many requests")
		}
		if err == nil && pattern != "" && !caller.May(access.right) {
			err = lacks(caller, access.right)
		}
		if err != nil {
			problem := s.problem(r.Context(), err)
			s.recordDenial(r, access, caller, problem.Status)
			problem.ServeHTTP(w, r)
			return
		}
		s.serveAudited(next, w, r.WithContext(withCaller(r.Context(), caller)), newAuditedRequest(r, access, caller))
	})
}

// authenticate returns the caller of a request.
func (s *Server) authenticate(r *http.Request) (auth.Caller, error) {
	token, found := bearerToken(r.Header.Get("Authorization"))
	if !found {
		return auth.Caller{}, unauthorized("the request needs a token: send the header Authorization: Bearer <token>")
	}
	var caller auth.Caller
	err := s.attempt(r, s.rates.proven.has(token), attune.CodeUnauthorized, func(ctx context.Context) (err error) {
		caller, err = s.deps.Callers.Authenticate(ctx, token)
		return err
	})
	switch {
	case err == nil:
		s.rates.proven.add(token)
	case attune.CodeOf(err) == attune.CodeUnauthorized:
		s.rates.proven.remove(token)
		return auth.Caller{}, s.problem(r.Context(), err).with("WWW-Authenticate", challenge+`, error="invalid_token"`)
	}
	return caller, err
}

// belowAPI reports whether a path, or the clean path with the same meaning, is below apiPrefix.
func belowAPI(path string) bool {
	return strings.HasPrefix(path, apiPrefix) || strings.HasPrefix(cleaned(path), apiPrefix)
}

const challenge = `Bearer realm="attune"`

func unauthorized(detail string) *Problem {
	return newProblem(http.StatusUnauthorized, string(attune.CodeUnauthorized), detail).with("WWW-Authenticate", challenge)
}

func forbidden(format string, args ...any) *Problem {
	return newProblem(http.StatusForbidden, CodeForbidden, fmt.Sprintf(format, args...))
}

// lacks returns the problem of a caller without a right. It names the roles that have the right.
func lacks(caller auth.Caller, right auth.Right) *Problem {
	has := "the role " + string(caller.Role)
	if caller.Role == "" {
		has = "no role"
	}
	return forbidden("%s has %s: this request needs the role %s", caller.Principal.Name, has, right.Needs())
}

// bearerToken returns what follows "Bearer" in an Authorization header.
func bearerToken(header string) (string, bool) {
	scheme, credentials, found := strings.Cut(header, " ")
	credentials = strings.TrimSpace(credentials)
	return credentials, found && strings.EqualFold(scheme, "Bearer") && credentials != ""
}
