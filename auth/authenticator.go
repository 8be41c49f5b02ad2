package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Bootstrap is the name of the principal of the bootstrap token. No other token can have this name.
const Bootstrap = "bootstrap"

// Issuer verifies JSON web tokens.
type Issuer interface {
	// Verify returns the caller of a token. Its errors are those of [Authenticator.Authenticate].
	Verify(ctx context.Context, token string) (Caller, error)
}

// Sources are what an [Authenticator] asks. Every field is required unless its comment calls it optional.
type Sources struct {
	// Bootstrap returns the bootstrap token at this moment, or "" when there is none. Its caller is an administrator.
	Bootstrap func() string
	Tokens    Store
	Issuer    Issuer // optional
	Logger    *slog.Logger
}

// Authenticator finds the callers of bearer tokens. It is safe for concurrent use.
type Authenticator struct {
	bootstrap func() string
	tokens    *tokens
	issuer    Issuer
}

// NewAuthenticator returns an authenticator.
func NewAuthenticator(sources Sources) *Authenticator {
	return &Authenticator{
		bootstrap: sources.Bootstrap, issuer: sources.Issuer,
		tokens: &tokens{store: sources.Tokens, now: time.Now, logger: sources.Logger, known: map[string]answer{}},
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
	if a.issuer != nil && strings.Count(token, ".") == 2 { // the form of a signed JSON web token
		return a.issuer.Verify(ctx, token)
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
