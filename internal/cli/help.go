package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// addHelp adds the commands help and completion of the framework, and checks their arguments: the framework answers a wrong one
// with the help of another command.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Args = usage(knownTopic)
		case "completion":
			cmd.Args = usage(knownCommand)
			for _, shell := range cmd.Commands() {
				shell.Args = noArguments
			}
		}
	}
}

// checkHelp makes the flag --help of a command with subcommands check the arguments of the command: "attune typo --help" asks for
// the help of a command that does not exist. The result holds the usage error after the execution.
func checkHelp(root *cobra.Command) *error {
	var wrongTopic error
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() {
			wrongTopic = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if wrongTopic == nil {
			show(cmd, args)
		}
	})
	return &wrongTopic
}

// knownTopic refuses a help topic that is not the path of a command, and lists the commands to choose from.
func knownTopic(help *cobra.Command, topic []string) error {
	cmd := help.Root()
	for i, name := range topic {
		commands := cmd.Commands()
		found := slices.IndexFunc(commands, func(c *cobra.Command) bool { return c.Name() == name || c.HasAlias(name) })
		if found < 0 {
			return fmt.Errorf("there is no help topic %q: %s", strings.Join(topic[:i+1], " "), topicsOf(cmd))
		}
		cmd = commands[found]
	}
	return nil
}

// topicsOf lists the subcommands of a command.
func topicsOf(cmd *cobra.Command) string {
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if names == nil {
		return cmd.CommandPath() + " has no subcommands"
	}
	return cmd.CommandPath() + " has " + strings.Join(names, ", ")
}
