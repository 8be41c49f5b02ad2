package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/secrecy"
)

func newDev(h *hangups) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run attune for development, with its own PostgreSQL, RabbitMQ and Temporal",
		Long: `Run attune for development, with its own PostgreSQL, RabbitMQ and Temporal on this machine.

The services listen on 127.0.0.1 and keep their data in the data folder (.attune), so a restart continues with the same data.
Only you can read the folder. It also holds the generated passwords of PostgreSQL and RabbitMQ and the token of the API. The
Temporal server has no passwords: every user of this machine can reach it.

The flags set the ports; port 0 picks a free one. To use a service that already runs, set ATTUNE_POSTGRES_URL, ATTUNE_AMQP_URL
or TEMPORAL_ADDRESS. The Temporal server is the program attune-temporal. attune dev looks for it beside attune, on PATH and in
the folder bin of attune's source tree; ATTUNE_TEMPORAL_BIN names another program.`,
		Example: "  attune dev\n  attune dev --packs ./packs/demo --packs ~/my-pack",
		Args:    noArguments,
	}
	flags := config.BindCommand(cmd.Flags(), config.DevCommand)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		environment := secrecy.CopyEnvironment()
		cfg, err := config.Load(flags, environment.Lookup)
		if err != nil {
			return settingsError(err)
		}
		if err := environment.Take(config.SecretVariables()...); err != nil {
			return err // the services would inherit them
		}
		return dev(cmd.Context(), h, cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

func dev(ctx context.Context, h *hangups, cfg config.Config, stdout, stderr io.Writer) (err error) {
	if err := openDataDir(cfg); err != nil {
		return err
	}
	exports := ""
	if !cfg.APIToken.IsSet() {
		exports = fmt.Sprintf(" ATTUNE_API_TOKEN=$(cat %q)", filepath.Join(cfg.DataDir, tokenFile))
		token, err := loadOrCreateSecret(cfg.DataDir, tokenFile, rand.Text)
		if err != nil {
			return err
		}
		cfg.APIToken = config.NewSecret(token)
	}
	if !cfg.SecretsKey.IsSet() {
		key, err := loadOrCreateSecret(cfg.DataDir, secretsKeyFile, newSecretsKey)
		if err != nil {
			return err
		}
		cfg.SecretsKey = config.NewSecret(key)
	}
	if !cfg.BridgeKey.IsSet() {
		key, err := loadOrCreateSecret(cfg.DataDir, bridgeKeyFile, attune.NewBridgeSigningKey)
		if err != nil {
			return err
		}
		cfg.BridgeKey = config.NewSecret(key)
	}
	// Load the packs before the services start, so that a faulty pack or a user that cannot reach it fails at once.
	loaded, err := fxmodules.LoadPacks(cfg)
	if err != nil {
		return err
	}
	if err := provideWebhookSecrets(cfg.DataDir, secretNames(loaded)); err != nil {
		return err
	}
	printLine := func(line string) { _, _ = fmt.Fprintln(stderr, line) }
	printLine("starting the services …")
	cfg, local, err := startLocal(ctx, cfg, missingServices(cfg, os.LookupEnv, cfg.DataDir), printLine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.stop(ctx)) }()

	log, err := newLogger(stderr, cfg.LogLevel, cfg)
	if err != nil {
		return err
	}
	process, err := fxmodules.Start(ctx, cfg, fxmodules.Version(version), log)
	if err != nil {
		return err
	}
	h.beforeEnd(process.LogEnd)
	printEndpoints(stdout, cfg, local, process.Addr(), exports, secretNames(loaded))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(local.set.Wait(ctx)) }()
	waitErr := process.Wait(ctx)
	if cause := context.Cause(ctx); waitErr == nil && !errors.Is(cause, context.Canceled) {
		waitErr = cause // a service stopped unexpectedly
	}
	return errors.Join(waitErr, process.Stop(ctx))
}

// openDataDir creates the data folder, private to the caller. The user of the actions may enter it.
func openDataDir(cfg config.Config) error {
	create := services.PrivateDir
	if cfg.ActionUser != "" {
		create = services.PassableDir
	}
	if err := create(cfg.DataDir); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// printEndpoints prints the roles of the process, the URLs and secrets of attune and its services, and first commands to try. A
// process without the role api has no URL, and no use for the API's secrets. exports is the assignment of the token for a shell;
// empty if the caller of the program has given the token.
func printEndpoints(w io.Writer, cfg config.Config, local *localServices, addr, exports string, secrets []string) {
	table := newTable(w)
	defer func() { _ = table.Flush() }()
	line := func(name, value string) { _, _ = fmt.Fprintf(table, "%s\t%s\n", name, value) }
	line("roles", strings.Trim(fmt.Sprint(cfg.Roles), "[]"))
	if cfg.Has(config.RoleAPI) {
		line("API", scheme(cfg)+addr+"/api/v1")
		line("API token", cfg.APIToken.Reveal())
	}
	if temporal := local.set.Temporal; temporal != nil {
		line("Temporal UI", temporal.UIURL())
	}
	line("PostgreSQL", cfg.PostgresURL.Reveal())
	line("RabbitMQ", cfg.AMQPURL.Reveal())
	if !cfg.Has(config.RoleAPI) {
		return
	}
	for _, name := range secrets {
		line(name, os.Getenv(name))
	}
	try := fmt.Sprintf(`curl -s -H "Authorization: Bearer %s" %s%s/api/v1/actions/core.echo/run --json '{"parameters":{"hello":"world"}}'`,
		cfg.APIToken.Reveal(), scheme(cfg), addr)
	if ca := knownCA(cfg); ca != "" {
		exports += fmt.Sprintf(" ATTUNE_CA=%q", ca)
		try = strings.Replace(try, "curl -s", fmt.Sprintf("curl -s --cacert %q", ca), 1)
	}
	line("shell", "export ATTUNE_URL="+scheme(cfg)+addr+exports)
	line("try", try)
}

// knownCA returns the path of a file with which a client trusts the certificate of the API: the one that ATTUNE_CA names, or the
// certificate itself. It is empty without TLS.
func knownCA(cfg config.Config) string {
	if cfg.TLS.Cert == "" {
		return ""
	}
	path := cmp.Or(os.Getenv("ATTUNE_CA"), cfg.TLS.Cert)
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// secretNames returns the environment variables that hold the secrets of the packs' webhooks, each once.
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

// provideWebhookSecrets sets every unset webhook secret to one from the data folder, and creates it there if needed.
func provideWebhookSecrets(dir string, names []string) error {
	for _, name := range names {
		if _, set := os.LookupEnv(name); set {
			continue
		}
		secret, err := loadOrCreateSecret(dir, name, rand.Text)
		if err != nil {
			return err
		}
		if err := os.Setenv(name, secret); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// newSecretsKey returns a new key that encrypts secrets.
func newSecretsKey() string {
	const keyBytes = 32
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never returns an error
	return hex.EncodeToString(key)
}
