package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/secrecy"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/temporal"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run attune, in all roles or some of them",
		Long: `Run attune with a PostgreSQL, a RabbitMQ and a Temporal that already run.

The connection to Temporal is configured by the variables of Temporal's own tools: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, and
those for TLS and API keys.`,
		Example: `  attune serve --packs ./packs/demo
  attune serve --roles=api,orchestrator,bridge
  attune serve --roles=worker --worker-slots 32`,
		Args: noArguments,
	}
	flags := config.Bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		environment := secrecy.CopyEnvironment()
		cfg, err := config.Load(flags, environment.Lookup)
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil {
			return settingsError(err)
		}
		if err := environment.Take(config.SecretVariables()...); err != nil {
			return err
		}
		log, err := newLogger(cmd.ErrOrStderr(), cfg)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, environment, log)
	}
	return cmd
}

// serve runs the process until ctx ends or a part of the process fails.
func serve(ctx context.Context, cfg config.Config, environment secrecy.Environment, log *slog.Logger) error {
	process, err := fxmodules.Start(ctx, cfg, fxmodules.Version(version), log)
	if err != nil {
		if ctx.Err() != nil {
			log.Info("attune was asked to stop before it had started", "error", err)
			err = nil
		}
		return err
	}
	if err := environment.Take(temporal.SecretVariables()...); err != nil {
		return errors.Join(err, process.Stop(ctx))
	}
	return errors.Join(process.Wait(ctx), process.Stop(ctx))
}

func newLogger(w io.Writer, cfg config.Config) (*slog.Logger, error) {
	return telemetry.NewLogger(unescaped(w), telemetry.LogConfig{Level: cfg.LogLevel, Format: telemetry.LogFormat(cfg.LogFormat)})
}
