package fxmodules

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/worker"
)

// newWorker returns the module that runs actions. It needs only the broker and the folders of the packs.
func newWorker(cfg config.Config) fx.Option {
	broker := any(shareWorker)
	if cfg.WorkerAMQPURL.IsSet() {
		broker = connectWorker
	}
	return fx.Module("worker", fx.Provide(broker), fx.Invoke(runWorker))
}

func runWorker(
	loops *loops, cfg config.Config, broker workerBroker, bridges *worker.Bridges, loaded []attune.Pack, metrics *telemetry.Metrics,
	log *slog.Logger,
) error {
	link, err := worker.NewBroker(broker.Connections, cfg.WorkerPool, bridges)
	if err != nil {
		return err
	}
	settings := workerConfig(cfg, loaded)
	settings.Reported = metrics.WorkerRan
	w, err := worker.New(settings, link, link, link, log)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	warnEnv(loaded, cfg.AllowEnv, log)
	loops.executions = w.Active
	cancels := rabbitmq.NewSubscriber(broker.Consume, attune.KeyExecutionCancel,
		func(ctx context.Context, m attune.SignedCancel) {
			if id, believed := bridges.Cancel(ctx, m); believed {
				w.Cancel(id)
			}
		})
	loops.add("cancels", cancels.Run)
	loops.add("worker", w.Run)
	return nil
}

func workerConfig(cfg config.Config, loaded []attune.Pack) worker.Config {
	return worker.Config{
		Name: cfg.WorkerName, Pool: cfg.WorkerPool, Slots: cfg.WorkerSlots, Packs: packs.Folders(loaded), Action: packs.Actions(loaded),
		Limited: packs.HaveLimits(loaded), AllowEnv: cfg.AllowEnv, User: cfg.ActionUser,
		StopGrace: cfg.StopGrace, RunDir: filepath.Join(cfg.DataDir, "runs"),
	}
}

// warnEnv names the actions that this worker will refuse to start because they ask for a variable that it does not allow.
func warnEnv(loaded []attune.Pack, allowed attune.EnvGrants, log *slog.Logger) {
	for _, pack := range loaded {
		for _, missing := range allowed.Missing(pack) {
			log.Warn("an action asks for an environment variable that this worker does not allow: it will not start",
				"action", missing.Action, "variable", missing.Name, "allow", "worker.allow_env: "+missing.Grant().String())
		}
	}
}
