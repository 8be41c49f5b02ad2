package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

// Bootstrap is the name of the principal of the bootstrap token. No other token can have this name.
const Bootstrap = "bootstrap"

// Sources are what an [Authenticator] asks. Every field is required.
type Sources struct {
	// Bootstrap returns the bootstrap token at this moment, or "" when there is none. Its caller is an administrator.
	Bootstrap func() string
	Tokens    Store
	Logger    *slog.Logger
}

// Authenticator finds the callers of bearer tokens. It is safe for concurrent use.
type Authenticator struct {
	bootstrap func() string
	tokens    *tokens
}

// NewAuthenticator returns an authenticator.
func NewAuthenticator(sources Sources) *Authenticator {
	return &Authenticator{
		bootstrap: sources.Bootstrap,
		tokens:    &tokens{store: sources.Tokens, now: time.Now, logger: sources.Logger, known: map[string]answer{}},
	}
}

// Authenticate returns the caller of a bearer token. A token that is wrong, expired or revoked is an [attune.CodeUnauthorized]
// error. A token that cannot be checked now is an [attune.CodeUnavailable] error.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Caller, error) {
	if a.isBootstrap(token) {
		return Caller{Principal: attune.Principal{Name: Bootstrap, Method: attune.AuthToken}, Role: RoleAdmin}, nil
	}
	if secret, ok := ParseToken(token); ok {
		return a.tokens.authenticate(ctx, secret)
	}
	return Caller{}, wrongToken()
}

func wrongToken() error { return attune.Errorf(attune.CodeUnauthorized, "the API token is wrong") }

// isBootstrap compares digests, so its duration reveals nothing about the bootstrap token.
func (a *Authenticator) isBootstrap(token string) bool {
	bootstrap := a.bootstrap()
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(bootstrap))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1 && bootstrap != ""
}
