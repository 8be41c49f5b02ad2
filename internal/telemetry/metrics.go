package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/attune-go/attune"
)

// Metrics holds attune's counters and gauges. Every method is safe for concurrent use.
//
//	attune_events_total{source}                    recorded events; a repeated delivery is not counted
//	attune_enforcements_total{status,reason}       enforcements that reached this status
//	attune_admitted_total                          enforcements that got a sequence in their queue
//	attune_completions_total{effect,status}        reports of workers, by their effect
//	attune_messages_refused_total{message,reason}  messages of workers or bridges with a wrong signature, key, pool or serial
//	attune_requests_resent_total                   requests that were lost and published again
//	attune_leases_expired_total                    attempts that ended because their lease expired
//	attune_outbox_published_total                  outbox messages that the broker confirmed
//	attune_worker_runs_total{status}               attempts that this worker ran, by their final status
//	attune_http_rate_limited_total{limit}          requests that a limit affects: see docs/operations.md
//	attune_http_request_duration_seconds{method,route,status}
//
// The gauges attune_queue_* and attune_slots_leaked show the state of the queues, and attune_dead_letters that of the dead-letter queue.
type Metrics struct {
	events       metric.Int64Counter
	enforcements metric.Int64Counter
	admitted     metric.Int64Counter
	completions  metric.Int64Counter
	refused      metric.Int64Counter
	resent       metric.Int64Counter
	leases       metric.Int64Counter
	outbox       metric.Int64Counter
	workerRuns   metric.Int64Counter
	rateLimited  metric.Int64Counter
	httpDuration metric.Float64Histogram
	queues       *queueGauges
	dead         *deadLetters
}

// secondsView gives every histogram buckets in seconds: from 1 ms, for a request that reads one row, to 30 s, for a request that
// waits for a service. OpenTelemetry's default buckets are for milliseconds, and Temporal's SDK cannot set others.
func secondsView() sdkmetric.View {
	bounds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	return sdkmetric.NewView(
		sdkmetric.Instrument{Name: "*", Unit: "s", Kind: sdkmetric.InstrumentKindHistogram},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: bounds}},
	)
}

func newMetrics(meter metric.Meter) (*Metrics, error) {
	m := &Metrics{}
	counters := []struct {
		into       *metric.Int64Counter
		name, desc string
	}{
		{&m.events, "attune.events", "Recorded events, by source."},
		{&m.enforcements, "attune.enforcements", "Enforcements that reached a status, by status and reason."},
		{&m.admitted, "attune.admitted", "Enforcements that got a sequence in their queue."},
		{&m.completions, "attune.completions", "Reports of workers, by their effect."},
		{&m.refused, "attune.messages.refused", "Messages of workers and bridges that were refused, by routing key and reason."},
		{&m.resent, "attune.requests.resent", "Requests that were published again because no worker can receive them."},
		{&m.leases, "attune.leases.expired", "Attempts that ended because their lease expired."},
		{&m.outbox, "attune.outbox.published", "Outbox messages that the broker confirmed."},
		{&m.workerRuns, "attune.worker.runs", "Attempts that this worker ran, by their final status."},
		{&m.rateLimited, "attune.http.rate_limited", "Requests that a limit has refused, or left out of the audit log."},
	}
	for _, c := range counters {
		counter, err := meter.Int64Counter(c.name, metric.WithDescription(c.desc))
		if err != nil {
			return nil, fmt.Errorf("create counter %q: %w", c.name, err)
		}
		*c.into = counter
	}
	var err error
	m.httpDuration, err = meter.Float64Histogram("attune.http.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from the headers of a request to the end of its response."))
	if err != nil {
		return nil, fmt.Errorf("create histogram: %w", err)
	}
	if m.queues, err = newQueueGauges(meter); err != nil {
		return nil, err
	}
	if m.dead, err = newDeadLetters(meter); err != nil {
		return nil, err
	}
	m.startAtZero()
	return m, nil
}

// startAtZero gives the counters with few series the value 0. Without it a series begins with 1, and a rate misses the first
// increment.
func (m *Metrics) startAtZero() {
	ctx := context.Background()
	for _, source := range []attune.Source{attune.SourceAPI, attune.SourceWebhook, attune.SourceTimer, attune.SourceManual} {
		m.events.Add(ctx, 0, with("source", source))
	}
	for _, key := range []string{attune.KeyExecutionClaim, attune.KeyExecutionRenew, attune.KeyExecutionCompleted} {
		for _, why := range attune.Refusals() {
			m.refused.Add(ctx, 0, with("message", key), with("reason", why))
		}
	}
	for _, key := range []string{
		attune.KeyOfReply(attune.KeyExecutionClaim), attune.KeyOfReply(attune.KeyExecutionRenew), attune.KeyExecutionCancel,
	} {
		for _, why := range []attune.Refusal{attune.RefusedSignature, attune.RefusedKey, attune.RefusedContent} {
			m.refused.Add(ctx, 0, with("message", key), with("reason", why))
		}
	}
	m.admitted.Add(ctx, 0)
	m.resent.Add(ctx, 0)
	m.leases.Add(ctx, 0)
	m.outbox.Add(ctx, 0)
}

// EventRecorded counts one recorded event.
func (m *Metrics) EventRecorded(ctx context.Context, source attune.Source) {
	m.events.Add(ctx, 1, with("source", source))
}

// EnforcementReached counts n enforcements that reached a status. The reason is empty unless the status has one.
func (m *Metrics) EnforcementReached(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason) {
	m.enforcements.Add(ctx, int64(n), with("status", status), with("reason", reason))
}

// Admitted counts n enforcements that got a sequence in their queue.
func (m *Metrics) Admitted(ctx context.Context, n int) {
	m.admitted.Add(ctx, int64(n))
}

// Completed counts one report of a worker, with its effect and its status.
func (m *Metrics) Completed(ctx context.Context, effect attune.CompletionEffect, status attune.ExecutionStatus) {
	m.completions.Add(ctx, 1, with("effect", effect), with("status", status))
}

// MessageRefused counts one message of a worker, or of a bridge to a worker, that was refused.
func (m *Metrics) MessageRefused(ctx context.Context, routingKey string, why attune.Refusal) {
	m.refused.Add(ctx, 1, with("message", routingKey), with("reason", why))
}

// LeasesExpired counts n attempts that ended because their lease expired.
func (m *Metrics) LeasesExpired(ctx context.Context, n int) {
	m.leases.Add(ctx, int64(n))
}

// RequestsResent counts n requests that were lost and published again.
func (m *Metrics) RequestsResent(ctx context.Context, n int) {
	m.resent.Add(ctx, int64(n))
}

// OutboxPublished counts n outbox messages that the broker confirmed.
func (m *Metrics) OutboxPublished(ctx context.Context, n int) {
	m.outbox.Add(ctx, int64(n))
}

// WorkerRan counts one attempt that ended on this worker.
func (m *Metrics) WorkerRan(ctx context.Context, status attune.ExecutionStatus) {
	m.workerRuns.Add(ctx, 1, with("status", status))
}

// RateLimited counts one request that reached a limit.
func (m *Metrics) RateLimited(ctx context.Context, limit string) {
	m.rateLimited.Add(ctx, 1, with("limit", limit))
}

// RequestServed records the duration of one HTTP request. route is the pattern that matched ("/api/v1/events/{id}") and never the
// path: the number of paths, and so of series, would be unbounded.
func (m *Metrics) RequestServed(ctx context.Context, method, route string, status int, took time.Duration) {
	m.httpDuration.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("method", method), attribute.String("route", route), attribute.Int("status", status)))
}

func with[T ~string](name string, value T) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(name, string(value)))
}
