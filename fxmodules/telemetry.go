package fxmodules

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune/internal/telemetry"
)

// Telemetry provides the metrics of the process.
var Telemetry = fx.Module("telemetry", fx.Provide(newTelemetry))

func newTelemetry(lifecycle fx.Lifecycle, log *slog.Logger) (*telemetry.Telemetry, *telemetry.Metrics, error) {
	t, err := telemetry.New(log)
	if err != nil {
		return nil, nil, err
	}
	lifecycle.Append(fx.Hook{OnStop: t.Shutdown})
	return t, t.Metrics, nil
}
