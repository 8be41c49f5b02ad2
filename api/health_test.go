package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestHealth(t *testing.T) {
	t.Parallel()

	fine := func(context.Context) error { return nil }

	t.Run("the process is live", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.deps.Checks = map[string]func(context.Context) error{"postgres": func(context.Context) error { return errors.New("down") }}
		recorder := b.do(t, get("/livez"))
		require.Equal(t, http.StatusOK, recorder.Code, "a service that is down is no reason to restart the process")
		requireJSON(t, `{"status": "ok"}`, recorder)
	})

	t.Run("the process is ready", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.deps.Checks = map[string]func(context.Context) error{"postgres": fine, "rabbitmq": fine}
		recorder := b.do(t, get("/readyz"))
		require.Equal(t, http.StatusOK, recorder.Code)
		requireJSON(t, `{"status": "ok", "checks": {"postgres": "ok", "rabbitmq": "ok"}}`, recorder)
	})

	t.Run("failed checks are named", func(t *testing.T) {
		t.Parallel()
		// In the bubble of synctest, time passes only while every goroutine is blocked: a check that returns is never late.
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			b.config.CheckTimeout = 10 * time.Millisecond
			forever := make(chan struct{})
			defer close(forever)
			b.deps.Checks = map[string]func(context.Context) error{
				"postgres": func(context.Context) error {
					return attune.WrapError(attune.CodeUnavailable, errSecretCause, "127.0.0.1:5432 refuses user root")
				},
				"rabbitmq": fine,
				"temporal": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
				"stuck":    func(context.Context) error { <-forever; return nil },
				"broken":   func(context.Context) error { panic("oops") },
			}
			for range 100 {
				recorder := b.do(t, request{http.MethodGet, "/readyz", "", []string{"Authorization:"}})
				problem := requireProblem(t, recorder, 503, "unavailable")
				require.Equal(t, "5", recorder.Header().Get("Retry-After"))
				require.Equal(t, "not ready: broken, postgres, stuck, temporal (the log and attune doctor say why)", problem.Detail)
				var names []string
				for _, e := range problem.Errors {
					require.Equal(t, "the check fails", e.Message)
					names = append(names, e.Location)
				}
				require.Equal(t, []string{"broken", "postgres", "stuck", "temporal"}, names)
				for _, reason := range []string{"hunter2", "127.0.0.1", "root", "oops", "10ms"} {
					require.NotContains(t, recorder.Body.String(), reason, "anyone may read the response")
				}
			}
			for check, reason := range map[string]string{
				"postgres": "127.0.0.1:5432 refuses user root",
				"temporal": "no answer within 10ms",
				"stuck":    "no answer within 10ms",
				"broken":   "the check panicked: oops",
			} {
				require.Regexp(t, `a readiness check fails.*check=`+check+`.*`+reason, b.log.String())
			}
			require.Equal(t, 4, strings.Count(b.log.String(), "a readiness check fails"), "requests in a loop do not fill the log")
			<-time.After(time.Minute)
			b.do(t, get("/readyz"))
			require.Equal(t, 8, strings.Count(b.log.String(), "a readiness check fails"))
		})
	})
}

func TestMetricsPage(t *testing.T) {
	t.Parallel()

	b := setup(t)
	recorder := b.do(t, get("/metrics"))
	require.Equal(t, http.StatusOK, recorder.Code)
	require.Equal(t, "attune_up 1\n", recorder.Body.String())
}
