package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/attune-go/attune"
)

const (
	version   = "v1"
	saltBytes = 16
)

// errNoKey is the error of a ring without keys.
var errNoKey = attune.Errorf(attune.CodeUnavailable, "attune has no key for secrets: set secrets.key_file / ATTUNE_SECRETS_KEY_FILE "+
	"to a file with the output of \"openssl rand -hex 32\", in every process with the role api or bridge")

// Encrypt encrypts a value with the first key of the ring. Decrypt needs the same identity. A ring without keys is an
// [attune.CodeUnavailable] error.
func (k *Keyring) Encrypt(value []byte, identity ...string) (string, error) {
	keys := k.all()
	if len(keys) == 0 {
		return "", errNoKey
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never returns an error: it crashes the program instead
	box, err := keys[0].box(salt)
	if err != nil {
		return "", err
	}
	encrypted := box.Seal(salt, nil, value, bound(identity)) //nolint:gosec // the cipher makes a random nonce and puts it first
	return version + "." + keys[0].id + "." + base64.RawURLEncoding.EncodeToString(encrypted), nil
}

// Decrypt decrypts what Encrypt made. A key that the ring does not have is an [attune.CodeUnavailable] error. A value that was changed, or
// that belongs to another identity, is an [attune.CodeInvalid] error.
func (k *Keyring) Decrypt(encrypted string, identity ...string) ([]byte, error) {
	id, raw, ok := split(encrypted)
	if !ok {
		return nil, attune.Errorf(attune.CodeInvalid, "an encrypted value has the wrong form: the row was changed by hand")
	}
	found, ok := k.find(id)
	if !ok {
		if k.Empty() {
			return nil, errNoKey
		}
		return nil, attune.Errorf(attune.CodeUnavailable, "a value is encrypted with key %s, which this process does not have "+
			"(host and process id: %s): add the key to its secrets.key_file, after the first one", id, processName())
	}
	box, err := found.box(raw[:saltBytes])
	if err != nil {
		return nil, err
	}
	value, err := box.Open(nil, nil, raw[saltBytes:], bound(identity))
	if err != nil {
		return nil, attune.Errorf(attune.CodeInvalid, "an encrypted value cannot be decrypted: it was changed, or copied from another row")
	}
	return value, nil
}

// processName names this process, so that a person finds the one that lacks a key.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// Reencrypt replaces an encrypted value by one with the first key. It returns the value unchanged if it has that key already. Errors
// are those of [Keyring.Decrypt] and [Keyring.Encrypt].
func (k *Keyring) Reencrypt(encrypted string, identity ...string) (string, error) {
	if KeyOf(encrypted) == k.First() {
		return encrypted, nil
	}
	value, err := k.Decrypt(encrypted, identity...)
	if err != nil {
		return "", err
	}
	return k.Encrypt(value, identity...)
}

// KeyOf returns the id of the key that encrypted a value, or "" for a text that is no encrypted value.
func KeyOf(encrypted string) string {
	id, _, _ := split(encrypted)
	return id
}

// split returns the key id and the bytes of an encrypted value.
func split(encrypted string) (id string, raw []byte, ok bool) {
	rest, ok := strings.CutPrefix(encrypted, version+".")
	if !ok {
		return "", nil, false
	}
	id, text, ok := strings.Cut(rest, ".")
	if !ok {
		return "", nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < saltBytes {
		return "", nil, false
	}
	return id, raw, true
}

// box returns the cipher of one value.
func (k key) box(salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k.material, salt, "attune secrets "+version, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("create the cipher: %w", err)
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("create the cipher: %w", err)
	}
	return box, nil
}

// bound returns the additional data of an identity. Two identities never have the same data.
func bound(identity []string) []byte {
	data, err := json.Marshal(identity)
	if err != nil {
		return nil // impossible: texts can be encoded
	}
	return data
}
