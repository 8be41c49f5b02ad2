package postgres_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/secrets"
)

// keyring returns a ring with a new key in front of older ones, and the text of the new key.
func keyring(t *testing.T, older ...string) (*secrets.Keyring, string) {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	text := hex.EncodeToString(raw)
	all := text
	for _, key := range older {
		all += "\n" + key
	}
	ring, err := secrets.ParseKeyring(all)
	require.NoError(t, err)
	return ring, text
}

// sam is the author of changes of secrets.
var sam = attune.Author{Principal: attune.Principal{Name: "sam", Method: attune.AuthToken}, Note: "why"}

func TestSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := postgres.NewSecrets(b.db)
	ring, oldKey := keyring(t)
	vault := secrets.NewVault(ring, store, store)
	set := func(name, value string, packs ...string) attune.Secret {
		secret, err := vault.Set(t.Context(), secrets.Change{Name: name, Value: &value, Packs: &packs, Author: sam})
		require.NoError(t, err)
		return secret
	}

	first := set("TOKEN", "hunter2", "demo")
	require.Equal(t, int64(1), first.Revision)
	require.Equal(t, sam, first.Author)
	require.Equal(t, ring.First(), first.Key)
	require.False(t, first.At.IsZero())
	second := set("OTHER", "correct horse")
	require.Greater(t, second.ID, first.ID)
	require.Empty(t, second.Packs)
	changed := set("TOKEN", "hunter3", "demo", "core")
	require.Equal(t, first.ID, changed.ID)
	require.Equal(t, int64(2), changed.Revision)
	require.Equal(t, []string{"core", "demo"}, changed.Packs)

	page, err := vault.List(t.Context(), attune.Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []attune.Secret{second}, page)
	page, err = vault.List(t.Context(), attune.Page{Limit: 1, Before: second.ID})
	require.NoError(t, err)
	require.Equal(t, []attune.Secret{changed}, page)

	stored, err := store.Secret(t.Context(), "TOKEN")
	require.NoError(t, err)
	_, err = store.PutSecret(t.Context(), attune.EncryptedSecret{
		Secret: attune.Secret{Name: "TOKEN", Revision: 1, Author: sam}, Encrypted: stored.Encrypted,
	})
	require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "the revision has changed")
	_, err = store.PutSecret(t.Context(), attune.EncryptedSecret{Secret: attune.Secret{Name: "TOKEN", Author: sam}, Encrypted: stored.Encrypted})
	require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "the secret exists")

	named, err := store.SecretsNamed(t.Context(), []string{"TOKEN", "NOPE", "OTHER"})
	require.NoError(t, err)
	require.Len(t, named, 2)
	require.Equal(t, "OTHER", named[0].Name)

	newRing, _ := keyring(t, oldKey)
	rotating, moved := secrets.NewVault(newRing, store, store), 0
	for from := "secrets:0"; from != ""; {
		done, err := rotating.Rotate(t.Context(), from)
		require.NoError(t, err)
		require.Zero(t, done.Failed, done.Error)
		moved, from = moved+done.Moved, done.Next
	}
	require.Equal(t, 2, moved)
	stored, err = store.Secret(t.Context(), "TOKEN")
	require.NoError(t, err)
	require.Equal(t, newRing.First(), stored.Key)
	require.Equal(t, changed.Revision, stored.Revision, "another key is no other value")

	require.NoError(t, vault.Remove(t.Context(), "TOKEN"))
	_, err = store.Secret(t.Context(), "TOKEN")
	require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
	require.Equal(t, attune.CodeNotFound, attune.CodeOf(vault.Remove(t.Context(), "TOKEN")))
	_, err = store.EncryptedRows(t.Context(), "users", 0, 1)
	require.Error(t, err)
}
