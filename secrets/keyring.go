package secrets

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/attune-go/attune"
)

// keyBytes is the length of a key: AES-256.
const keyBytes = 32

// Keyring holds the keys of an installation. It is safe for concurrent use. A ring without keys is valid: it encrypts and decrypts nothing.
type Keyring struct{ current atomic.Pointer[[]key] }

type key struct {
	id       string
	material []byte
}

// ParseKeyring reads keys that white space or commas separate. Each has 32 random bytes, in hexadecimal or base64. The first one
// encrypts. An empty text is a ring without keys. A text that is no key, and a repeated key, are [attune.CodeInvalid] errors, which
// never quote the text.
func ParseKeyring(text string) (*Keyring, error) {
	var keys []key
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
	for i, word := range words {
		material, ok := decodeKey(word)
		if !ok {
			return nil, attune.Errorf(attune.CodeInvalid, "key %d is not 32 bytes in hexadecimal or base64: use the output of "+
				"\"openssl rand -hex 32\", one key per line", i+1)
		}
		id := keyID(material)
		if slices.ContainsFunc(keys, func(k key) bool { return k.id == id }) {
			return nil, attune.Errorf(attune.CodeInvalid, "key %d is there twice: remove one of them", i+1)
		}
		keys = append(keys, key{id: id, material: material})
	}
	ring := &Keyring{}
	ring.current.Store(&keys)
	return ring, nil
}

// Replace takes the keys of another ring over, while the ring is in use. It reports whether the keys have changed.
func (k *Keyring) Replace(next *Keyring) bool {
	before, after := k.all(), next.all()
	k.current.Store(&after)
	return !slices.EqualFunc(before, after, func(a, b key) bool { return a.id == b.id })
}

// all returns the keys, the one that encrypts first.
func (k *Keyring) all() []key {
	if k == nil {
		return nil
	}
	if keys := k.current.Load(); keys != nil {
		return *keys
	}
	return nil
}

func decodeKey(word string) ([]byte, bool) {
	if raw, err := hex.DecodeString(word); err == nil && len(raw) == keyBytes {
		return raw, true
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := encoding.DecodeString(word); err == nil && len(raw) == keyBytes {
			return raw, true
		}
	}
	return nil, false
}

// keyID returns a short digest that names a key. It reveals nothing of a random key.
func keyID(material []byte) string {
	const shown = 4 // bytes
	sum := sha256.Sum256(append([]byte("attune key id\x00"), material...))
	return hex.EncodeToString(sum[:shown])
}

// Empty reports whether the ring has no key.
func (k *Keyring) Empty() bool { return len(k.all()) == 0 }

// First returns the id of the key that encrypts, or "" for a ring without keys.
func (k *Keyring) First() string {
	keys := k.all()
	if len(keys) == 0 {
		return ""
	}
	return keys[0].id
}

// IDs returns the ids of all keys, the one that encrypts first.
func (k *Keyring) IDs() []string {
	var ids []string
	for _, key := range k.all() {
		ids = append(ids, key.id)
	}
	return ids
}

// Has reports whether the ring has the key with an id.
func (k *Keyring) Has(id string) bool {
	_, found := k.find(id)
	return found
}

// find returns the key with an id.
func (k *Keyring) find(id string) (key, bool) {
	keys := k.all()
	i := slices.IndexFunc(keys, func(k key) bool { return k.id == id })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}
