package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/attune-go/attune"
)

// Signer signs the replies and cancels of the bridge. Its key can change while it is used.
type Signer struct {
	key atomic.Pointer[attune.BridgeSigningKey]
}

// NewSigner returns a signer with a key.
func NewSigner(key attune.BridgeSigningKey) *Signer {
	s := new(Signer)
	s.key.Store(&key)
	return s
}

// Replace changes the key and reports whether it is another one.
func (s *Signer) Replace(key attune.BridgeSigningKey) bool {
	return s.key.Swap(&key).Public() != key.Public()
}

// Public returns the public half of the key.
func (s *Signer) Public() attune.BridgeKey { return s.key.Load().Public() }

// Failed returns the function that answers a request that has failed with a signed reply. An unsigned one would not count for the worker.
func Failed[M attune.WorkerMessage[M]](s *Signer) func(attune.Signed[M], attune.Code, string) (attune.SignedReply, error) {
	return func(request attune.Signed[M], code attune.Code, message string) (attune.SignedReply, error) {
		return attune.SignFailure(*s.key.Load(), request, code, message)
	}
}

// signAll signs the replies to a batch, except those to refused requests, which fail.
func signAll[M attune.WorkerMessage[M], R any](
	s *Signer, batch []attune.Signed[M], replies []R, refused verified[M],
) ([]attune.SignedReply, error) {
	signed := make([]attune.SignedReply, len(batch))
	for i, reply := range replies {
		if refused.bad[i] != nil {
			continue
		}
		var err error
		if signed[i], err = attune.SignReply(*s.key.Load(), batch[i], reply); err != nil {
			return nil, err
		}
	}
	return signed, nil
}

// signCancels returns rows of the outbox with signed cancels: only the bridge has the key. Other rows stay as they are.
func (s *Signer) signCancels(ctx context.Context, rows []attune.OutboxRow, log *slog.Logger) []attune.OutboxRow {
	signed := slices.Clone(rows)
	for i, row := range rows {
		if row.RoutingKey != attune.KeyExecutionCancel {
			continue
		}
		body, err := s.signCancel(row.Body)
		if err != nil { // the worker will refuse it; it must not hold up the rows behind it
			log.ErrorContext(ctx, "cancel not signed", "message_id", row.MessageID, "error", err)
			continue
		}
		signed[i].Body = body
	}
	return signed
}

func (s *Signer) signCancel(body []byte) ([]byte, error) {
	var message attune.ExecutionCancelMessage
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	signed, err := attune.SignCancel(*s.key.Load(), message)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signed)
}
