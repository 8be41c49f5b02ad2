package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/postgres"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Migrate the database to the schema of this version",
		Long: "Migrate the database to the schema of this version. `attune serve` also migrates when it starts. " +
			"Several processes may migrate at the same time: they wait for each other.",
		Args: noArguments,
	}
	flags := config.Bind(cmd.Flags(), "postgres.url")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(flags, os.LookupEnv)
		if err == nil && !cfg.PostgresURL.IsSet() {
			err = attune.Errorf(attune.CodeInvalid, "no database is named: set %s", config.HowToSet("postgres.url"))
		}
		if err != nil {
			return settingsError(err)
		}
		if err := postgres.Migrate(cmd.Context(), cfg.PostgresURL.Reveal()); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "the database has the schema of this version")
		return nil
	}
	return cmd
}
