package attune

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// SignedReply is the reply of a bridge to a claim or a renewal: see [VerifyReply]. The signature covers the type of the request, and
// the request itself with its key and its routing key. So a reply holds for one claim or renewal of one worker process: each has a serial
// of its own.
type SignedReply struct{ BridgeSigned }

// replyPayload is what a reply says: the reply, or why there is none.
type replyPayload struct {
	Reply   json.RawMessage `json:"reply,omitempty"`
	Code    Code            `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
}

// KeyOfReply names the replies to a type of requests, as in the metric of refused messages.
func KeyOfReply(baseKey string) string { return baseKey + ".reply" }

// SignReply signs the reply to a request.
func SignReply[M WorkerMessage[M]](key BridgeSigningKey, request Signed[M], reply any) (SignedReply, error) {
	encoded, err := json.Marshal(reply)
	if err != nil {
		return SignedReply{}, WrapError(CodeInternal, err, "encode the reply to %q", request.BaseKey())
	}
	return signReply(key, request, replyPayload{Reply: encoded})
}

// SignFailure signs the reply that a request has failed.
func SignFailure[M WorkerMessage[M]](key BridgeSigningKey, request Signed[M], code Code, message string) (SignedReply, error) {
	return signReply(key, request, replyPayload{Code: code, Message: message})
}

func signReply[M WorkerMessage[M]](key BridgeSigningKey, request Signed[M], payload replyPayload) (SignedReply, error) {
	encoded, err := json.Marshal(payload)
	if err != nil {
		return SignedReply{}, WrapError(CodeInternal, err, "encode the reply to %q", request.BaseKey())
	}
	signed, err := key.sign(KeyOfReply(request.BaseKey()), request.whole(), encoded)
	return SignedReply{signed}, err
}

// VerifyReply verifies the reply to a request and decodes it into reply. A reply that is not believed is a [*RefusalError]; any other error
// is the bridge's own.
func VerifyReply[M WorkerMessage[M]](trusted []BridgeKey, request Signed[M], signed SignedReply, reply any) error {
	kind := KeyOfReply(request.BaseKey())
	payload, err := signed.open(trusted, kind, request.whole())
	if err != nil {
		return err
	}
	var content replyPayload
	if err := json.Unmarshal(payload, &content); err != nil {
		return &RefusalError{Why: RefusedContent, Err: WrapError(CodeInvalid, err, "%s: the payload is no reply", kind)}
	}
	if content.Code != "" {
		return Errorf(content.Code, "%s", content.Message)
	}
	if err := json.Unmarshal(content.Reply, reply); err != nil {
		return &RefusalError{Why: RefusedContent, Err: WrapError(CodeInvalid, err, "%s: the reply is not the JSON of %T", kind, reply)}
	}
	return nil
}

// whole returns all of a message that its receiver sees.
func (s Signed[M]) whole() []byte {
	sum := sha256.New()
	for _, part := range [][]byte{s.Key, s.Signature, []byte(s.routingKey), s.Payload} {
		_, _ = fmt.Fprintf(sum, "%d:", len(part))
		_, _ = sum.Write(part)
	}
	return sum.Sum(nil)
}

// SignedCancel is an [ExecutionCancelMessage] as it travels. [VerifyCancel] verifies it. It needs no protection against a copy: an
// attempt that was cancelled stays cancelled.
type SignedCancel struct {
	BridgeSigned
	id string // the message id; empty on the side of the receiver
}

// RoutingKey implements [Message].
func (SignedCancel) RoutingKey() string { return KeyExecutionCancel }

// MessageID implements [Message].
func (s SignedCancel) MessageID() string { return s.id }

// SignCancel signs a cancel.
func SignCancel(key BridgeSigningKey, message ExecutionCancelMessage) (SignedCancel, error) {
	payload, err := json.Marshal(message)
	if err != nil {
		return SignedCancel{}, WrapError(CodeInvalid, err, "encode message %q", message.MessageID())
	}
	signed, err := key.sign(KeyExecutionCancel, nil, payload)
	return SignedCancel{signed, message.MessageID()}, err
}

// VerifyCancel verifies a cancel. Its error is a [*RefusalError].
func VerifyCancel(trusted []BridgeKey, signed SignedCancel) (message ExecutionCancelMessage, err error) {
	payload, err := signed.open(trusted, KeyExecutionCancel, nil)
	if err != nil {
		return message, err
	}
	if err := json.Unmarshal(payload, &message); err != nil {
		return message, &RefusalError{Why: RefusedContent, Err: WrapError(CodeInvalid, err, "the payload is no cancel")}
	}
	return message, nil
}

// bridgePrefix separates the signatures of bridges from all other uses of a key.
const bridgePrefix = "attune bridge message v1\x00"

// bridgeBytes returns what the signature of a bridge covers.
func bridgeBytes(kind string, about, payload []byte) []byte {
	answered := sha256.Sum256(about)
	signed := make([]byte, 0, len(bridgePrefix)+len(kind)+1+len(answered)+len(payload))
	signed = append(signed, bridgePrefix...)
	signed = append(signed, kind...)
	signed = append(signed, 0)
	signed = append(signed, answered[:]...)
	return append(signed, payload...)
}
