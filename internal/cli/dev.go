package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/packs"
)

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run attune with PostgreSQL, RabbitMQ and Temporal of its own on this machine",
		Long: `Run attune with PostgreSQL, RabbitMQ and Temporal of its own on this machine.

What it starts listens on 127.0.0.1 and keeps its data in the data folder (.attune), so a restart goes on where the last one
ended. The folder is private: only you can read it. PostgreSQL and RabbitMQ ask for passwords, which are made once and kept
there like the API's token. The Temporal server knows no passwords, so other users of this machine can reach it.

Every port can be chosen, and 0 takes a free one. ATTUNE_POSTGRES_URL, ATTUNE_AMQP_URL and TEMPORAL_ADDRESS name services to
use instead. The Temporal server is the program attune-temporal: beside attune, on PATH, in bin of attune's source tree, or
where ATTUNE_TEMPORAL_BIN says.`,
		Example: "  attune dev\n  attune dev --packs ./packs/demo --packs ~/my-pack",
		Args:    usage(cobra.NoArgs),
	}
	flags := config.BindCommand(cmd.Flags(), config.DevCommand)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(flags, os.LookupEnv)
		if err != nil {
			return badSettings(err)
		}
		return dev(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

func dev(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) (err error) {
	if err := services.PrivateDir(cfg.DataDir); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if !cfg.APIToken.IsSet() {
		token, err := keepSecret(cfg.DataDir, "token", rand.Text)
		if err != nil {
			return err
		}
		cfg.APIToken = config.NewSecret(token)
	}
	// A pack that cannot be loaded is better known before services are started.
	loaded, err := packs.LoadAll(cfg.DataDir, cfg.Packs)
	if err != nil {
		return err
	}
	if err := provideWebhookSecrets(cfg.DataDir, secretNames(loaded)); err != nil {
		return err
	}
	note := func(line string) { _, _ = fmt.Fprintln(stderr, line) }
	note("starting the services …")
	cfg, local, err := startLocal(ctx, cfg, wanted(cfg, os.LookupEnv, cfg.DataDir), note)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.stop(ctx)) }()

	log, err := newLogger(stderr, cfg)
	if err != nil {
		return err
	}
	process, err := fxmodules.Start(ctx, cfg, fxmodules.Version(version), log)
	if err != nil {
		return err
	}
	greet(stdout, cfg, local, process.Addr(), secretNames(loaded))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(local.set.Wait(ctx)) }()
	waited := process.Wait(ctx)
	if cause := context.Cause(ctx); waited == nil && !errors.Is(cause, context.Canceled) {
		waited = cause // a service ended by itself
	}
	return errors.Join(waited, process.Stop(ctx))
}

// greet tells where everything is.
func greet(w io.Writer, cfg config.Config, local *local, addr string, secrets []string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = table.Flush() }()
	line := func(name, value string) { _, _ = fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("API", "http://"+addr+"/api/v1")
	line("API token", cfg.APIToken.Reveal())
	if temporal := local.set.Temporal; temporal != nil {
		line("Temporal UI", temporal.UIURL())
	}
	line("PostgreSQL", cfg.PostgresURL.Reveal())
	line("RabbitMQ", cfg.AMQPURL.Reveal())
	for _, name := range secrets {
		line(name, os.Getenv(name))
	}
	line("try", fmt.Sprintf(
		`curl -s -H "Authorization: Bearer %s" http://%s/api/v1/actions/core.echo/run --json '{"parameters":{"hello":"world"}}'`,
		cfg.APIToken.Reveal(), addr))
}

// secretNames are the environment variables from which the packs' webhooks take their secrets.
func secretNames(loaded []attune.Pack) []string {
	var names []string
	for _, pack := range loaded {
		for _, trigger := range pack.Triggers {
			if trigger.Webhook != nil && !slices.Contains(names, trigger.Webhook.SecretEnv) {
				names = append(names, trigger.Webhook.SecretEnv)
			}
		}
	}
	return names
}

// provideWebhookSecrets makes a secret for every webhook that was given none, and keeps it in the data folder.
func provideWebhookSecrets(dir string, names []string) error {
	for _, name := range names {
		if _, set := os.LookupEnv(name); set {
			continue
		}
		secret, err := keepSecret(dir, name, rand.Text)
		if err != nil {
			return err
		}
		if err := os.Setenv(name, secret); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
