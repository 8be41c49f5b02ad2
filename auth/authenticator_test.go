package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// fakeStore holds secrets by prefix, and counts the questions.
type fakeStore struct {
	mu      sync.Mutex
	secrets map[string]auth.StoredSecret
	fail    error
	finds   int
	uses    []auth.TokenID
}

func (f *fakeStore) FindSecret(_ context.Context, prefix string) (auth.StoredSecret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finds++
	if f.fail != nil {
		return auth.StoredSecret{}, f.fail
	}
	found, ok := f.secrets[prefix]
	if !ok {
		return found, attune.Errorf(attune.CodeNotFound, "there is no token with this prefix")
	}
	return found, nil
}

func (f *fakeStore) RecordUse(_ context.Context, id auth.TokenID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses = append(f.uses, id)
	return f.fail
}

func (f *fakeStore) change(prefix string, change func(*auth.StoredSecret)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stored := f.secrets[prefix]
	change(&stored)
	f.secrets[prefix] = stored
}

// world is an authenticator with one token in its store.
type world struct {
	*auth.Authenticator

	store     *fakeStore
	bootstrap string
	log       *bytes.Buffer
	token     string // of the caller ci
	prefix    string
}

func setup() *world {
	text, secret := auth.NewToken()
	w := &world{
		bootstrap: "0123456789abcdef", log: &bytes.Buffer{}, token: text, prefix: secret.Prefix,
		store: &fakeStore{secrets: map[string]auth.StoredSecret{secret.Prefix: {
			Secret: secret, Token: auth.Token{ID: 7, Name: "ci", Role: auth.RoleEvent, Triggers: []attune.Ref{"github.push"}},
		}}},
	}
	w.Authenticator = auth.NewAuthenticator(auth.Sources{
		Bootstrap: func() string { return w.bootstrap }, Tokens: w.store, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	return w
}

// refused checks that a token is refused, and returns the message.
func (w *world) refused(t *testing.T, token string) string {
	t.Helper()
	caller, err := w.Authenticate(t.Context(), token)
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
	require.Equal(t, auth.Caller{}, caller)
	return err.Error()
}

func (w *world) accepted(t *testing.T, token string) {
	t.Helper()
	_, err := w.Authenticate(t.Context(), token)
	require.NoError(t, err)
}

func TestAuthenticator_Bootstrap(t *testing.T) {
	t.Parallel()
	w := setup()
	caller, err := w.Authenticate(t.Context(), w.bootstrap)
	require.NoError(t, err)
	require.Equal(t, auth.Caller{Principal: attune.Principal{Name: "bootstrap", Method: attune.AuthToken}, Role: auth.RoleAdmin}, caller)
	for _, wrong := range []string{"", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"} {
		require.Equal(t, "the API token is wrong", w.refused(t, wrong))
	}

	before := w.bootstrap
	w.bootstrap = "fedcba9876543210"
	w.refused(t, before)
	w.accepted(t, w.bootstrap)
	w.bootstrap = ""
	w.refused(t, "")
	require.Zero(t, w.store.finds, "the database is not asked for a text that is no token")
}

func TestAuthenticator_Token(t *testing.T) {
	t.Parallel()

	t.Run("the caller is the owner of the token", func(t *testing.T) {
		t.Parallel()
		w := setup()
		caller, err := w.Authenticate(t.Context(), w.token)
		require.NoError(t, err)
		require.Equal(t, auth.Caller{
			Principal: attune.Principal{Name: "ci", Method: attune.AuthToken}, Role: auth.RoleEvent, Token: w.prefix,
			Triggers: []attune.Ref{"github.push"},
		}, caller)
	})

	t.Run("a token with the prefix of another is refused", func(t *testing.T) {
		t.Parallel()
		w := setup()
		_, other := auth.NewToken()
		w.store.change(w.prefix, func(s *auth.StoredSecret) { s.Digest = other.Digest })
		require.Equal(t, "the API token is wrong", w.refused(t, w.token), "nothing is said about the other token")
		require.Empty(t, w.store.uses)
	})

	t.Run("a token that is revoked, expired or replaced is refused with the reason", func(t *testing.T) {
		t.Parallel()
		past, future := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), time.Now().Add(time.Hour)
		for want, change := range map[string]func(*auth.StoredSecret){
			"the token ci was revoked at 2020-01-02T03:04:05Z": func(s *auth.StoredSecret) { s.Token.RevokedAt = &past },
			"the token ci expired at 2020-01-02T03:04:05Z":     func(s *auth.StoredSecret) { s.Token.ExpiresAt = &past },
			"the token ci was rotated: use its new secret":     func(s *auth.StoredSecret) { s.ValidUntil = &past },
		} {
			w := setup()
			w.store.change(w.prefix, change)
			require.Equal(t, want, w.refused(t, w.token))
			require.Empty(t, w.store.uses)
		}
		w := setup()
		w.store.change(w.prefix, func(s *auth.StoredSecret) { s.Token.ExpiresAt, s.ValidUntil = &future, &future })
		w.accepted(t, w.token)
	})

	t.Run("a database that does not answer is not a wrong token", func(t *testing.T) {
		t.Parallel()
		w := setup()
		w.store.fail = attune.Errorf(attune.CodeUnavailable, "the database does not answer")
		_, err := w.Authenticate(t.Context(), w.token)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		w.accepted(t, w.bootstrap)
	})
}

func TestAuthenticator_Cache(t *testing.T) {
	t.Parallel()

	t.Run("a change in the database is in force after a few seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup()
			w.accepted(t, w.token)
			w.store.change(w.prefix, func(s *auth.StoredSecret) { s.Token.RevokedAt = new(time.Now()) })
			<-time.After(auth.CacheAge - time.Nanosecond)
			w.accepted(t, w.token)
			require.Equal(t, 1, w.store.finds)
			<-time.After(time.Nanosecond)
			w.refused(t, w.token)
			require.Equal(t, 2, w.store.finds)
		})
	})

	t.Run("an expiry is in force at its moment", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup()
			w.store.change(w.prefix, func(s *auth.StoredSecret) { s.Token.ExpiresAt = new(time.Now().Add(time.Second)) })
			w.accepted(t, w.token)
			<-time.After(time.Second)
			require.Contains(t, w.refused(t, w.token), "expired")
			require.Equal(t, 1, w.store.finds)
		})
	})

	t.Run("a use is recorded once a minute", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup()
			for range 130 {
				w.accepted(t, w.token)
				<-time.After(time.Second)
			}
			require.Equal(t, []auth.TokenID{7, 7, 7}, w.store.uses)
		})
	})

	t.Run("a use that another process has recorded is not recorded again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup()
			w.store.change(w.prefix, func(s *auth.StoredSecret) { s.Token.LastUsedAt = new(time.Now()) })
			w.accepted(t, w.token)
			require.Empty(t, w.store.uses)
		})
	})

	t.Run("a use that cannot be recorded is logged, and the request goes on", func(t *testing.T) {
		t.Parallel()
		w := setup()
		store := &failingUse{w.store}
		a := auth.NewAuthenticator(auth.Sources{
			Bootstrap: func() string { return "" }, Tokens: store, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
		})
		_, err := a.Authenticate(t.Context(), w.token)
		require.NoError(t, err)
		require.Contains(t, w.log.String(), "the use of a token was not recorded")
		require.NotContains(t, w.log.String(), w.token)
	})

	t.Run("unknown tokens are not remembered", func(t *testing.T) {
		t.Parallel()
		w := setup()
		for range 10 {
			text, _ := auth.NewToken()
			w.refused(t, text)
			w.refused(t, text)
		}
		require.Equal(t, 20, w.store.finds)
	})

	t.Run("many callers share one authenticator", func(t *testing.T) {
		t.Parallel()
		w := setup()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { _, _ = w.Authenticate(t.Context(), w.token) })
		}
		group.Wait()
		require.Len(t, w.store.uses, 1)
	})
}

// failingUse finds secrets and records no use.
type failingUse struct{ *fakeStore }

func (failingUse) RecordUse(context.Context, auth.TokenID) error { return errors.New("disk full") }

// fakeIssuer accepts one token.
type fakeIssuer struct{ asked []string }

func (f *fakeIssuer) Verify(_ context.Context, token string) (auth.Caller, error) {
	f.asked = append(f.asked, token)
	if token != "head.body.signature" {
		return auth.Caller{}, attune.Errorf(attune.CodeUnavailable, "the issuer does not answer")
	}
	return auth.Caller{Principal: attune.Principal{Name: "ada", Method: attune.AuthOIDC}, Role: auth.RoleViewer}, nil
}

func TestAuthenticator_Issuer(t *testing.T) {
	t.Parallel()
	w := setup()
	require.Equal(t, "the API token is wrong", w.refused(t, "head.body.signature"), "without an issuer")

	issuer := &fakeIssuer{}
	a := auth.NewAuthenticator(auth.Sources{
		Bootstrap: func() string { return "boot.strap.token" }, Tokens: w.store, Issuer: issuer, Logger: slog.New(slog.DiscardHandler),
	})
	caller, err := a.Authenticate(t.Context(), "head.body.signature")
	require.NoError(t, err)
	require.Equal(t, "ada", caller.Principal.Name)
	_, err = a.Authenticate(t.Context(), "other.body.signature")
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	for _, token := range []string{"boot.strap.token", w.token} {
		_, err = a.Authenticate(t.Context(), token)
		require.NoError(t, err)
	}
	for _, other := range []string{"", "a.b", "a.b.c.d", "nodots"} {
		_, err = a.Authenticate(t.Context(), other)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
	}
	require.Equal(t, []string{"head.body.signature", "other.body.signature"}, issuer.asked)
}
