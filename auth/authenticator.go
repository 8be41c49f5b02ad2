package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/attune-go/attune"
)

// Bootstrap is the name of the principal of the bootstrap token. No other token can have this name.
const Bootstrap = "bootstrap"

// Sources are what an [Authenticator] asks.
type Sources struct {
	// Bootstrap returns the bootstrap token at this moment, or "" when there is none. Its caller is an administrator.
	Bootstrap func() string
}

// Authenticator finds the callers of bearer tokens. It is safe for concurrent use.
type Authenticator struct{ sources Sources }

// NewAuthenticator returns an authenticator.
func NewAuthenticator(sources Sources) *Authenticator { return &Authenticator{sources: sources} }

// Authenticate returns the caller of a bearer token. A token that is wrong is an [attune.CodeUnauthorized] error.
func (a *Authenticator) Authenticate(_ context.Context, token string) (Caller, error) {
	if a.isBootstrap(token) {
		return Caller{Principal: attune.Principal{Name: Bootstrap, Method: attune.AuthToken}, Role: RoleAdmin}, nil
	}
	return Caller{}, attune.Errorf(attune.CodeUnauthorized, "the API token is wrong")
}

// isBootstrap compares digests, so its duration reveals nothing about the bootstrap token.
func (a *Authenticator) isBootstrap(token string) bool {
	bootstrap := a.sources.Bootstrap()
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(bootstrap))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1 && bootstrap != ""
}
