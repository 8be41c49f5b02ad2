package workflows

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// Translate gives an error of the Temporal client the code that the rest of attune decides by. An argument that the server
// refuses is not the caller's fault but a limit we ran into (10 000 signals in one run, say): it passes with time.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return attune.WrapError(attune.CodeNotFound, err, "no such workflow")
	}
	if _, ok := errors.AsType[*serviceerror.PermissionDenied](err); ok {
		return attune.WrapError(attune.CodeUnauthorized, err, "Temporal refuses our credentials")
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return attune.WrapError(attune.CodeUnavailable, err, "Temporal did not take the request")
}

// ActivityError makes an error that a workflow can decide by: its type is the code. What will never work is final, everything
// else is retried.
func ActivityError(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(attune.CodeOf(err)),
		temporal.ApplicationErrorOptions{NonRetryable: !attune.Retryable(err), Cause: err})
}

// final reports whether an activity's error says that trying again is of no use.
func final(err error) bool {
	application, ok := errors.AsType[*temporal.ApplicationError](err)
	return ok && application.NonRetryable() || temporal.IsCanceledError(err)
}
