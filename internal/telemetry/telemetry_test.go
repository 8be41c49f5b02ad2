package telemetry_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/telemetry"
)

// scrape reads the metrics like Prometheus and returns every sample line.
func scrape(t *testing.T, tel *telemetry.Telemetry) []string {
	t.Helper()
	recorder := httptest.NewRecorder()
	tel.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	var lines []string
	for scanner := bufio.NewScanner(recorder.Body); scanner.Scan(); {
		if !strings.HasPrefix(scanner.Text(), "#") {
			lines = append(lines, scanner.Text())
		}
	}
	return lines
}

func setup(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	return tel
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name   string
		record func(ctx context.Context, m *telemetry.Metrics)
		want   string
	}{
		{"an event is counted by source", func(ctx context.Context, m *telemetry.Metrics) { m.EventRecorded(ctx, attune.SourceWebhook) },
			`attune_events_total{source="webhook"} 1`},
		{"a counter begins with 0", func(context.Context, *telemetry.Metrics) {}, `attune_events_total{source="timer"} 0`},
		{"enforcements are counted by status and reason", func(ctx context.Context, m *telemetry.Metrics) {
			m.EnforcementReached(ctx, 3, attune.EnforcementRejected, attune.ReasonQueueFull)
		}, `attune_enforcements_total{reason="queue_full",status="rejected"} 3`},
		{"admitted enforcements are counted", func(ctx context.Context, m *telemetry.Metrics) { m.Admitted(ctx, 7) }, `attune_admitted_total 7`},
		{"a report is counted by effect and status", func(ctx context.Context, m *telemetry.Metrics) {
			m.Completed(ctx, attune.CompletionStale, attune.ExecutionFailed)
		}, `attune_completions_total{effect="stale",status="failed"} 1`},
		{"a request over a limit is counted by the limit", func(ctx context.Context, m *telemetry.Metrics) {
			m.RateLimited(ctx, "webhook")
		}, `attune_http_rate_limited_total{limit="webhook"} 1`},
		{"expired leases are counted",
			func(ctx context.Context, m *telemetry.Metrics) { m.LeasesExpired(ctx, 3) }, `attune_leases_expired_total 3`},
		{"published messages are counted",
			func(ctx context.Context, m *telemetry.Metrics) { m.OutboxPublished(ctx, 2) }, `attune_outbox_published_total 2`},
		{"an attempt of a worker is counted by status",
			func(ctx context.Context, m *telemetry.Metrics) { m.WorkerRan(ctx, attune.ExecutionTimedOut) },
			`attune_worker_runs_total{status="timed_out"} 1`},
		{"a request is counted by method, route and status", func(ctx context.Context, m *telemetry.Metrics) {
			m.RequestServed(ctx, "GET", "/api/v1/events/{id}", 404, 20*time.Millisecond)
		}, `attune_http_request_duration_seconds_count{method="GET",route="/api/v1/events/{id}",status="404"} 1`},
		{"buckets of requests are in seconds", func(ctx context.Context, m *telemetry.Metrics) {
			m.RequestServed(ctx, "GET", "/livez", 200, 20*time.Millisecond)
		}, `attune_http_request_duration_seconds_bucket{method="GET",route="/livez",status="200",le="0.025"} 1`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tel := setup(t)
			tc.record(t.Context(), tel.Metrics)
			require.Contains(t, scrape(t, tel), tc.want)
		})
	}
}

func TestMetricsOfRuntimeAndProcess(t *testing.T) {
	t.Parallel()

	all := strings.Join(scrape(t, setup(t)), "\n")
	require.Contains(t, all, "go_goroutines ")
	require.Contains(t, all, "process_start_time_seconds ")
	require.NotContains(t, all, "otel_scope", "series have no labels of the OpenTelemetry library")
}

func TestMetricsOfTemporalClient(t *testing.T) {
	t.Parallel()

	tel := setup(t)
	handler := tel.Temporal().WithTags(map[string]string{"namespace": "default"})
	handler.Counter("temporal_request").Inc(2)
	handler.Timer("temporal_request_latency").Record(40 * time.Millisecond)
	handler.Gauge("temporal_worker_task_slots_used").Update(5)

	lines := scrape(t, tel)
	require.Contains(t, lines, `temporal_request_total{namespace="default"} 2`)
	require.Contains(t, lines, `temporal_request_latency_seconds_bucket{namespace="default",le="0.05"} 1`)
	require.Contains(t, lines, `temporal_request_latency_seconds_bucket{namespace="default",le="0.025"} 0`)
	require.Contains(t, lines, `temporal_worker_task_slots_used{namespace="default"} 5`)
}

// Two processes in one test must not share counters.
func TestMetricsAreNotGlobal(t *testing.T) {
	t.Parallel()

	one, two := setup(t), setup(t)
	one.Metrics.Admitted(t.Context(), 1)
	require.Contains(t, scrape(t, one), "attune_admitted_total 1")
	require.Contains(t, scrape(t, two), "attune_admitted_total 0")
}
