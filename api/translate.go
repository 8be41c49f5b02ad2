package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// problem translates an error for the caller. What the caller must not see, or could do nothing about, is logged.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	code, detail := attune.CodeOf(err), ""
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		detail = coded.Message
	} else if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		code, detail = attune.CodeUnavailable, "the answer took too long"
	}
	switch code {
	case attune.CodeUnauthorized:
		return unauthorized(detail)
	case attune.CodeExhausted:
		return newProblem(statusOf(code), string(code), detail).with("Retry-After", retryAfterSeconds)
	case attune.CodeUnavailable:
		s.report(ctx, slog.LevelWarn, err)
		return newProblem(statusOf(code), string(code), detail).from(ctx).with("Retry-After", retryAfterSeconds)
	case attune.CodeInvalid, attune.CodeNotFound, attune.CodeConflict, attune.CodeTooLarge:
		return newProblem(statusOf(code), string(code), detail)
	default:
		s.report(ctx, slog.LevelError, err)
		return internalProblem(ctx)
	}
}

// internalProblem says nothing but where to look.
func internalProblem(ctx context.Context) *Problem {
	return newProblem(http.StatusInternalServerError, string(attune.CodeInternal),
		"something went wrong inside attune; the server's log says what, under the request id "+exchangeOf(ctx).id).from(ctx)
}

// from names the request that the problem belongs to.
func (p *Problem) from(ctx context.Context) *Problem {
	p.Instance = "urn:request:" + exchangeOf(ctx).id
	return p
}

// report logs the error of a request. The level is debug when the client has cancelled the request: no caller waits for it.
func (s *Server) report(ctx context.Context, level slog.Level, err error) {
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	exchange := exchangeOf(ctx)
	s.logger.Log(ctx, level, "a request failed", "request_id", exchange.id, "route", exchange.route, "err", err)
}

// transform replaces what the HTTP framework says about a request that it refused. Its texts are about JSON Schema, and
// it repeats values, which may be secret or large.
func (s *Server) transform(ctx huma.Context, _ string, body any) (any, error) {
	refusal, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	return s.refused(ctx.Context(), ctx.Operation(), refusal), nil
}

func (s *Server) refused(ctx context.Context, op *huma.Operation, refusal *huma.ErrorModel) *Problem {
	found := problemErrors(op, refusal.Errors)
	switch refusal.Status {
	case http.StatusBadRequest:
		if len(found) == 0 {
			return newProblem(refusal.Status, CodeMalformed, "the request needs a JSON body")
		}
		return newProblem(refusal.Status, CodeMalformed, "the body is not valid JSON: "+found[0].Message)
	case http.StatusUnsupportedMediaType:
		return newProblem(refusal.Status, CodeUnsupportedMediaType, "the body must be JSON: send it with Content-Type: application/json")
	case http.StatusUnprocessableEntity:
		return invalidProblem(found)
	default:
		s.report(ctx, slog.LevelWarn, fmt.Errorf("status %d: %s %v", refusal.Status, refusal.Detail, found))
		problem := internalProblem(ctx)
		problem.Status, problem.Title = refusal.Status, http.StatusText(refusal.Status) // the status has been sent
		return problem
	}
}

func problemErrors(op *huma.Operation, details []*huma.ErrorDetail) []ProblemError {
	var found []ProblemError
	for _, detail := range details {
		if detail != nil {
			found = append(found, ProblemError{Location: detail.Location, Message: advice(op, detail.Message)})
		}
	}
	slices.SortStableFunc(found, func(a, b ProblemError) int { return cmp.Compare(a.Location, b.Location) })
	return found
}

// Bounds of what a problem repeats of a request, which can have thousands of wrong members with names of any length.
const (
	maxQuoted       = 40   // bytes of a value
	maxNameBytes    = 100  // of the name of a parameter or member
	maxMessageBytes = 300  // of one thing that is wrong
	maxDetailBytes  = 1500 // of all of them together
	maxTold         = 20   // things that are wrong
)

// told are the errors that a problem lists: the first ones, shortened.
func told(found []ProblemError) []ProblemError {
	var told []ProblemError
	for _, e := range found[:min(maxTold, len(found))] {
		told = append(told, ProblemError{
			Location: attune.Shorten(e.Location, maxNameBytes), Message: attune.Shorten(e.Message, maxMessageBytes),
		})
	}
	return told
}

// advice says what to do where the framework only says what is wrong.
func advice(op *huma.Operation, message string) string {
	if values, ok := strings.CutPrefix(message, "expected value to be one of "); ok {
		return "use one of " + strings.Trim(values, `"`)
	}
	if message != "unknown query parameter" {
		return message
	}
	var names []string
	for _, parameter := range op.Parameters {
		if parameter.In == "query" {
			names = append(names, parameter.Name)
		}
	}
	if names == nil {
		return message + ": there are none here"
	}
	return message + ": use " + strings.Join(names, ", ")
}

// summary puts the errors into one line; with many, the list has the rest.
func summary(found []ProblemError) string {
	const most = 3
	var parts []string
	for _, e := range told(found[:min(most, len(found))]) {
		parts = append(parts, e.Location+": "+e.Message)
	}
	if more := len(found) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

func sizeText(bytes int) string { return fmt.Sprintf("%d KiB", bytes>>10) }
