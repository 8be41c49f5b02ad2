package rabbitmq

import (
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

// refusals bounds the dead letters and the log lines of refused messages: a flood of forged messages must not hold up the others, nor push
// all other letters out of the dead-letter queue. One goroutine uses it.
type refusals struct {
	perSecond int // 0 for no bound
	logger    *slog.Logger

	second  time.Time // the start of the current second
	kept    int       // in the current second
	dropped int       // since the last line of the log
}

// refusal reports whether a message with this failure can be dropped in a flood.
func refusal(cause error) bool {
	code := attune.CodeOf(cause)
	return code == attune.CodeInvalid || code == attune.CodeUnauthorized
}

// keep reports whether a failed message becomes a dead letter and a line of the log.
func (r *refusals) keep(cause error, now time.Time) bool {
	if r.perSecond == 0 || !refusal(cause) {
		return true
	}
	if now.Sub(r.second) >= time.Second {
		r.report()
		r.second, r.kept = now, 0
	}
	if r.kept < r.perSecond {
		r.kept++
		return true
	}
	r.dropped++
	return false
}

// report logs how many messages were dropped.
func (r *refusals) report() {
	if r.dropped == 0 {
		return
	}
	r.logger.Error("refused messages dropped: more arrive than become dead letters", "messages", r.dropped, "kept_per_second", r.perSecond)
	r.dropped = 0
}
