package attune

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"fmt"
)

// The reply to a claim is encrypted with HPKE (RFC 9180): X25519, HKDF-SHA256 and AES-256-GCM.
func replyKEM() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func replyKDF() hpke.KDF   { return hpke.HKDFSHA256() }
func replyAEAD() hpke.AEAD { return hpke.AES256GCM() }

// ReplyKey decrypts the input in the reply to one claim. Its public half travels in the claim.
type ReplyKey struct{ private hpke.PrivateKey }

// NewReplyKey returns a new key.
func NewReplyKey() (ReplyKey, error) {
	private, err := replyKEM().GenerateKey()
	if err != nil {
		return ReplyKey{}, fmt.Errorf("make a reply key: %w", err)
	}
	return ReplyKey{private}, nil
}

// Public returns the public half.
func (k ReplyKey) Public() []byte { return k.private.PublicKey().Bytes() }

// Decrypt returns the input in the reply to a claim. An input that was encrypted for another claim is [CodeUnauthorized].
func (k ReplyKey) Decrypt(claim ExecutionClaimMessage, encrypted []byte) (ExecutionInput, error) {
	var input ExecutionInput
	plain, err := hpke.Open(k.private, replyKDF(), replyAEAD(), claim.context(), encrypted)
	if err != nil {
		return input, WrapError(CodeUnauthorized, err, "the input of execution %d is not encrypted for this claim", claim.Execution)
	}
	if err := json.Unmarshal(plain, &input); err != nil {
		return input, WrapError(CodeInvalid, err, "the input of execution %d is not the JSON of %T", claim.Execution, input)
	}
	return input, nil
}

// Encrypt encrypts the input of an attempt for the sender of a claim.
func (m ExecutionClaimMessage) Encrypt(input ExecutionInput) ([]byte, error) {
	public, err := parseReplyKey(m.ReplyKey)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(input)
	if err != nil {
		return nil, fmt.Errorf("encode the input of execution %d: %w", m.Execution, err)
	}
	encrypted, err := hpke.Seal(public, replyKDF(), replyAEAD(), m.context(), plain)
	if err != nil { // a key of low order
		return nil, WrapError(CodeInvalid, err, "encrypt the input of execution %d", m.Execution)
	}
	return encrypted, nil
}

// context binds an encryption to the attempt and to the key of the worker.
func (m ExecutionClaimMessage) context() []byte {
	return fmt.Appendf(nil, "attune claim reply v1\x00%s\x00%d\x00%d\x00%x", m.Installation, m.Execution, m.Attempt, m.Key)
}

func parseReplyKey(key []byte) (hpke.PublicKey, error) {
	public, err := replyKEM().NewPublicKey(key)
	if err != nil {
		return nil, WrapError(CodeInvalid, err, "execution.claim needs an X25519 reply key; got %d bytes", len(key))
	}
	return public, nil
}
