package fxmodules

import (
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/attune-go/attune/internal/config"
)

// startTimeout bounds the start: services that do not answer are reported long before. stopTimeout leaves running actions
// the time a worker gives them.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
)

// Version is that of the program.
type Version string

// Options are the modules of a process with the roles of cfg.
func Options(cfg config.Config, version Version, log *slog.Logger) fx.Option {
	options := []fx.Option{
		fx.Supply(cfg, version, log),
		fx.StartTimeout(startTimeout), fx.StopTimeout(stopTimeout),
		fx.Provide(newLoops),
		Telemetry, Packs, Postgres, RabbitMQ, Temporal,
	}
	roles := map[config.Role]fx.Option{
		config.RoleOrchestrator: Orchestrator, config.RoleBridge: Bridge, config.RoleWorker: Worker, config.RoleAPI: API,
	}
	for _, role := range config.Roles() {
		if cfg.Has(role) {
			options = append(options, roles[role])
		}
	}
	return fx.Options(options...)
}
