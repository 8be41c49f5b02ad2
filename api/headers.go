package api

import (
	"fmt"
	"net/http"

	"github.com/attune-go/attune/sources"
)

// idempotencyKey is the header with the dedup key of an event or a run.
const idempotencyKey = "Idempotency-Key"

// singleHeaders refuses a request to the API with several values of a header that decides about the request: attune would use one
// value and ignore the others. X-Request-Id is not among them: see requestID. The health checks read none of them.
func singleHeaders(next http.Handler) http.Handler {
	decisive := []string{
		"Authorization", "Content-Type", "If-Match", "If-None-Match", idempotencyKey, sources.SignatureHeader,
		"Origin", "Sec-Fetch-Site", // read by sameOrigin
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem := sentOnce(r.Header, decisive...); problem != nil && belowAPI(r.URL.Path) {
			problem.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sentOnce returns a problem that names the headers with several values, or nil.
func sentOnce(header http.Header, names ...string) *Problem {
	var found []ProblemError
	for _, name := range names {
		if n := len(header.Values(name)); n > 1 {
			found = append(found, ProblemError{Location: "header." + name, Message: sentTimes(n)})
		}
	}
	if found == nil {
		return nil
	}
	return malformedProblem(found)
}

// sentTimes is the message about a parameter, header or member that was sent n times.
func sentTimes(n int) string { return fmt.Sprintf("sent %d times: send it once", n) }
