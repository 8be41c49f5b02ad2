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
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/packs"
)

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run attune with PostgreSQL, RabbitMQ and Temporal of its own on this machine",
		Long: fmt.Sprintf(`Run attune with PostgreSQL, RabbitMQ and Temporal of its own on this machine.

What it starts listens on 127.0.0.1 and keeps its data in the data folder (.attune), so a restart goes on where the last one
ended: PostgreSQL on port %d, RabbitMQ on %d, Temporal on %d with its UI on %d. ATTUNE_POSTGRES_URL, ATTUNE_AMQP_URL and
TEMPORAL_ADDRESS name services to use instead. The API's token is made once and kept in the data folder.`,
			localPostgresPort, localRabbitMQPort, localTemporalPort, localTemporalUIPort),
		Example: "  attune dev\n  attune dev --packs ./packs/demo --packs ~/my-pack",
		Args:    usage(cobra.NoArgs),
	}
	flags := config.Bind(cmd.Flags())
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
	cfg, services, err := startLocal(ctx, cfg, wanted(cfg, os.LookupEnv, cfg.DataDir), note)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.stop(ctx)) }()

	log, err := newLogger(stderr, cfg)
	if err != nil {
		return err
	}
	process, err := fxmodules.Start(ctx, cfg, fxmodules.Version(version), log)
	if err != nil {
		return err
	}
	greet(stdout, cfg, services, process.Addr(), secretNames(loaded))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(services.set.Wait(ctx)) }()
	waited := process.Wait(ctx)
	if cause := context.Cause(ctx); waited == nil && !errors.Is(cause, context.Canceled) {
		waited = cause // a service ended by itself
	}
	return errors.Join(waited, process.Stop(ctx))
}

// greet tells where everything is.
func greet(w io.Writer, cfg config.Config, services *local, addr string, secrets []string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = table.Flush() }()
	line := func(name, value string) { _, _ = fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("API", "http://"+addr+"/api/v1")
	line("API token", cfg.APIToken.Reveal())
	if temporal := services.set.Temporal; temporal != nil {
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
