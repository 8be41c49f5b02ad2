package api

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/attune-go/attune"
)

// Problem is the body of every response that is not a success: application/problem+json, as RFC 9457 describes it.
type Problem struct { //nolint:errname // callers know it as the problem of RFC 9457; that it is an error is a detail
	Type     string         `json:"type" doc:"Always about:blank; code identifies the problem"`
	Title    string         `json:"title" doc:"The HTTP status in words"`
	Status   int            `json:"status" doc:"The HTTP status"`
	Detail   string         `json:"detail" doc:"What is wrong and what to do, for a person"`
	Instance string         `json:"instance,omitempty" doc:"The id of the request in the server's log; present on 500 and 503"`
	Code     string         `json:"code" doc:"What is wrong, for a program; a code is never renamed"`
	Errors   []ProblemError `json:"errors,omitempty" doc:"Each error, when there can be several; at most 20"`

	header http.Header
}

// ProblemError is one error of a request.
type ProblemError struct {
	Location string `json:"location" doc:"Location of the error, such as body.trigger, query.limit, path.id or header.Idempotency-Key"`
	Message  string `json:"message"`
}

// The codes of problems that only HTTP knows. All others are an [attune.Code].
const (
	CodeMalformed            = "malformed"              // 400: the body is no JSON, missing or incomplete; or a part is ambiguous
	CodeForbidden            = "forbidden"              // 403: the caller lacks a right, or a browser acts for another site
	CodeMethodNotAllowed     = "method_not_allowed"     // 405: see the Allow header
	CodePreconditionFailed   = "precondition_failed"    // 412: the resource is not the version that If-Match or If-None-Match asks for
	CodeTimeout              = "timeout"                // 408: the body did not arrive in time
	CodeUnsupportedMediaType = "unsupported_media_type" // 415
)

// retryAfterSeconds is how many seconds a caller should wait after a 503 or 429.
const retryAfterSeconds = "5"

// newProblem returns a problem with a status and its title.
func newProblem(status int, code, detail string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code,
		Detail: attune.Shorten(detail, maxDetailBytes), header: http.Header{},
	}
}

// with sets a header of the response.
func (p *Problem) with(name, value string) *Problem {
	p.header.Set(name, value)
	return p
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements [huma.HeadersError].
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// ServeHTTP responds with the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	maps.Copy(w.Header(), p.header)
	writeJSON(w, p.Status, p.ContentType(""), p)
}

// writeJSON writes one JSON document. It ignores write errors: they mean that the caller has disconnected.
func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body)
}

// tooLarge returns the problem of a body or payload above a limit in bytes.
func tooLarge(what string, limit int) *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, string(attune.CodeTooLarge),
		what+" has more than "+sizeText(limit)+": put large data elsewhere and send a reference to it")
}

func slowBody() *Problem {
	return newProblem(http.StatusRequestTimeout, CodeTimeout, "the body did not arrive in time")
}

// statusOf returns the HTTP status of an error's code.
func statusOf(code attune.Code) int {
	switch code {
	case attune.CodeInvalid:
		return http.StatusUnprocessableEntity
	case attune.CodeUnauthorized:
		return http.StatusUnauthorized
	case attune.CodeNotFound:
		return http.StatusNotFound
	case attune.CodeConflict:
		return http.StatusConflict
	case attune.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case attune.CodeExhausted:
		return http.StatusTooManyRequests
	case attune.CodeUnavailable:
		return http.StatusServiceUnavailable
	case attune.CodeInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}
