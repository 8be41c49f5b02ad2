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

// checkQuery refuses a query that cannot be parsed, and a parameter that has no value or several. The framework would take an
// empty value for a missing parameter, and use the first of several values. The framework itself refuses unknown parameters.
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
		return []ProblemError{{Location: "query", Message: "cannot be parsed: " + attune.Shorten(err.Error(), maxMessageBytes)}}
	}
	var found []ProblemError
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch n := len(query[name]); {
		case n > 1:
			found = append(found, ProblemError{Location: "query." + name, Message: fmt.Sprintf("sent %d times: send it once", n)})
		case query.Get(name) == "":
			found = append(found, ProblemError{Location: "query." + name, Message: "empty: give it a value, or leave it out"})
		}
	}
	return found
}

// invalidProblem returns the 422 of a request with these errors.
func invalidProblem(found []ProblemError) *Problem {
	problem := newProblem(http.StatusUnprocessableEntity, string(attune.CodeInvalid), summary(found))
	problem.Errors = shortened(found)
	return problem
}
