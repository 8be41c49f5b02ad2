package workflows

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// Translate adds an [attune.Code] to an error of the Temporal client. An invalid argument is [attune.CodeUnavailable], because
// its cause is a limit of the server, such as 10 000 signals in one run, and a later try succeeds. Refused credentials are
// [attune.CodeUnavailable] too: they are attune's own, not those of a caller.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return attune.WrapError(attune.CodeNotFound, err, "no such workflow")
	}
	if _, ok := errors.AsType[*serviceerror.PermissionDenied](err); ok {
		return attune.WrapError(attune.CodeUnavailable, err, "Temporal refuses attune's credentials")
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return attune.WrapError(attune.CodeUnavailable, err, "Temporal did not accept the request")
}

// ActivityError returns an application error whose type is the code of err. The error is non-retryable if err is: see
// [attune.Retryable].
func ActivityError(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(attune.CodeOf(err)),
		temporal.ApplicationErrorOptions{NonRetryable: !attune.Retryable(err), Cause: err})
}

// final reports whether repeating an activity after err is useless.
func final(err error) bool {
	application, ok := errors.AsType[*temporal.ApplicationError](err)
	return ok && application.NonRetryable() || temporal.IsCanceledError(err)
}
