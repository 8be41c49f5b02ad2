// Package telemetry builds the two things a process is watched through: a structured logger and a set of metrics.
//
// Nothing here is global. The metrics live in their own registry, so two processes inside one test do not see each
// other, and the packages that count something get a [*Metrics] (usually behind an interface of their own) instead of
// reaching for a default.
//
// A metric is never a reason to fail: recording cannot return an error and does not block.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// Names of the meters: whose instruments they are.
const (
	meterAttune   = "attune"
	meterTemporal = "temporal-sdk-go"
)

// Telemetry is the metrics of one process.
type Telemetry struct {
	Metrics  *Metrics
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	logger   *slog.Logger
}

// New returns metrics that are read through [Telemetry.Handler]: attune's own, those of the Go runtime and those of
// the process. logger gets what goes wrong while metrics are read.
func New(logger *slog.Logger) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("create the metrics exporter: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithView(secondsView()))
	metrics, err := newMetrics(provider.Meter(meterAttune))
	if err != nil {
		return nil, err
	}
	return &Telemetry{Metrics: metrics, provider: provider, registry: registry, logger: logger}, nil
}

// Handler serves the metrics in the Prometheus text format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		Registry: t.registry,
		ErrorLog: slog.NewLogLogger(t.logger.Handler(), slog.LevelError),
	})
}

// Temporal returns a metrics handler for the options of a Temporal client; its metrics (temporal_request_total,
// temporal_workflow_endtoend_latency_seconds, …) appear beside attune's own.
func (t *Telemetry) Temporal() client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                t.provider.Meter(meterTemporal),
		UseMonotonicCounters: true,
		// The handler's own choice is to panic; a metric that cannot be created is not worth a process.
		OnError: func(err error) { t.logger.Error("create a metric of the Temporal SDK", "err", err) },
	})
}

// Shutdown releases what the metrics hold. Recording afterwards is harmless and has no effect.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut metrics down: %w", err)
	}
	return nil
}
