package fxmodules

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/supervisor"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/secrets"
	"github.com/attune-go/attune/worker"
)

const (
	// startTimeout bounds the start of the process. Constructors report a service that does not answer much earlier.
	startTimeout = time.Minute
	// stopMargin is the time for the other parts to stop, in addition to the worker's stop time.
	stopMargin = 12 * time.Second
)

// connectTimeout is how long the start waits for a broker or a Temporal server that does not answer.
const connectTimeout = 15 * time.Second

// Version is the version of the program.
type Version string

// stopRequest returns a context that ends when the process is asked to stop, also during its start.
type stopRequest func() context.Context

// Options returns the modules of a process with the roles of cfg. The end of stop ends a start that has to wait.
func Options(stop context.Context, cfg config.Config, version Version, log *slog.Logger) fx.Option {
	options := []fx.Option{
		fx.Supply(stopRequest(func() context.Context { return stop }), cfg, version, log),
		fx.StartTimeout(startTimeout), fx.StopTimeout(worker.Config{StopGrace: cfg.StopGrace}.StopTime() + stopMargin),
		fx.Provide(supervisor.New, newLoops, newLive, newKeyring, newSigner, newBridges, newBridgeKeys),
		Telemetry, Packs, Postgres, RabbitMQ, Temporal,
	}
	roles := map[config.Role]fx.Option{
		config.RoleOrchestrator: Orchestrator, config.RoleBridge: Bridge, config.RoleWorker: newWorker(cfg), config.RoleAPI: API,
	}
	for _, role := range config.Roles() {
		if cfg.Has(role) {
			options = append(options, roles[role])
		}
	}
	return fx.Options(options...)
}

// loops adds background loops to the lifecycle of the process.
type loops struct {
	lifecycle  fx.Lifecycle
	supervisor *supervisor.Supervisor
	executions func() int // how many the worker of the process has under way; nil without a worker
}

func newLoops(lifecycle fx.Lifecycle, s *supervisor.Supervisor) *loops {
	return &loops{lifecycle: lifecycle, supervisor: s}
}

// add registers a loop. The loop starts with the process and stops with it, in reverse order.
func (l *loops) add(name string, run func(context.Context) error) {
	loop := l.supervisor.Loop(name, run)
	l.lifecycle.Append(fx.StartStopHook(loop.Start, loop.Stop))
}

// newKeyring reads the keys of secrets. Without keys, attune runs and refuses secrets: then newKeyring logs what will be refused.
func newKeyring(cfg config.Config, loaded []attune.Pack, log *slog.Logger) (*secrets.Keyring, error) {
	keys, err := parseKeyring(cfg)
	if err == nil && keys.Empty() && (cfg.Has(config.RoleAPI) || cfg.Has(config.RoleBridge)) {
		for _, ref := range packs.WithSecrets(loaded) {
			log.Warn("a declaration has secrets, and attune has no key for them: they are refused until one is set", "declaration", ref,
				"set", config.HowToSet("secrets.key"))
		}
	}
	return keys, err
}

func parseKeyring(cfg config.Config) (*secrets.Keyring, error) {
	return secrets.ParseKeyring(cfg.SecretsKey.Reveal())
}
