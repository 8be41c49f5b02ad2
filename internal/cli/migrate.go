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
		Short: "Bring the database to the schema of this version",
		Long: "Bring the database to the schema of this version. `attune serve` does so too when it starts; " +
			"only one process at a time does.",
		Args: usage(cobra.NoArgs),
	}
	flags := config.Bind(cmd.Flags(), "postgres.url")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(flags, os.LookupEnv)
		if err == nil && !cfg.PostgresURL.IsSet() {
			err = attune.Errorf(attune.CodeInvalid, "which database: set ATTUNE_POSTGRES_URL")
		}
		if err != nil {
			return badSettings(err)
		}
		if err := postgres.Migrate(cmd.Context(), cfg.PostgresURL.Reveal()); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "the database has the schema of this version")
		return nil
	}
	return cmd
}
