package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"
)

// Format of a token: "att_", the prefix, "_", and the secret with a checksum at its end. Prefix and secret are random, in lower-case
// base32. People recognise a token by its prefix, and scanners for leaked secrets by its beginning. The checksum refuses
// a mistyped token without a question to the database.
const (
	tokenScheme    = "att_"
	prefixLength   = 8  // 40 bits
	randomLength   = 32 // 160 bits
	checksumLength = 6
	tokenLength    = len(tokenScheme) + prefixLength + 1 + randomLength + checksumLength
)

const tokenAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// Secret is what attune keeps of a token's text.
type Secret struct {
	Prefix string            // identifies the secret; attune may show it
	Digest [sha256.Size]byte // of the whole text
}

// NewToken makes the text of a token, and what attune keeps of it.
func NewToken() (text string, secret Secret) {
	random := encoding().EncodeToString(randomBytes((prefixLength + randomLength) * 5 / 8))
	text = tokenScheme + random[:prefixLength] + "_" + random[prefixLength:]
	text += checksum(text)
	return text, secretOf(text)
}

// ParseToken returns what attune keeps of a token's text. It reports false for a text that [NewToken] cannot have made.
func ParseToken(text string) (Secret, bool) {
	if len(text) != tokenLength || !strings.HasPrefix(text, tokenScheme) || text[len(tokenScheme)+prefixLength] != '_' {
		return Secret{}, false
	}
	body := text[:tokenLength-checksumLength]
	if subtle.ConstantTimeCompare([]byte(checksum(body)), []byte(text[len(body):])) == 0 {
		return Secret{}, false
	}
	secret := secretOf(text)
	random := secret.Prefix + body[len(tokenScheme)+prefixLength+1:]
	return secret, strings.Trim(random, tokenAlphabet) == ""
}

// Is compares the digests of two secrets. Its duration reveals nothing about them.
func (s Secret) Is(other Secret) bool {
	return subtle.ConstantTimeCompare(s.Digest[:], other.Digest[:]) == 1
}

func secretOf(text string) Secret {
	return Secret{Prefix: text[len(tokenScheme) : len(tokenScheme)+prefixLength], Digest: sha256.Sum256([]byte(text))}
}

// checksum returns the last characters of a token. It is no secret: it finds typing errors.
func checksum(body string) string {
	digest := sha256.Sum256([]byte(body))
	return encoding().EncodeToString(digest[:])[:checksumLength]
}

func encoding() *base32.Encoding {
	return base32.NewEncoding(tokenAlphabet).WithPadding(base32.NoPadding)
}

func randomBytes(n int) []byte {
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes) // never fails: the program ends when the system has no randomness
	return bytes
}
