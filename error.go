package attune

import (
	"errors"
	"fmt"
)

// Code classifies an error. The function that first understands an error chooses the code. The edges translate the code: HTTP
// into a problem and a status, Temporal into a retryable or final application error, a consumer into retry or dead-letter.
//
// Stored in Temporal's history: in the result of an update.
type Code string

// The codes, from mistakes of the caller to mistakes of attune.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong; the same input will always be wrong
	CodeUnauthorized Code = "unauthorized" // no or wrong credentials or signature
	CodeNotFound     Code = "not_found"    // the resource does not exist
	CodeConflict     Code = "conflict"     // the status of the resource does not allow the request
	CodeTooLarge     Code = "too_large"    // the input has more bytes than a limit allows
	CodeExhausted    Code = "exhausted"    // a bound or quota is used up
	CodeUnavailable  Code = "unavailable"  // a service that attune needs does not answer; the caller should try again later
	CodeInternal     Code = "internal"     // a bug
)

// Error is an error with a [Code] and a message that is safe to show to a caller. Err is the cause; attune logs the cause and
// never sends it over HTTP.
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

// CodeOf returns the code of the outermost [Error] in err's chain, or [CodeInternal] when the chain has no [Error].
func CodeOf(err error) Code {
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	return CodeInternal
}

// Retryable reports whether the same call may succeed later with the same input.
func Retryable(err error) bool {
	switch CodeOf(err) {
	case CodeUnavailable, CodeExhausted, CodeInternal:
		return true
	default:
		return false
	}
}
