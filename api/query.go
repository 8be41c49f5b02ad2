package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/attune-go/attune"
)

// checkParameters refuses a query that cannot be parsed, a parameter that has no value or several, and a number in another form
// than attune writes it. The framework would take an empty value for a missing parameter, use the first of several values, and
// take +1 and 01 for 1. The framework itself refuses unknown parameters.
func (s *Server) checkParameters(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if found := append(queryErrors(r.URL.RawQuery), numberErrors(ctx)...); found != nil {
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
			found = append(found, ProblemError{Location: "query." + name, Message: sentTimes(n)})
		case query.Get(name) == "":
			found = append(found, ProblemError{Location: "query." + name, Message: "empty: give it a value, or leave it out"})
		}
	}
	return found
}

// numberErrors finds the numbers of a path or query that are not canonical. The framework refuses what is no whole number at all.
func numberErrors(ctx huma.Context) []ProblemError {
	var found []ProblemError
	for _, parameter := range ctx.Operation().Parameters {
		if parameter.Schema.Type != huma.TypeInteger {
			continue
		}
		text := ctx.Param(parameter.Name)
		if parameter.In == "query" {
			text = ctx.Query(parameter.Name)
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) != text {
			found = append(found, ProblemError{
				Location: parameter.In + "." + parameter.Name, Message: "write the number without a plus sign and without leading zeros",
			})
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

// malformedProblem returns the 400 of a request with these errors.
func malformedProblem(found []ProblemError) *Problem {
	problem := newProblem(http.StatusBadRequest, CodeMalformed, summary(found))
	problem.Errors = shortened(found)
	return problem
}
