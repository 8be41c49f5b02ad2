package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

var root = attune.Principal{Name: "root", Method: attune.AuthOIDC}

// createToken creates a token that does not expire, and returns it with its secret.
func (b *bundle) createToken(t *testing.T, name string) (auth.Token, auth.Secret) {
	t.Helper()
	_, secret := auth.NewToken()
	token, err := b.tokens.Create(t.Context(), auth.TokenRequest{Name: name, Role: auth.RoleViewer}, secret, root)
	require.NoError(t, err)
	return token, secret
}

// rotateToken rotates the token ci.
func (b *bundle) rotateToken(t *testing.T, keepOld, life time.Duration) (auth.Token, auth.Secret) {
	t.Helper()
	_, secret := auth.NewToken()
	token, err := b.tokens.Rotate(t.Context(), "ci", secret, keepOld, life)
	require.NoError(t, err)
	return token, secret
}

func (b *bundle) findSecret(t *testing.T, secret auth.Secret) auth.StoredSecret {
	t.Helper()
	stored, err := b.tokens.FindSecret(t.Context(), secret.Prefix)
	require.NoError(t, err)
	require.True(t, stored.Is(secret))
	return stored
}

func TestTokens_Create(t *testing.T) {
	t.Parallel()

	t.Run("a token is stored with what it may do and who made it, and without its secret", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		text, secret := auth.NewToken()
		request := auth.TokenRequest{Name: "hook", Role: auth.RoleEvent, Triggers: []attune.Ref{pushed, "demo.tagged"}, Life: time.Hour}
		created, err := b.tokens.Create(t.Context(), request, secret, root)
		require.NoError(t, err)
		require.Equal(t, "hook", created.Name)
		require.Equal(t, auth.RoleEvent, created.Role)
		require.Equal(t, request.Triggers, created.Triggers)
		require.Equal(t, root, created.CreatedBy)
		require.WithinDuration(t, created.CreatedAt.Add(time.Hour), *created.ExpiresAt, time.Minute)
		require.Nil(t, created.LastUsedAt)
		require.Nil(t, created.RevokedAt)
		require.Nil(t, created.RevokedBy)
		require.Len(t, created.Secrets, 1)
		require.Equal(t, secret.Prefix, created.Secrets[0].Prefix)
		require.Nil(t, created.Secrets[0].ValidUntil)

		stored := b.findSecret(t, secret)
		require.Nil(t, stored.ValidUntil)
		created.Secrets = nil
		require.Equal(t, created, stored.Token)
		require.Zero(t, b.count(t, `SELECT count(*) FROM tokens t, token_secrets s WHERE (t::text || s::text) LIKE '%`+text[13:]+`%'`))
	})

	t.Run("a token without an expiry has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		created, _ := b.createToken(t, "ci")
		require.Nil(t, created.ExpiresAt)
		require.Nil(t, created.Triggers)
	})

	t.Run("a name belongs to one token at a time", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		errs := make([]error, 12)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				_, secret := auth.NewToken()
				_, errs[i] = b.tokens.Create(t.Context(), auth.TokenRequest{Name: "ci", Role: auth.RoleViewer}, secret, root)
			})
		}
		group.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			requireCode(t, attune.CodeConflict, err, "a token with this name exists")
		}
		require.Equal(t, 1, made)
		require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM token_secrets`))

		_, err := b.tokens.Revoke(t.Context(), "ci", root)
		require.NoError(t, err)
		b.createToken(t, "ci")
	})

	t.Run("an invalid request and a taken prefix are refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, secret := b.createToken(t, "ci")
		_, err := b.tokens.Create(t.Context(), auth.TokenRequest{Name: "two", Role: auth.RoleViewer}, secret, root)
		requireCode(t, attune.CodeUnavailable, err, "the same prefix by chance")
		_, err = b.tokens.Create(t.Context(), auth.TokenRequest{Name: "two", Role: "root"}, secret, root)
		requireCode(t, attune.CodeInvalid, err, "is not a role")
		require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM tokens`))
	})
}

func TestTokens_Rotate(t *testing.T) {
	t.Parallel()

	t.Run("the earlier secrets end after the overlap, and never later than before", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, first := b.createToken(t, "ci")
		rotated, second := b.rotateToken(t, time.Hour, 0)
		require.Len(t, rotated.Secrets, 2)
		require.Equal(t, second.Prefix, rotated.Secrets[0].Prefix)
		require.Nil(t, rotated.Secrets[0].ValidUntil)
		require.WithinDuration(t, time.Now().Add(time.Hour), *b.findSecret(t, first).ValidUntil, time.Minute)

		b.rotateToken(t, 2*time.Hour, 0)
		require.WithinDuration(t, time.Now().Add(time.Hour), *b.findSecret(t, first).ValidUntil, time.Minute)
		require.WithinDuration(t, time.Now().Add(2*time.Hour), *b.findSecret(t, second).ValidUntil, time.Minute)

		rotated, last := b.rotateToken(t, 0, 0)
		require.Len(t, rotated.Secrets, 1, "only valid secrets are listed")
		require.Equal(t, last.Prefix, rotated.Secrets[0].Prefix)
		require.WithinDuration(t, time.Now(), *b.findSecret(t, first).ValidUntil, time.Minute)
	})

	t.Run("the expiry stays, or counts from now", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.createToken(t, "ci")
		rotated, _ := b.rotateToken(t, 0, 0)
		require.Nil(t, rotated.ExpiresAt)
		extended, _ := b.rotateToken(t, 0, time.Hour)
		require.WithinDuration(t, time.Now().Add(time.Hour), *extended.ExpiresAt, time.Minute)
		again, _ := b.rotateToken(t, 0, 0)
		require.Equal(t, extended.ExpiresAt, again.ExpiresAt)
	})

	t.Run("an expired token needs a new expiry", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.createToken(t, "ci")
		b.exec(t, `UPDATE tokens SET expires_at = clock_timestamp() - interval '1 second'`)
		_, secret := auth.NewToken()
		_, err := b.tokens.Rotate(t.Context(), "ci", secret, 0, 0)
		requireCode(t, attune.CodeConflict, err, `"ci" has expired`)
		rotated, _ := b.rotateToken(t, time.Hour, time.Hour)
		require.True(t, rotated.ExpiresAt.After(time.Now()))
		require.Len(t, rotated.Secrets, 1, "the secret of before stays expired, whatever the overlap")
	})

	t.Run("a revoked or unknown token has no other secret", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.createToken(t, "ci")
		_, err := b.tokens.Revoke(t.Context(), "ci", root)
		require.NoError(t, err)
		for _, name := range []string{"ci", "unknown"} {
			_, secret := auth.NewToken()
			_, err = b.tokens.Rotate(t.Context(), name, secret, 0, 0)
			requireCode(t, attune.CodeNotFound, err, `there is no token "`)
			_, err = b.tokens.FindSecret(t.Context(), secret.Prefix)
			requireCode(t, attune.CodeNotFound, err, "no token with this prefix")
		}
	})
}

func TestTokens_Revoke(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, secret := b.createToken(t, "ci")
	_, later := b.rotateToken(t, time.Hour, 0)
	revoked, err := b.tokens.Revoke(t.Context(), "ci", root)
	require.NoError(t, err)
	require.Equal(t, &root, revoked.RevokedBy)
	require.Empty(t, revoked.Secrets)
	for _, s := range []auth.Secret{secret, later} {
		require.Equal(t, revoked.RevokedAt, b.findSecret(t, s).Token.RevokedAt)
	}
	_, err = b.tokens.Revoke(t.Context(), "ci", root)
	requireCode(t, attune.CodeNotFound, err, `there is no token "ci"`)
}

func TestTokens_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	names := func(revoked bool, page attune.Page) (names []string) {
		tokens, err := b.tokens.List(t.Context(), revoked, page)
		require.NoError(t, err)
		for _, token := range tokens {
			names = append(names, token.Name)
		}
		return names
	}
	require.Empty(t, names(true, attune.Page{}))
	one, _ := b.createToken(t, "one")
	b.createToken(t, "two")
	three, _ := b.createToken(t, "three")
	_, err := b.tokens.Revoke(t.Context(), "two", root)
	require.NoError(t, err)
	require.Equal(t, []string{"three", "one"}, names(false, attune.Page{}))
	require.Equal(t, []string{"three", "two", "one"}, names(true, attune.Page{}))
	require.Equal(t, []string{"two"}, names(true, attune.Page{Before: int64(three.ID), Limit: 1}))
	tokens, err := b.tokens.List(t.Context(), false, attune.Page{Before: int64(three.ID)})
	require.NoError(t, err)
	require.Equal(t, []auth.Token{one}, tokens)
}

func TestTokens_RecordUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token, secret := b.createToken(t, "ci")
	require.NoError(t, b.tokens.RecordUse(t.Context(), token.ID))
	first := b.findSecret(t, secret).Token.LastUsedAt
	require.WithinDuration(t, time.Now(), *first, time.Minute)
	require.NoError(t, errors.Join(b.tokens.RecordUse(t.Context(), token.ID), b.tokens.RecordUse(t.Context(), token.ID+1)))
	require.Equal(t, first, b.findSecret(t, secret).Token.LastUsedAt, "once a minute is enough")
	b.exec(t, `UPDATE tokens SET last_used_at = last_used_at - interval '61 seconds'`)
	require.NoError(t, b.tokens.RecordUse(t.Context(), token.ID))
	require.False(t, b.findSecret(t, secret).Token.LastUsedAt.Before(*first))
}
