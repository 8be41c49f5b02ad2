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
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

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

// readinessLogPeriod is how often the log has the reason of a failed readiness check: anyone can request the checks.
const readinessLogPeriod = 30 * time.Second

// newCheckLogs bounds the log lines of each check.
func newCheckLogs(checks map[string]func(context.Context) error) map[string]*rate.Sometimes {
	logs := make(map[string]*rate.Sometimes, len(checks))
	for name := range checks {
		logs[name] = &rate.Sometimes{Interval: readinessLogPeriod}
	}
	return logs
}

// ready runs all checks concurrently and names the failed ones. Anyone may read the response, so only the log says why: a reason has
// addresses and users of the services.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	results := s.runChecks(r.Context())
	health := Health{Status: "ok", Checks: map[string]string{}}
	var names []string
	var failed []ProblemError
	for _, name := range slices.Sorted(maps.Keys(results)) {
		if err := results[name]; err != nil {
			s.logFailedCheck(r.Context(), name, err)
			names, failed = append(names, name), append(failed, ProblemError{Location: name, Message: "the check fails"})
			continue
		}
		health.Checks[name] = "ok"
	}
	if failed == nil {
		writeJSON(w, http.StatusOK, "application/json", health)
		return
	}
	problem := newProblem(http.StatusServiceUnavailable, string(attune.CodeUnavailable), "not ready: "+strings.Join(names, ", ")+
		" (the log and attune doctor say why)")
	problem.Errors = failed
	problem.forRequest(r.Context()).with("Retry-After", retryAfterSeconds).ServeHTTP(w, r)
}

// logFailedCheck logs why a check fails, unless the log has had a line about the check within [readinessLogPeriod].
func (s *Server) logFailedCheck(ctx context.Context, name string, err error) {
	due := false
	s.checkLogs[name].Do(func() { due = true })
	if due {
		s.logger.WarnContext(ctx, "a readiness check fails", "check", name, "error", err)
	}
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
