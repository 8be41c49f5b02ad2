package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/certs"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/demo"
	"github.com/attune-go/attune/packs"
)

// demoIdleTimeout is how long the demo waits for the next change before it fails.
const demoIdleTimeout = time.Minute

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small load through temporary services, and verify the result",
		Long: `Start PostgreSQL, RabbitMQ, Temporal and attune with a temporary data folder. Send signed webhook events, show the progress
of the queues, and verify from the stored rows that every queue kept its order and its limit. At the end, stop everything and
delete the folder.

Exit code 0: every queue kept its order and its limit. Exit code 1: a queue did not, or the demo failed.`,
		Args: noArguments,
	}
	events := cmd.Flags().Int("events", 60, "number of webhook events to send, 1 or more")
	pack := cmd.Flags().String("pack", filepath.Join("packs", "demo"), "folder of the demo pack")
	flags := config.Bind(cmd.Flags(), "log.level")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *events < 1 {
			return usageError{fmt.Errorf("--events %d: use 1 or more", *events)}
		}
		if *pack == "" {
			return usageError{errors.New("--pack is empty: name the folder of a pack, or leave it out")}
		}
		cfg, err := config.Load(flags, os.LookupEnv)
		if err != nil {
			return settingsError(err)
		}
		if _, err := os.Stat(*pack); err != nil && !cmd.Flags().Changed("pack") {
			return usageError{fmt.Errorf("there is no demo pack at %q: run attune demo in attune's source tree, "+
				"or name the pack with --pack", *pack)}
		}
		return runDemo(cmd.Context(), cfg, *pack, *events, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

func runDemo(ctx context.Context, cfg config.Config, pack string, events int, stdout, stderr io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "attune-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	secret := rand.Text()
	if err := os.Setenv(demo.SecretEnv, secret); err != nil {
		return fmt.Errorf("set %s: %w", demo.SecretEnv, err)
	}
	cfg.DataDir, cfg.Packs, cfg.HTTPAddr = dir, []string{pack}, "127.0.0.1:0"
	cfg.APIToken, cfg.Roles = config.NewSecret(rand.Text()), config.Roles()
	if cfg.BridgeKey, err = demoKey(dir); err != nil {
		return err
	}
	cfg.LogLevel = max(cfg.LogLevel, slog.LevelWarn)

	// Load the pack before the services start, so that a missing or faulty pack fails at once.
	if _, err := packs.LoadAll(dir, cfg.Packs); err != nil {
		return err
	}
	printLine := func(line string) { _, _ = fmt.Fprintln(stdout, line) }
	printLine("starting PostgreSQL, RabbitMQ and Temporal in " + dir)
	cfg, local, err := startLocal(ctx, cfg, ephemeral(missingServices(cfg, os.LookupEnv, dir)), printLine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.stop(ctx)) }()
	return demonstrate(ctx, cfg, demo.Config{
		Events: events, Redeliver: min(5, events), Secret: secret, Live: isTerminal(stdout), IdleTimeout: demoIdleTimeout,
	}, stdout, stderr)
}

// demoKey makes the key that signs for workers.
func demoKey(dir string) (config.Secret, error) {
	key, err := loadOrCreateSecret(dir, bridgeKeyFile, attune.NewBridgeSigningKey)
	return config.NewSecret(key), err
}

// demonstrate runs attune, sends the load and prints the report. A broken promise is an error.
func demonstrate(ctx context.Context, cfg config.Config, load demo.Config, stdout, stderr io.Writer) (err error) {
	log, err := newLogger(stderr, cfg.LogLevel, cfg)
	if err != nil {
		return err
	}
	cfg.TLS, cfg.Rates = certs.Paths{}, config.Rates{} // the demo is the only caller, over HTTP on this machine
	process, err := fxmodules.Start(ctx, cfg, fxmodules.Version(version), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Stop(ctx)) }()
	progress := stdout
	if load.Live {
		progress = unescaped(stdout) // moving bars are terminal commands
	}
	measures, err := demo.Run(ctx, client.New("http://"+process.Addr(), cfg.APIToken.Reveal()), load, progress)
	if err != nil {
		return err
	}
	broken, err := demo.Report(stdout, measures)
	if err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%d promises were broken", broken)
	}
	_, err = fmt.Fprintln(stdout, "every grant in order, never more at once than the limit, every event accounted for")
	return err
}

// ephemeral gives services free ports and no durable data.
func ephemeral(want services.Config) services.Config {
	if want.Postgres != nil {
		want.Postgres.Port, want.Postgres.Ephemeral = 0, true
	}
	if want.RabbitMQ != nil {
		want.RabbitMQ.Port, want.RabbitMQ.Ephemeral = 0, true
	}
	if want.Temporal != nil {
		want.Temporal.Port, want.Temporal.UI, want.Temporal.UIPort, want.Temporal.InMemory = 0, false, 0, true
	}
	return want
}

func isTerminal(w io.Writer) bool {
	file, ok := unescaped(w).(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
