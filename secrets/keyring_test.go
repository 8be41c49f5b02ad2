package secrets_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// newKey returns a random key in hexadecimal.
func newKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

func ring(t require.TestingT, keys ...string) *secrets.Keyring {
	k, err := secrets.ParseKeyring(strings.Join(keys, "\n"))
	require.NoError(t, err)
	return k
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()

	t.Run("hexadecimal and base64 name the same key", func(t *testing.T) {
		t.Parallel()
		key := newKey()
		raw, err := hex.DecodeString(key)
		require.NoError(t, err)
		require.Equal(t, ring(t, key).First(), ring(t, base64.StdEncoding.EncodeToString(raw)).First())
	})

	t.Run("an empty text has no keys", func(t *testing.T) {
		t.Parallel()
		require.True(t, ring(t, " \n").Empty())
		require.Empty(t, ring(t).First())
	})

	t.Run("keys may be separated by commas", func(t *testing.T) {
		t.Parallel()
		a, b := newKey(), newKey()
		require.Equal(t, ring(t, a).First(), ring(t, a+","+b).First())
	})

	t.Run("an error never quotes the text", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"hunter2", newKey() + "\nhunter2", strings.Repeat("a", 63)} {
			_, err := secrets.ParseKeyring(text)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "aaaa")
		}
	})

	t.Run("a repeated key is refused", func(t *testing.T) {
		t.Parallel()
		key := newKey()
		_, err := secrets.ParseKeyring(key + " " + strings.ToUpper(key))
		require.ErrorContains(t, err, "key 2 is there twice")
	})
}

func TestKeyring(t *testing.T) {
	t.Parallel()

	t.Run("a value opens with its identity and any key of the ring, and with nothing else", func(t *testing.T) {
		t.Parallel()
		old, fresh := newKey(), newKey()
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
			identity := rapid.SliceOfN(rapid.StringN(0, 3, -1), 1, 3).Draw(t, "identity")
			other := rapid.SliceOfN(rapid.StringN(0, 3, -1), 1, 3).Draw(t, "other")
			encrypted, err := ring(t, old).Encrypt(value, identity...)
			require.NoError(t, err)
			require.Equal(t, ring(t, old).First(), secrets.KeyOf(encrypted))

			decrypted, err := ring(t, fresh, old).Decrypt(encrypted, identity...)
			require.NoError(t, err)
			require.True(t, bytes.Equal(value, decrypted))

			if strings.Join(identity, "\x00") != strings.Join(other, "\x00") || len(identity) != len(other) {
				_, err = ring(t, old).Decrypt(encrypted, other...)
				require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			}
			_, err = ring(t, fresh).Decrypt(encrypted, identity...)
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
			require.ErrorContains(t, err, secrets.KeyOf(encrypted))
		})
	})

	t.Run("a changed character is refused", func(t *testing.T) {
		t.Parallel()
		k := ring(t, newKey())
		encrypted, err := k.Encrypt([]byte("hunter2"), "secret", "TOKEN")
		require.NoError(t, err)
		rapid.Check(t, func(t *rapid.T) {
			i := rapid.IntRange(0, len(encrypted)-2).Draw(t, "index") // the last character has unused bits
			changed := []byte(encrypted)
			changed[i] = rapid.Byte().Filter(func(b byte) bool { return b != encrypted[i] }).Draw(t, "byte")
			decrypted, err := k.Decrypt(string(changed), "secret", "TOKEN")
			require.Error(t, err)
			require.Nil(t, decrypted)
		})
	})

	t.Run("the same value is encrypted differently every time", func(t *testing.T) {
		t.Parallel()
		k := ring(t, newKey())
		first, err := k.Encrypt([]byte("hunter2"), "a")
		require.NoError(t, err)
		second, err := k.Encrypt([]byte("hunter2"), "a")
		require.NoError(t, err)
		require.NotEqual(t, first, second)
	})

	t.Run("a value moves to the first key once", func(t *testing.T) {
		t.Parallel()
		old, fresh := newKey(), newKey()
		encrypted, err := ring(t, old).Encrypt([]byte("hunter2"), "a")
		require.NoError(t, err)
		both := ring(t, fresh, old)
		moved, err := both.Reencrypt(encrypted, "a")
		require.NoError(t, err)
		require.Equal(t, both.First(), secrets.KeyOf(moved))
		again, err := both.Reencrypt(moved, "a")
		require.NoError(t, err)
		require.Equal(t, moved, again)
		decrypted, err := ring(t, fresh).Decrypt(moved, "a")
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(decrypted))
	})

	t.Run("the keys change while the ring is in use", func(t *testing.T) {
		t.Parallel()
		old, fresh := newKey(), newKey()
		k := ring(t, old)
		encrypted, err := k.Encrypt([]byte("hunter2"), "a")
		require.NoError(t, err)
		require.False(t, k.Replace(ring(t, old)))
		require.True(t, k.Replace(ring(t, fresh, old)))
		require.Equal(t, ring(t, fresh).First(), k.First())
		decrypted, err := k.Decrypt(encrypted, "a")
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(decrypted))
		require.True(t, k.Replace(ring(t)))
		require.True(t, k.Empty())
	})

	t.Run("a ring without keys says what to set", func(t *testing.T) {
		t.Parallel()
		_, err := ring(t).Encrypt([]byte("hunter2"), "a")
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, "ATTUNE_SECRETS_KEY_FILE")
		var none *secrets.Keyring
		require.True(t, none.Empty())
		_, err = none.Decrypt("v1.00000000."+strings.Repeat("A", 80), "a")
		require.ErrorContains(t, err, "ATTUNE_SECRETS_KEY_FILE")
	})
}
