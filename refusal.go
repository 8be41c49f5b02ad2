package attune

import (
	"fmt"
	"maps"
	"slices"
)

// Refusal says why the receiver of a worker's message does not believe it.
type Refusal string

// The refusals.
const (
	RefusedSignature Refusal = "signature" // the message is not signed, or was changed after it was signed
	RefusedContent   Refusal = "content"   // the signature is right, and the content is invalid
	RefusedKey       Refusal = "key"       // another key has claimed the attempt, or none has
	RefusedPool      Refusal = "pool"      // the attempt is one of another pool than that of the routing key
	RefusedLate      Refusal = "late"      // a renewal that arrives again, or after a later one: it renews nothing
)

// Refusals lists every refusal.
func Refusals() []Refusal {
	return []Refusal{RefusedSignature, RefusedContent, RefusedKey, RefusedPool, RefusedLate}
}

// RefusalError is the error of a message that its receiver does not believe. The same message will always be refused.
type RefusalError struct {
	Why Refusal
	Err error // with [CodeUnauthorized] or [CodeInvalid]
}

// Refuse returns a [*RefusalError] with [CodeUnauthorized].
func Refuse(why Refusal, format string, args ...any) *RefusalError {
	return &RefusalError{Why: why, Err: Errorf(CodeUnauthorized, format, args...)}
}

func (e *RefusalError) Error() string { return e.Err.Error() }

func (e *RefusalError) Unwrap() error { return e.Err }

// BatchError is the error of a handler that has refused some messages of a batch for good. All other messages of the batch are done.
type BatchError struct {
	Refused map[int]error // by the index in the batch
}

func (e *BatchError) Error() string {
	first := slices.Min(slices.Collect(maps.Keys(e.Refused)))
	return fmt.Sprintf("%d messages refused, the first: %v", len(e.Refused), e.Refused[first])
}
