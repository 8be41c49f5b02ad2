// Package telemetry builds the logger and the metrics of a process.
//
// Nothing in the package is global. Each [Telemetry] has its own registry, so two processes inside one test do not share
// counters. Packages that count get a [*Metrics], usually behind an interface of their own.
//
// Recording a metric returns no error and does not block.
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

// Names of the meters: attune's own metrics, and those of Temporal's SDK.
const (
	meterAttune   = "attune"
	meterTemporal = "temporal-sdk-go"
)

// Telemetry holds the metrics of one process.
type Telemetry struct {
	Metrics  *Metrics
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	logger   *slog.Logger
}

// New returns the metrics of attune, the Go runtime and the process. [Telemetry.Handler] serves them. Errors of a scrape go to
// logger.
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

// Temporal returns the metrics handler for the options of a Temporal client. [Telemetry.Handler] also serves the metrics of the
// client (temporal_request_total, temporal_workflow_endtoend_latency_seconds, …).
func (t *Telemetry) Temporal() client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                t.provider.Meter(meterTemporal),
		UseMonotonicCounters: true,
		// By default the handler panics. A missing metric must not stop the process.
		OnError: func(err error) { t.logger.Error("create a metric of the Temporal SDK", "err", err) },
	})
}

// Shutdown releases the resources of the metrics. Later records are ignored.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut down the metrics: %w", err)
	}
	return nil
}
