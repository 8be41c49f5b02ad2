package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// takes is the number of arguments of a command, without flags and subcommands.
type takes struct {
	noun        string // what an argument names, for messages: "queue"
	least, most int
}

// noArguments refuses every argument.
func noArguments(cmd *cobra.Command, args []string) error { return takes{}.check(cmd, args) }

// check implements [cobra.PositionalArgs]. Its errors are usage errors that show the command with its arguments.
func (t takes) check(cmd *cobra.Command, args []string) error {
	_, placeholders, _ := strings.Cut(cmd.Use, " ")
	synopsis := cmd.CommandPath() + " " + placeholders
	switch empty := slices.Index(args, ""); {
	case t.most == 0 && len(args) > 0:
		return usageError{fmt.Errorf("%q is one argument too many: %s takes none", args[0], cmd.CommandPath())}
	case len(args) > t.most:
		return usageError{fmt.Errorf("%q is one argument too many: %s", args[t.most], synopsis)}
	case len(args) < t.least:
		return usageError{errors.New("name a " + t.noun + ": " + synopsis)}
	case empty >= 0:
		return usageError{fmt.Errorf("argument %d, the %s, is empty: %s", empty+1, t.noun, synopsis)}
	default:
		return nil
	}
}
