package attune

import (
	"errors"
	"fmt"
)

// Code classifies an error once, where it is first understood. The edges translate it: HTTP into a problem and a
// status, Temporal into a retryable or final application error, a consumer into retry or dead-letter.
type Code string

// The codes, from the caller's fault to ours.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong; the same input will always be wrong
	CodeUnauthorized Code = "unauthorized" // no or wrong credentials or signature
	CodeNotFound     Code = "not_found"    // the thing named does not exist
	CodeConflict     Code = "conflict"     // the thing is not in a status that allows this
	CodeTooLarge     Code = "too_large"    // the input has more bytes than a limit allows
	CodeExhausted    Code = "exhausted"    // a bound or quota is used up
	CodeUnavailable  Code = "unavailable"  // a service we need does not answer; trying again later is right
	CodeInternal     Code = "internal"     // a bug
)

// Error is an error with a [Code] and a message that is safe to show to a caller. Err is the cause; it goes to the
// log, never over HTTP.
type Error struct {
	Code    Code
	Message string
	Err     error
}

// Errorf returns an [Error] without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WrapError returns an [Error] with a cause.
func WrapError(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the outermost [Error] in err's chain, or [CodeInternal] when there is none.
func CodeOf(err error) Code {
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	return CodeInternal
}

// Retryable reports whether the same call may succeed later without anybody changing anything.
func Retryable(err error) bool {
	switch CodeOf(err) {
	case CodeUnavailable, CodeExhausted, CodeInternal:
		return true
	default:
		return false
	}
}
