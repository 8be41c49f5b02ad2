package fxmodules

import (
	"log/slog"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/attune-go/attune/internal/config"
)

// startTimeout bounds the start: services that do not answer are reported long before. stopTimeout leaves running actions
// the time a worker gives them.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// New returns the process for the roles of cfg. Whatever prevents it from being built is in its Err.
func New(cfg config.Config, log *slog.Logger) *fx.App {
	return fx.New(Options(cfg, log), fx.WithLogger(func() fxevent.Logger {
		events := &fxevent.SlogLogger{Logger: log}
		events.UseLogLevel(slog.LevelDebug)
		events.UseErrorLevel(slog.LevelDebug) // the error reaches whoever started the app; once is enough
		return events
	}))
}

// Options are the modules of a process with the roles of cfg.
func Options(cfg config.Config, log *slog.Logger) fx.Option {
	options := []fx.Option{
		fx.Supply(cfg, log),
		fx.StartTimeout(startTimeout), fx.StopTimeout(stopTimeout),
		fx.Provide(newLoops),
		Telemetry, Packs, Postgres, RabbitMQ, Temporal,
	}
	if cfg.Has(config.RoleOrchestrator) {
		options = append(options, Orchestrator)
	}
	if cfg.Has(config.RoleBridge) {
		options = append(options, Bridge)
	}
	if cfg.Has(config.RoleWorker) {
		options = append(options, Worker)
	}
	if cfg.Has(config.RoleAPI) {
		options = append(options, API)
	}
	return fx.Options(options...)
}

// Cause is the error that made an app fail, without the path through the constructors that fx wraps around it.
func Cause(err error) error { return dig.RootCause(err) }
