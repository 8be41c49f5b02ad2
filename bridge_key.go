package attune

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
)

// BridgeKey is the public Ed25519 key of bridges. A worker believes replies and cancels only if they are signed with a key that its
// settings name.
type BridgeKey [ed25519.PublicKeySize]byte

// ParseBridgeKey reads a key as [BridgeKey.String] writes it: 64 hexadecimal digits.
func ParseBridgeKey(text string) (BridgeKey, error) {
	var key BridgeKey
	decoded, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(decoded) != len(key) {
		return key, Errorf(CodeInvalid,
			"public key of a bridge of %d characters: use %d hexadecimal digits, as attune keys public prints them", len(text), 2*len(key))
	}
	return BridgeKey(decoded), nil
}

// String returns the whole key in hexadecimal.
func (k BridgeKey) String() string { return hex.EncodeToString(k[:]) }

// BridgeSigningKey is the private half of a [BridgeKey]. Its zero value signs nothing. A print shows only its public half.
type BridgeSigningKey struct{ private *ed25519.PrivateKey }

// NewBridgeSigningKey returns a new key as text: 32 random bytes, in hexadecimal.
func NewBridgeSigningKey() string {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never returns an error
	return hex.EncodeToString(seed)
}

// ParseBridgeSigningKey reads a key of [NewBridgeSigningKey]. Its error does not quote the text.
func ParseBridgeSigningKey(text string) (BridgeSigningKey, error) {
	seed, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(seed) != ed25519.SeedSize {
		return BridgeSigningKey{}, Errorf(CodeInvalid,
			"signing key of %d characters: use %d hexadecimal digits, such as those in a file of attune keys new bridge",
			len(text), 2*ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	return BridgeSigningKey{&private}, nil
}

// IsZero reports whether there is no key.
func (k BridgeSigningKey) IsZero() bool { return k.private == nil }

// Public returns the public half; the zero key has the zero key as its public half, which no worker believes.
func (k BridgeSigningKey) Public() BridgeKey {
	if k.IsZero() {
		return BridgeKey{}
	}
	return BridgeKey((*k.private)[ed25519.SeedSize:])
}

// String returns the public half.
func (k BridgeSigningKey) String() string { return k.Public().String() }

// BridgeSigned is a message of a bridge as it travels.
type BridgeSigned struct {
	Key       []byte `json:"key"`
	Signature []byte `json:"signature"`
	Payload   []byte `json:"payload"` // JSON, in base64: no program between the bridge and the worker changes it
}

// sign signs a payload of a kind. about is what the message answers; a signature holds for nothing else.
func (k BridgeSigningKey) sign(kind string, about, payload []byte) (BridgeSigned, error) {
	if k.IsZero() {
		return BridgeSigned{}, Errorf(CodeInternal, "%s: the bridge has no signing key", kind)
	}
	public := k.Public()
	return BridgeSigned{
		Key: public[:], Signature: ed25519.Sign(*k.private, bridgeBytes(kind, about, payload)), Payload: payload,
	}, nil
}

// open returns the payload of a message that one of the keys has signed. Its error is a [*RefusalError].
func (s BridgeSigned) open(trusted []BridgeKey, kind string, about []byte) ([]byte, error) {
	if len(s.Key) != ed25519.PublicKeySize || !slices.Contains(trusted, BridgeKey(s.Key)) || BridgeKey(s.Key) == (BridgeKey{}) {
		return nil, Refuse(RefusedKey, "%s: it is not signed with a key of a bridge that this worker knows", kind)
	}
	if !ed25519.Verify(s.Key, bridgeBytes(kind, about, s.Payload), s.Signature) {
		return nil, Refuse(RefusedSignature, "%s: the signature is not that of the key and the payload, for this request", kind)
	}
	return s.Payload, nil
}
