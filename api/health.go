package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// Health is the answer of /livez and /readyz when all is well.
type Health struct {
	Status string            `json:"status" enum:"ok"`
	Checks map[string]string `json:"checks,omitempty" doc:"ok for each thing that was checked"`
}

func (s *Server) registerHealth() {
	s.router.handleOpen("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", Health{Status: "ok"})
	})
	s.describe(huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: "/livez", Tags: []string{"health"},
		Summary: "The process answers", Security: []map[string][]string{},
	}, http.StatusOK, Health{})

	s.router.handleOpen("GET /readyz", s.ready)
	s.describe(huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary: "Everything that the process needs works", Security: []map[string][]string{},
	}, http.StatusOK, Health{}, http.StatusServiceUnavailable)

	s.router.handleOpen("GET /metrics", s.deps.MetricsPage.ServeHTTP)
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"health"},
		Summary: "Metrics in the Prometheus text format", Security: []map[string][]string{},
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"text/plain": {}}}},
	})
}

// ready runs all checks at once and names those that fail.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	results := s.runChecks(r.Context())
	health := Health{Status: "ok", Checks: map[string]string{}}
	var failed []ProblemError
	for _, name := range slices.Sorted(maps.Keys(results)) {
		if err := results[name]; err != nil {
			failed = append(failed, ProblemError{Location: name, Message: reasonOf(err)})
			continue
		}
		health.Checks[name] = "ok"
	}
	if failed == nil {
		writeJSON(w, http.StatusOK, "application/json", health)
		return
	}
	problem := newProblem(http.StatusServiceUnavailable, string(attune.CodeUnavailable), "not ready: "+summary(failed))
	problem.Errors = failed
	problem.from(r.Context()).with("Retry-After", retryAfterSeconds).ServeHTTP(w, r)
}

// reasonOf prefers the message that was written to be shown.
func reasonOf(err error) string {
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		return coded.Message
	}
	return strings.ToValidUTF8(err.Error(), "\uFFFD")
}

func (s *Server) runChecks(ctx context.Context) map[string]error {
	var (
		group   sync.WaitGroup
		mu      sync.Mutex
		results = map[string]error{}
	)
	for name, check := range s.deps.Checks {
		group.Go(func() {
			err := s.runCheck(ctx, check)
			mu.Lock()
			defer mu.Unlock()
			results[name] = err
		})
	}
	group.Wait()
	return results
}

// runCheck does not wait for a check that ignores its context: the answer must come in time.
func (s *Server) runCheck(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.CheckTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- fmt.Errorf("the check panicked: %v", cause)
			}
		}()
		done <- check(ctx)
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	case <-ctx.Done():
	}
	return attune.Errorf(attune.CodeUnavailable, "no answer within %s", s.config.CheckTimeout)
}
