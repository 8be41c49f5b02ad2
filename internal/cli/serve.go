package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/secrecy"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/temporal"
)

func newServe(h *hangups) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run attune, in all roles or some of them",
		Long: `Run attune with a PostgreSQL, a RabbitMQ and a Temporal that already run.

The connection to Temporal is configured by the variables of Temporal's own tools: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, and
those for TLS and API keys.

SIGHUP reads the settings again, and takes over the log level, the API's token, the keys of secrets and bridges, and the files of TLS
and of webhook secrets. It logs every setting and file that cannot be used, and keeps what was there before.`,
		Example: `  attune serve --packs ./packs/demo
  attune serve --roles=api,orchestrator,bridge
  attune serve --roles=worker --worker-slots 32`,
		Args: noArguments,
	}
	flags := config.Bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s := server{flags: flags, environment: secrecy.CopyEnvironment(), hangups: h, reloads: h.reload()}
		if err := s.load(cmd.ErrOrStderr()); err != nil {
			return err
		}
		return s.serve(cmd.Context())
	}
	return cmd
}

// server is one run of `attune serve`.
type server struct {
	flags       *pflag.FlagSet
	environment secrecy.Environment
	hangups     *hangups
	reloads     <-chan struct{}
	config      config.Config
	level       slog.LevelVar
	log         *slog.Logger
}

// load reads the settings. The secrets leave the environment.
func (s *server) load(stderr io.Writer) error {
	cfg, err := config.Load(s.flags, s.environment.Lookup)
	if err == nil {
		err = cfg.Validate()
	}
	if err == nil {
		err = checkActionUser(cfg)
	}
	if err != nil {
		return settingsError(err)
	}
	exposed := config.ExposedFiles(s.flags, s.environment.Lookup)
	if err := s.environment.Take(config.SecretVariables()...); err != nil {
		return err
	}
	s.config = cfg
	s.level.Set(cfg.LogLevel)
	if s.log, err = newLogger(stderr, &s.level, cfg); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(exposed)) {
		s.log.Warn("every user of this machine can read the file of a secret: use chmod 600", "setting", name, "file", exposed[name])
	}
	return nil
}

// checkActionUser refuses a user of actions that the machine does not have. The number of a user needs no name.
func checkActionUser(cfg config.Config) error {
	_, notNumber := strconv.ParseUint(cfg.ActionUser, 10, 32)
	if cfg.ActionUser == "" || notNumber == nil || !cfg.Has(config.RoleWorker) {
		return nil
	}
	if _, err := user.Lookup(cfg.ActionUser); err != nil {
		return attune.Errorf(attune.CodeInvalid, "--worker-action-user: this machine has no user %q: name one of its users, or create it",
			cfg.ActionUser)
	}
	return nil
}

// serve runs the process until ctx ends or a part of the process fails.
func (s *server) serve(ctx context.Context) error {
	process, err := fxmodules.Start(ctx, s.config, fxmodules.Version(version), s.log)
	if err != nil {
		if ctx.Err() != nil {
			s.log.Info("attune was asked to stop before it had started", "error", err)
			err = nil
		}
		return err
	}
	if err := s.environment.Take(temporal.SecretVariables()...); err != nil {
		return errors.Join(err, process.Stop(ctx))
	}
	s.hangups.beforeEnd(process.LogEnd)
	waiting, stopReloading := context.WithCancel(ctx)
	defer stopReloading()
	go s.reloadUntil(waiting, process)
	// A reload that still reads a file does not delay the stop. It only sets values in memory, which is harmless beside a stop.
	err = process.Wait(ctx)
	return errors.Join(err, process.Stop(ctx))
}

// reloadUntil reads the settings again for each SIGHUP, until ctx ends.
func (s *server) reloadUntil(ctx context.Context, process *fxmodules.Process) {
	for {
		select {
		case <-s.reloads:
			s.reload(process)
		case <-ctx.Done():
			return
		}
	}
}

// reload takes over what can change while the process runs. A value that cannot be read stays as it is.
func (s *server) reload(process *fxmodules.Process) {
	next, changed, err := config.Reload(s.config, s.flags, s.environment.Lookup)
	complete := err == nil
	if err != nil {
		s.log.Error("some settings cannot be read and stay as they are", "error", err)
	}
	if err := next.Validate(); err != nil {
		complete = false
		s.log.Error("attune would not start again with these settings", "error", err)
	}
	s.level.Set(next.LogLevel)
	if complete = process.Reload(next) && complete; complete {
		s.log.Info("the settings were read again", "log_level", next.LogLevel)
	} else {
		s.log.Warn("the settings were read again, and some could not be used: the errors before this line name them",
			"log_level", next.LogLevel)
	}
	later := slices.DeleteFunc(changed, func(name string) bool {
		return slices.Contains([]string{"log.level", "http.token", "secrets.key", "bridge.signing_key", "worker.bridge_keys"}, name)
	})
	if len(later) > 0 {
		s.log.Warn("settings have changed that need a restart", "settings", strings.Join(later, ", "))
	}
	s.config.APIToken, s.config.SecretsKey, s.config.LogLevel = next.APIToken, next.SecretsKey, next.LogLevel
	s.config.BridgeKey, s.config.BridgeKeys = next.BridgeKey, next.BridgeKeys
}

// newLogger returns a logger in the format of cfg. level can change while the process runs.
func newLogger(w io.Writer, level slog.Leveler, cfg config.Config) (*slog.Logger, error) {
	return telemetry.NewLogger(unescaped(w), telemetry.LogConfig{Level: level, Format: telemetry.LogFormat(cfg.LogFormat)})
}
