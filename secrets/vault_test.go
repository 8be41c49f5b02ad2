package secrets_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

var sam = attune.Author{Principal: attune.Principal{Name: "sam", Method: attune.AuthToken}}

// memory is a store in memory.
type memory struct {
	secrets map[string]attune.EncryptedSecret
	rows    []attune.EncryptedRow // of events and enforcements
	ids     int64
	asked   [][]string // arguments of SecretsNamed
	away    error      // of SecretsNamed
}

func (m *memory) Secret(_ context.Context, name string) (attune.EncryptedSecret, error) {
	found, ok := m.secrets[name]
	if !ok {
		return found, attune.Errorf(attune.CodeNotFound, "secret %q does not exist", name)
	}
	return found, nil
}

func (m *memory) Secrets(context.Context, attune.Page) ([]attune.Secret, error) {
	var all []attune.Secret
	for _, s := range m.secrets {
		all = append(all, s.Secret)
	}
	return all, nil
}

func (m *memory) PutSecret(_ context.Context, secret attune.EncryptedSecret) (attune.Secret, error) {
	stored := m.secrets[secret.Name]
	if stored.Revision != secret.Revision {
		return attune.Secret{}, attune.Errorf(attune.CodeConflict, "changed")
	}
	m.ids++
	secret.ID, secret.Revision = cmp.Or(stored.ID, m.ids), secret.Revision+1
	m.secrets[secret.Name] = secret
	return secret.Secret, nil
}

func (m *memory) RemoveSecret(_ context.Context, name string) error {
	if _, ok := m.secrets[name]; !ok {
		return attune.Errorf(attune.CodeNotFound, "secret %q does not exist", name)
	}
	delete(m.secrets, name)
	return nil
}

func (m *memory) EncryptedRows(_ context.Context, table attune.EncryptedTable, after int64, limit int) ([]attune.EncryptedRow, error) {
	rows := m.rows
	if table == attune.EncryptedSecrets {
		rows = nil
		for _, s := range slices.SortedFunc(maps.Values(m.secrets), func(a, b attune.EncryptedSecret) int { return cmp.Compare(a.ID, b.ID) }) {
			rows = append(rows, attune.EncryptedRow{
				Table: attune.EncryptedSecrets, ID: s.ID, Bound: append([]string{s.Name}, s.Packs...), Encrypted: s.Encrypted,
			})
		}
	}
	var page []attune.EncryptedRow
	for _, row := range rows {
		if row.Table == table && row.ID > after && len(page) < limit {
			page = append(page, row)
		}
	}
	return page, nil
}

func (m *memory) Reencrypt(_ context.Context, row attune.EncryptedRow, encrypted string) error {
	for name, s := range m.secrets {
		if row.Table == attune.EncryptedSecrets && s.ID == row.ID && s.Encrypted == row.Encrypted {
			s.Encrypted = encrypted
			m.secrets[name] = s
		}
	}
	for i := range m.rows {
		if m.rows[i].Table == row.Table && m.rows[i].ID == row.ID && m.rows[i].Encrypted == row.Encrypted {
			m.rows[i].Encrypted = encrypted
		}
	}
	return nil
}

func newMemory() *memory { return &memory{secrets: map[string]attune.EncryptedSecret{}} }

// token opens the value of the stored secret TOKEN.
func (m *memory) token(t *testing.T, keys *secrets.Keyring) string {
	t.Helper()
	s := m.secrets["TOKEN"]
	decrypted, err := keys.Decrypt(s.Encrypted, append([]string{"secrets", s.Name}, s.Packs...)...)
	require.NoError(t, err)
	return string(decrypted)
}

func TestVault_Set(t *testing.T) {
	t.Parallel()
	set := func(name, value string, packs ...string) secrets.Change {
		return secrets.Change{Name: name, Value: &value, Packs: &packs, Author: sam}
	}

	t.Run("a secret is stored encrypted, bound to its name and packs", func(t *testing.T) {
		t.Parallel()
		store, keys := newMemory(), ring(t, newKey())
		secret, err := secrets.NewVault(keys, store, store).Set(t.Context(), set("TOKEN", "hunter2", "b", "a", "b"))
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, secret.Packs)
		require.Equal(t, keys.First(), secret.Key)
		require.Equal(t, "sam", secret.Who())
		require.NotContains(t, fmt.Sprintf("%#v", store.secrets), "hunter2")
		require.Equal(t, "hunter2", store.token(t, keys))

		forged := store.secrets["TOKEN"]
		forged.Packs = []string{"evil"}
		store.secrets["TOKEN"] = forged
		_, err = secrets.NewVault(keys, store, store).Set(t.Context(), secrets.Change{Name: "TOKEN", Author: sam})
		require.ErrorContains(t, err, "cannot be decrypted", "grants that were widened in the database are worth nothing")
	})

	t.Run("grants and value change alone", func(t *testing.T) {
		t.Parallel()
		store, keys := newMemory(), ring(t, newKey())
		vault := secrets.NewVault(keys, store, store)
		_, err := vault.Set(t.Context(), set("TOKEN", "hunter2", "a"))
		require.NoError(t, err)
		secret, err := vault.Set(t.Context(), secrets.Change{Name: "TOKEN", Packs: &[]string{"b"}, Author: sam})
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, secret.Packs)
		require.Equal(t, int64(2), secret.Revision)
		require.Equal(t, "hunter2", store.token(t, keys))
		other := "correct horse"
		secret, err = vault.Set(t.Context(), secrets.Change{Name: "TOKEN", Value: &other, Author: sam})
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, secret.Packs)
		require.Equal(t, other, store.token(t, keys))
	})

	t.Run("what cannot be a secret is refused, without its value", func(t *testing.T) {
		t.Parallel()
		for message, change := range map[string]secrets.Change{
			"is not the name of an environment variable": set("A-B", "hunter2"),
			"is reserved":                    set("ATTUNE_X", "hunter2"),
			"too short to be masked":         set("TOKEN", "abc"),
			"is too long":                    set("TOKEN", strings.Repeat("hunter2", 5000)),
			"without NUL":                    set("TOKEN", "hunter2\x00"),
			"pack name":                      set("TOKEN", "hunter2", "Not A Pack"),
			"give it a value":                {Name: "TOKEN", Author: sam},
			"principal: the name is missing": {Name: "TOKEN", Value: new("hunter2")},
		} {
			store := newMemory()
			_, err := secrets.NewVault(ring(t, newKey()), store, store).Set(t.Context(), change)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), message)
			require.ErrorContains(t, err, message)
			require.NotContains(t, err.Error(), "hunter2")
			require.Empty(t, store.secrets)
		}
	})

	t.Run("without a key, nothing is stored", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		_, err := secrets.NewVault(ring(t), store, store).Set(t.Context(), set("TOKEN", "hunter2"))
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, "ATTUNE_SECRETS_KEY_FILE")
		require.Empty(t, store.secrets)
	})

	t.Run("a removed secret is gone", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		vault := secrets.NewVault(ring(t, newKey()), store, store)
		_, err := vault.Set(t.Context(), set("TOKEN", "hunter2"))
		require.NoError(t, err)
		require.NoError(t, vault.Remove(t.Context(), "TOKEN"))
		require.Equal(t, attune.CodeNotFound, attune.CodeOf(vault.Remove(t.Context(), "TOKEN")))
		left, err := vault.List(t.Context(), attune.Page{})
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestVault_Rotate(t *testing.T) {
	t.Parallel()
	old, fresh := newKey(), newKey()

	// rotate calls Rotate until there is no next position.
	rotate := func(t *testing.T, vault *secrets.Vault) (moved, failed, calls int) {
		t.Helper()
		for from := ""; calls == 0 || from != ""; calls++ {
			done, err := vault.Rotate(t.Context(), from)
			require.NoError(t, err)
			moved, failed, from = moved+done.Moved, failed+done.Failed, done.Next
		}
		return moved, failed, calls
	}

	t.Run("every value moves to the first key, in calls of a bounded size", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		value := "hunter2"
		_, err := secrets.NewVault(ring(t, old), store, store).Set(t.Context(), secrets.Change{Name: "TOKEN", Value: &value, Author: sam})
		require.NoError(t, err)
		const events, enforcements = 700, 1200
		fields := []attune.SecretField{{Pointer: "/p", Value: []byte(`"x"`)}}
		for id := range attune.EventID(events) {
			encrypted, err := ring(t, old).EncryptPayload(id+1, "demo.push", fields)
			require.NoError(t, err)
			store.rows = append(store.rows, attune.EncryptedRow{
				Table: attune.EncryptedEvents, ID: int64(id + 1), Bound: []string{fmt.Sprint(id + 1), "demo.push"}, Encrypted: encrypted,
			})
		}
		for i := range enforcements {
			encrypted, err := ring(t, old).EncryptParameters(1, 2, "shop.deploy", fields)
			require.NoError(t, err)
			store.rows = append(store.rows, attune.EncryptedRow{
				Table: attune.EncryptedEnforcements, ID: int64(i + 1), Bound: []string{"1", "2", "shop.deploy"}, Encrypted: encrypted,
			})
		}
		both := ring(t, fresh, old)
		moved, failed, calls := rotate(t, secrets.NewVault(both, store, store))
		require.Equal(t, events+enforcements+1, moved)
		require.Zero(t, failed)
		require.Equal(t, 4, calls, "500 values for each call, over the borders of tables")
		require.Equal(t, value, store.token(t, ring(t, fresh)))
		for _, row := range store.rows {
			require.Equal(t, both.First(), secrets.KeyOf(row.Encrypted), "row %d of %s", row.ID, row.Table)
		}
		moved, failed, _ = rotate(t, secrets.NewVault(ring(t, fresh), store, store))
		require.Zero(t, moved+failed)
	})

	t.Run("few values take one call", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		vault := secrets.NewVault(ring(t, fresh), store, store)
		_, err := vault.Set(t.Context(), secrets.Change{Name: "TOKEN", Value: new("hunter2"), Author: sam})
		require.NoError(t, err)
		moved, failed, calls := rotate(t, vault)
		require.Zero(t, moved+failed)
		require.Equal(t, 1, calls)
	})

	t.Run("the secret fields of an event belong to its id and its trigger", func(t *testing.T) {
		t.Parallel()
		for name, bound := range map[string][]string{"another event": {"2", "demo.push"}, "another trigger": {"1", "demo.pull"}} {
			store := newMemory()
			encrypted, err := ring(t, old).EncryptPayload(1, "demo.push", []attune.SecretField{{Pointer: "/p", Value: []byte(`"hunter2"`)}})
			require.NoError(t, err)
			require.NotContains(t, encrypted, "hunter2")
			store.rows = []attune.EncryptedRow{{Table: attune.EncryptedEvents, ID: 1, Bound: bound, Encrypted: encrypted}}
			moved, failed, _ := rotate(t, secrets.NewVault(ring(t, fresh, old), store, store))
			require.Zero(t, moved, name)
			require.Equal(t, 1, failed, name)
			require.Equal(t, encrypted, store.rows[0].Encrypted, name)
		}
		none, err := ring(t).EncryptPayload(1, "demo.push", nil)
		require.NoError(t, err)
		require.Empty(t, none, "an event without secret fields needs no key")
	})

	t.Run("a value of a lost key is counted and stays", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		value := "hunter2"
		_, err := secrets.NewVault(ring(t, old), store, store).Set(t.Context(), secrets.Change{Name: "TOKEN", Value: &value, Author: sam})
		require.NoError(t, err)
		moved, failed, _ := rotate(t, secrets.NewVault(ring(t, fresh), store, store))
		require.Zero(t, moved)
		require.Equal(t, 1, failed)
		require.Equal(t, value, store.token(t, ring(t, old)))
	})

	t.Run("a position that no response named is refused", func(t *testing.T) {
		t.Parallel()
		store := newMemory()
		for _, position := range []string{"x", "users:1", "enforcements:-1", "enforcements:", "events:"} {
			_, err := secrets.NewVault(ring(t, fresh), store, store).Rotate(t.Context(), position)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), position)
		}
		_, err := secrets.NewVault(ring(t), store, store).Rotate(t.Context(), "")
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	})
}
