package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/attune-go/attune"
)

// checkQuery refuses a query that cannot be read, and a parameter that is given more than once: every parameter takes one
// value, and the framework would take the first and say nothing about the others. Unknown ones the framework refuses.
func (s *Server) checkQuery(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if found := queryErrors(r.URL.RawQuery); found != nil {
		invalidProblem(found).ServeHTTP(w, r)
		return
	}
	next(ctx)
}

func queryErrors(raw string) []ProblemError {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return []ProblemError{{Location: "query", Message: "it cannot be read: " + attune.Shorten(err.Error(), maxMessageBytes)}}
	}
	var found []ProblemError
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if n := len(query[name]); n > 1 {
			found = append(found, ProblemError{Location: "query." + name, Message: fmt.Sprintf("it is given %d times: give it once", n)})
		}
	}
	return found
}

// invalidProblem is the problem of a request with these things wrong.
func invalidProblem(found []ProblemError) *Problem {
	problem := newProblem(http.StatusUnprocessableEntity, string(attune.CodeInvalid), summary(found))
	problem.Errors = told(found)
	return problem
}
