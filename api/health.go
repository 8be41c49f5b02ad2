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

// Health is the response of /livez and of /readyz when every check succeeds.
type Health struct {
	Status string            `json:"status" enum:"ok"`
	Checks map[string]string `json:"checks,omitempty" doc:"ok for each readiness check, by name"`
}

func (s *Server) registerHealth() {
	s.router.handlePublic("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", Health{Status: "ok"})
	})
	s.describe(huma.Operation{
		OperationID: "livez", Method: http.MethodGet, Path: "/livez", Tags: []string{"health"},
		Summary: "Check that the process is up", Security: []map[string][]string{},
	}, http.StatusOK, Health{})

	s.router.handlePublic("GET /readyz", s.ready)
	s.describe(huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: []string{"health"},
		Summary: "Check that every service that the process needs works", Security: []map[string][]string{},
	}, http.StatusOK, Health{}, http.StatusServiceUnavailable)

	s.router.handlePublic("GET /metrics", s.deps.MetricsPage.ServeHTTP)
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"health"},
		Summary: "Metrics in the Prometheus text format", Security: []map[string][]string{},
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"text/plain": {}}}},
	})
}

// ready runs all checks concurrently and names the failed ones.
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
	problem.forRequest(r.Context()).with("Retry-After", retryAfterSeconds).ServeHTTP(w, r)
}

// reasonOf returns the message of an [attune.Error], which is written for callers, or else the text of the error.
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

// runCheck returns after CheckTimeout even if the check ignores its context.
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
