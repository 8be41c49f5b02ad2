package auth

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/attune-go/attune"
)

// CacheAge bounds how long a process may use what it has read about a token. A revocation, a rotation and an expiry that was moved
// are in force in every process after this time.
const CacheAge = 5 * time.Second

// usePeriod is how often a process records at most that a token was used.
const usePeriod = time.Minute

// Store finds tokens.
type Store interface {
	// FindSecret returns the secret with a prefix, and its token. Without one, the error is [attune.CodeNotFound].
	FindSecret(ctx context.Context, prefix string) (StoredSecret, error)
	// RecordUse records that a token was used at this moment.
	RecordUse(ctx context.Context, id TokenID) error
}

// StoredSecret is a secret of a token as the database has it.
type StoredSecret struct {
	Secret

	ValidUntil *time.Time // set by a rotation
	Token      Token      // without Secrets
}

// caller returns the owner of the secret, or an [attune.CodeUnauthorized] error when the secret is no longer valid. The caller has
// proved that it has the secret, so the error may say why.
func (s StoredSecret) caller(now time.Time) (Caller, error) {
	token := s.Token
	switch {
	case token.RevokedAt != nil:
		return Caller{}, attune.Errorf(attune.CodeUnauthorized, "the token %s was revoked at %s",
			token.Name, attune.FormatTime(*token.RevokedAt))
	case token.ExpiresAt != nil && !now.Before(*token.ExpiresAt):
		return Caller{}, attune.Errorf(attune.CodeUnauthorized, "the token %s expired at %s",
			token.Name, attune.FormatTime(*token.ExpiresAt))
	case s.ValidUntil != nil && !now.Before(*s.ValidUntil):
		return Caller{}, attune.Errorf(attune.CodeUnauthorized, "the token %s was rotated: use its new secret", token.Name)
	}
	return Caller{
		Principal: attune.Principal{Name: token.Name, Method: attune.AuthToken},
		Role:      token.Role, Token: s.Prefix, Triggers: token.Triggers,
	}, nil
}

// tokens asks a store, and remembers its answers for [CacheAge]. It remembers only secrets that exist: callers cannot fill it.
type tokens struct {
	store  Store
	now    func() time.Time
	logger *slog.Logger

	mu    sync.Mutex
	known map[string]answer // by prefix
}

type answer struct {
	StoredSecret

	readAt time.Time
	usedAt time.Time // the latest use that is recorded
}

// authenticate returns the caller of a token.
func (t *tokens) authenticate(ctx context.Context, given Secret) (Caller, error) {
	stored, err := t.find(ctx, given.Prefix)
	switch {
	case attune.CodeOf(err) == attune.CodeNotFound && err != nil, err == nil && !stored.Is(given):
		return Caller{}, wrongToken()
	case err != nil:
		return Caller{}, err
	}
	caller, err := stored.caller(t.now())
	if err == nil {
		t.use(ctx, stored)
	}
	return caller, err
}

func (t *tokens) find(ctx context.Context, prefix string) (StoredSecret, error) {
	now := t.now()
	t.mu.Lock()
	found, known := t.known[prefix]
	t.mu.Unlock()
	if known && now.Sub(found.readAt) < CacheAge {
		return found.StoredSecret, nil
	}
	stored, err := t.store.FindSecret(ctx, prefix)
	if err != nil {
		return StoredSecret{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.known, func(_ string, old answer) bool { return now.Sub(old.readAt) >= usePeriod })
	next := answer{StoredSecret: stored, readAt: now, usedAt: t.known[prefix].usedAt}
	if last := stored.Token.LastUsedAt; last != nil && last.After(next.usedAt) {
		next.usedAt = *last
	}
	t.known[prefix] = next
	return stored, nil
}

// use records the use of a token, unless this was done in the last minute. A request does not fail because of it.
func (t *tokens) use(ctx context.Context, stored StoredSecret) {
	now := t.now()
	t.mu.Lock()
	entry, known := t.known[stored.Prefix]
	due := known && now.Sub(entry.usedAt) >= usePeriod
	if due {
		entry.usedAt = now
		t.known[stored.Prefix] = entry
	}
	t.mu.Unlock()
	if !due {
		return
	}
	if err := t.store.RecordUse(ctx, stored.Token.ID); err != nil {
		t.logger.WarnContext(ctx, "the use of a token was not recorded", "token", stored.Token.Name, "err", err)
	}
}
