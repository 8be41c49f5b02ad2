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
	cmd := newGroup("packs", "Check packs")
	check := &cobra.Command{
		Use:   "check DIR...",
		Short: "Check packs as `attune serve` does, and list every error with its file and line",
		Long: "Check packs as `attune serve` does, and list every error with its file and line. List also the environment variables\n" +
			"that actions ask for and a worker with these settings does not allow.",
		Example: "  attune packs check ./packs/demo",
		Args:    takes{noun: "pack", least: 1, most: math.MaxInt}.check,
	}
	flags := config.Bind(check.Flags(), "data_dir", "worker.allow_env")
	check.RunE = func(cmd *cobra.Command, dirs []string) error {
		cfg, err := config.Load(flags, os.LookupEnv)
		if err != nil {
			return settingsError(err)
		}
		for _, dir := range dirs {
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return usageError{fmt.Errorf("%q is not the folder of a pack: name a folder that has a pack.yaml", dir)}
			}
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
		if err := table.Flush(); err != nil {
			return err
		}
		for _, pack := range all {
			for _, action := range pack.Actions {
				for _, name := range action.Secrets {
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s asks for the secret %s: attune secret set %s --pack %s\n",
						action.Ref, name, name, pack.Name)
				}
			}
			for _, missing := range cfg.AllowEnv.Missing(pack) {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s asks for the environment variable %s: a worker needs --worker-allow-env %s\n",
					missing.Action, missing.Name, missing.Grant())
			}
		}
		return nil
	}
	cmd.AddCommand(check)
	return cmd
}
