package rabbitmq

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/attune-go/attune"
)

// guard turns a handler's panic into an error: a message that triggers a bug must not crash the process with every
// redelivery.
func guard(logger *slog.Logger, handle func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			logger.Error("handler panicked", "panic", cause, "stack", string(debug.Stack()))
			err = attune.WrapError(attune.CodeInternal, fmt.Errorf("panic: %v", cause), "handler panicked")
		}
	}()
	return handle()
}
