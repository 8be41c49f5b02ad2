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

// problem translates an error into the response for the caller. It logs the cause of an internal error, which callers must
// not see, and of an unavailable service.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	if problem := documentProblem(err); problem != nil {
		return problem
	}
	code, detail := attune.CodeOf(err), ""
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		detail = coded.Message
	} else if errors.Is(err, context.DeadlineExceeded) {
		code, detail = attune.CodeUnavailable, "the request took too long"
	} else if errors.Is(err, context.Canceled) {
		code, detail = attune.CodeUnavailable, "the request ended before its answer: its caller has left, or the server stops"
	}
	switch code {
	case attune.CodeUnauthorized:
		return unauthorized(detail)
	case attune.CodeExhausted:
		return newProblem(statusOf(code), string(code), detail).with("Retry-After", retryAfterSeconds)
	case attune.CodeUnavailable:
		s.report(ctx, slog.LevelWarn, err)
		return newProblem(statusOf(code), string(code), detail).forRequest(ctx).with("Retry-After", retryAfterSeconds)
	case attune.CodeInvalid, attune.CodeNotFound, attune.CodeConflict, attune.CodeTooLarge:
		return newProblem(statusOf(code), string(code), detail)
	default:
		s.report(ctx, slog.LevelError, err)
		return internalProblem(ctx)
	}
}

// internalProblem returns a 500 that names only the request id in the log.
func internalProblem(ctx context.Context) *Problem {
	return newProblem(http.StatusInternalServerError, string(attune.CodeInternal),
		"internal error: the server's log has the cause under the request id "+requestInfoOf(ctx).id).forRequest(ctx)
}

// forRequest sets the instance of the problem to the id of the request.
func (p *Problem) forRequest(ctx context.Context) *Problem {
	p.Instance = "urn:request:" + requestInfoOf(ctx).id
	return p
}

// report logs the error of a request. The level is debug when the client has cancelled the request: no caller waits for it.
func (s *Server) report(ctx context.Context, level slog.Level, err error) {
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	info := requestInfoOf(ctx)
	s.logger.Log(ctx, level, "a request failed", "request_id", info.id, "route", info.route, "err", err)
}

// transform replaces the framework's response to a request that it refused by a [Problem]. The framework's text is in the
// words of JSON Schema and repeats values, which may be secret or large.
func (s *Server) transform(ctx huma.Context, _ string, body any) (any, error) {
	model, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	return s.fromModel(ctx.Context(), ctx.Operation(), model), nil
}

func (s *Server) fromModel(ctx context.Context, op *huma.Operation, model *huma.ErrorModel) *Problem {
	found := problemErrors(op, model.Errors)
	switch model.Status {
	case http.StatusBadRequest:
		if len(found) == 0 {
			return newProblem(model.Status, CodeMalformed, "the request needs a JSON body")
		}
		return newProblem(model.Status, CodeMalformed, "the body is not valid JSON: "+found[0].Message)
	case http.StatusUnsupportedMediaType:
		return newProblem(model.Status, CodeUnsupportedMediaType, "the body must be JSON: send it with Content-Type: application/json")
	case http.StatusUnprocessableEntity:
		return invalidProblem(found)
	default:
		s.report(ctx, slog.LevelWarn, fmt.Errorf("status %d: %s %v", model.Status, model.Detail, found))
		problem := internalProblem(ctx)
		problem.Status, problem.Title = model.Status, http.StatusText(model.Status) // the framework has sent this status
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

// Bounds of the text that a problem repeats from a request: a request can have thousands of wrong members with names of any
// length.
const (
	maxQuoted       = 40   // bytes of a value
	maxNameBytes    = 100  // bytes of the name of a parameter or member
	maxMessageBytes = 300  // bytes of the message of one error
	maxDetailBytes  = 1500 // bytes of the detail
	maxListed       = 20   // errors in the list
)

// shortened returns the errors that a problem lists: the first [maxListed], with bounded texts.
func shortened(found []ProblemError) []ProblemError {
	var listed []ProblemError
	for _, e := range found[:min(maxListed, len(found))] {
		listed = append(listed, ProblemError{
			Location: attune.Shorten(e.Location, maxNameBytes), Message: attune.Shorten(e.Message, maxMessageBytes),
		})
	}
	return listed
}

// advice completes a message of the framework with the values or parameters to use instead.
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
		return message + ": this operation has none"
	}
	return message + ": use " + strings.Join(names, ", ")
}

// summary joins the first errors into one line and counts the rest.
func summary(found []ProblemError) string {
	const most = 3
	var parts []string
	for _, e := range shortened(found[:min(most, len(found))]) {
		parts = append(parts, e.Location+": "+e.Message)
	}
	if more := len(found) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

func sizeText(bytes int) string { return fmt.Sprintf("%d KiB", bytes>>10) }
