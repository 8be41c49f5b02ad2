package attune

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// WorkerKey is the public Ed25519 key of a worker process. A worker makes a key when it starts and keeps the private half in memory.
type WorkerKey [ed25519.PublicKeySize]byte

// WorkerKeyOf returns the public half of a key of [ed25519.GenerateKey].
func WorkerKeyOf(private ed25519.PrivateKey) WorkerKey { return WorkerKey(private[ed25519.SeedSize:]) }

// String returns the first 8 bytes of the key in hexadecimal, to recognise a key in a log.
func (k WorkerKey) String() string { return hex.EncodeToString(k[:8]) }

// WorkerMessage is a message that a worker signs.
type WorkerMessage[M any] interface {
	Message
	Validate() error
	baseKey() string                       // the routing key without the pool
	signedBy(key WorkerKey, pool string) M // returns the message with what its verified signature says
}

// Signed is a message of a worker on the broker. [Verify] verifies it. The signature covers the routing key and the bytes of the
// payload as they arrive, so sender and receiver need no canonical form of JSON.
type Signed[M WorkerMessage[M]] struct {
	Key        []byte          `json:"key"`
	Signature  []byte          `json:"signature"`
	Payload    json.RawMessage `json:"payload"`
	routingKey string
	id         string // the message id; empty on the side of the receiver
}

// RoutingKey implements [Message].
func (s Signed[M]) RoutingKey() string { return s.routingKey }

// BaseKey is the routing key without the pool: the same for all messages of the type.
func (Signed[M]) BaseKey() string {
	var message M
	return message.baseKey()
}

// Arrived records the routing key with which the broker has received the message. The receiver calls it before [Verify]: the message
// itself cannot say its key, because the broker checks only the real one against the rights of the sender.
func (s *Signed[M]) Arrived(routingKey string) { s.routingKey = routingKey }

// MessageID implements [Message].
func (s Signed[M]) MessageID() string { return s.id }

// Sign signs a message.
func Sign[M WorkerMessage[M]](key ed25519.PrivateKey, message M) (Signed[M], error) {
	payload, err := json.Marshal(message)
	if err != nil {
		return Signed[M]{}, WrapError(CodeInvalid, err, "encode message %q", message.MessageID())
	}
	public := WorkerKeyOf(key)
	return Signed[M]{
		Key: public[:], Signature: ed25519.Sign(key, signedBytes(message.RoutingKey(), payload)),
		Payload: payload, routingKey: message.RoutingKey(), id: message.MessageID(),
	}, nil
}

// Verify verifies the signature, then decodes and checks the message. The error is a [*RefusalError].
func Verify[M WorkerMessage[M]](s Signed[M]) (M, error) {
	var message M
	key := s.routingKey
	pool, ofType := strings.CutPrefix(key, KeyOfPool(message.baseKey(), ""))
	if !ofType {
		return message, Refuse(RefusedSignature, "%s: a message with the routing key %q is of another type", message.baseKey(), key)
	}
	if len(s.Key) != ed25519.PublicKeySize || !ed25519.Verify(s.Key, signedBytes(key, s.Payload), s.Signature) {
		return message, Refuse(RefusedSignature, "%s: the signature is not that of the key and the payload", key)
	}
	if err := json.Unmarshal(s.Payload, &message); err != nil {
		cause := WrapError(CodeInvalid, err, "%s: the payload is not the JSON of %T", key, message)
		return message, &RefusalError{Why: RefusedContent, Err: cause}
	}
	message = message.signedBy(WorkerKey(s.Key), pool)
	if err := cmp.Or(ValidateName("pool", pool), message.Validate()); err != nil {
		return message, &RefusalError{Why: RefusedContent, Err: err}
	}
	return message, nil
}

// signaturePrefix separates the signatures of messages from all other uses of a key.
const signaturePrefix = "attune worker message v1\x00"

// signedBytes returns what the signature covers. The routing key is in it, so that no message can pass for one of another type.
func signedBytes(routingKey string, payload []byte) []byte {
	signed := make([]byte, 0, len(signaturePrefix)+len(routingKey)+1+len(payload))
	signed = append(signed, signaturePrefix...)
	signed = append(signed, routingKey...)
	signed = append(signed, 0)
	return append(signed, payload...)
}
