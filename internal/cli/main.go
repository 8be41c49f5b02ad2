package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
)

// version is the version of attune; the build sets it.
var version = "dev"

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is an error of the command line or the settings. Main returns exitUsage for it.
type usageError struct{ error }

// Main runs the command line and returns the exit code of the process. The first SIGINT, SIGTERM or SIGHUP stops the command
// in an orderly way; another SIGINT or SIGTERM ends the process at once. `attune serve` reads its settings again at a SIGHUP.
func Main(args []string, stdout, stderr io.Writer) int {
	h := newHangups()
	ctx, stop := untilSignal(context.Background(), h)
	defer stop()

	stdout, stderr = printer{stdout}, printer{stderr}
	root := newRoot(h)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	wrongTopic := checkHelp(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err = cmp.Or(err, *wrongTopic); err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "attune: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}

func newRoot(h *hangups) *cobra.Command {
	root := newGroup("attune", "Run actions in response to events, in strict order per queue, under policy")
	root.Version, root.SilenceUsage, root.SilenceErrors = version, true, true
	// A group names its subcommands as COMMAND in its own line.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .HasAvailableSubCommands}}\n  {{.CommandPath}} [command]",
		"{{if and .HasAvailableSubCommands (not .Runnable)}}\n  {{.CommandPath}} [command]", 1))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(h), newDev(h), newDemo(), newMigrate(), newPacks(), newPolicy(), newQueue(), newSecret(), newToken(),
		newAudit(), newBroker(), newKeys(), newDoctor(), newHealth(), newVersion())
	addHelp(root)
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of attune", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "attune version %s\n", version)
			return err
		},
	}
}

// suggestionDistance is how many letters a suggested command may differ in.
const suggestionDistance = 2

// knownCommand refuses the arguments of a command that only has subcommands, and suggests subcommands with similar names.
func knownCommand(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	cmd.SuggestionsMinimumDistance = suggestionDistance
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return fmt.Errorf("%w: did you mean %s?", err, strings.Join(similar, " or "))
	}
	return err
}

// newGroup returns a command that only has subcommands. Without one, it shows its help.
func newGroup(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use + " COMMAND", DisableFlagsInUseLine: true,
		Short: short, Args: usage(knownCommand), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// usage turns the error of an argument check into a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// settingsError turns the error of an invalid configuration into a usage error.
func settingsError(err error) error {
	if err != nil && attune.CodeOf(err) == attune.CodeInvalid {
		return usageError{err}
	}
	return err
}
