package worker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/attune-go/attune"
)

// refusedLines is how many lines about messages that are not believed the log gets at once; after that, it gets one a second. The metric
// counts each message.
const refusedLines = 20

// Bridges decides which messages of bridges a worker believes. Its keys can change while it is used.
type Bridges struct {
	keys    atomic.Pointer[[]attune.BridgeKey]
	refused func(ctx context.Context, key string, why attune.Refusal)
	log     *slog.Logger
	logged  *rate.Limiter
}

// NewBridges believes messages that are signed with one of the keys. refused is called for every message that is not believed, with
// "execution.cancel" or a name of [attune.KeyOfReply].
func NewBridges(keys []attune.BridgeKey, refused func(context.Context, string, attune.Refusal), log *slog.Logger) *Bridges {
	b := &Bridges{refused: refused, log: log, logged: rate.NewLimiter(1, refusedLines)}
	b.keys.Store(&keys)
	return b
}

// Replace changes the keys and reports whether they are others.
func (b *Bridges) Replace(keys []attune.BridgeKey) bool {
	return !slices.Equal(*b.keys.Swap(&keys), keys)
}

// Cancel returns the attempt that a cancel names, and false if the cancel is not believed.
func (b *Bridges) Cancel(ctx context.Context, signed attune.SignedCancel) (attune.AttemptID, bool) {
	message, err := attune.VerifyCancel(*b.keys.Load(), signed)
	if err != nil {
		b.refuse(ctx, attune.KeyExecutionCancel, err)
	}
	return attune.AttemptID(message), err == nil
}

// refuse counts a message that is not believed, and logs it unless there are too many.
func (b *Bridges) refuse(ctx context.Context, key string, err error) {
	why := attune.RefusedSignature
	if refusal, ok := errors.AsType[*attune.RefusalError](err); ok {
		why = refusal.Why
	}
	b.refused(ctx, key, why)
	if b.logged.Allow() {
		b.log.WarnContext(ctx, "a message in the name of a bridge was not believed", "message", key, "error", err)
	}
}

// verifyReply verifies and decodes the reply to a request. believed is false for a reply that no bridge has signed for this request; err
// is the error that a bridge has replied with.
func verifyReply[M attune.WorkerMessage[M]](
	ctx context.Context, b *Bridges, request attune.Signed[M], body []byte, unsigned error, reply any,
) (believed bool, err error) {
	kind := attune.KeyOfReply(request.BaseKey())
	if unsigned != nil { // an error reply in headers
		b.refuse(ctx, kind, attune.WrapError(attune.CodeUnauthorized, unsigned, "an error reply without a signature"))
		return false, nil
	}
	var signed attune.SignedReply
	if err := json.Unmarshal(body, &signed); err != nil {
		b.refuse(ctx, kind, attune.WrapError(attune.CodeUnauthorized, err, "a reply without a signature"))
		return false, nil
	}
	err = attune.VerifyReply(*b.keys.Load(), request, signed, reply)
	if _, refused := errors.AsType[*attune.RefusalError](err); refused {
		b.refuse(ctx, kind, err)
		return false, nil
	}
	return true, err
}
