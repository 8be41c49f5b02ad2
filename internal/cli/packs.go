package cli

import (
	"fmt"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/packs"
)

func newPacks() *cobra.Command {
	cmd := &cobra.Command{
		Use: "packs", Short: "Check packs", Args: usage(knownCommand),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	check := &cobra.Command{
		Use:     "check DIR...",
		Short:   "Check packs as `attune serve` does, and list every error with its file and line",
		Example: "  attune packs check ./packs/demo",
		Args:    takes{noun: "pack", least: 1, most: math.MaxInt}.check,
	}
	flags := config.Bind(check.Flags(), "data_dir")
	check.RunE = func(cmd *cobra.Command, dirs []string) error {
		cfg, err := config.Load(flags, os.LookupEnv)
		if err != nil {
			return settingsError(err)
		}
		all, err := packs.LoadAll(cfg.DataDir, dirs)
		if err != nil {
			return err
		}
		table := newTable(cmd.OutOrStdout())
		_, _ = fmt.Fprintln(table, "PACK\tVERSION\tTRIGGERS\tACTIONS\tRULES")
		for _, pack := range all {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\n",
				pack.Name, oneLine(pack.Version), len(pack.Triggers), len(pack.Actions), len(pack.Rules))
		}
		return table.Flush()
	}
	cmd.AddCommand(check)
	return cmd
}
