package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/secrets"
)

func newSecret() *cobra.Command {
	cmd := newGroup("secret", "Set, list and remove the secrets that actions ask for")
	r := bindRemote(cmd)
	cmd.AddCommand(newSecretSet(r), newSecretList(r), newSecretRemove(r), newSecretRotateKey(r))
	return cmd
}

// oneSecret is the argument of a command for one secret.
func oneSecret() cobra.PositionalArgs { return takes{noun: "secret", least: 1, most: 1}.check }

// secretPath returns the path of a secret below /api/v1. A text that cannot be the name of a secret is a usage error.
func secretPath(name string) (string, error) {
	if err := attune.CheckSecretName(name); err != nil {
		return "", usageError{err}
	}
	return "/secrets/" + url.PathEscape(name), nil
}

func newSecretSet(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Create or change a secret; the value comes from the standard input or a file",
		Long: `Create or change a secret.

The name is the environment variable in which an action gets the value. The value comes from the standard input, or from the file that
--value-file names, and never from the command line, which every user of the host can read. One line break at its end is dropped. A
terminal asks for a value of one line, and does not show it.

--pack grants the secret to a pack; the flags replace the earlier grants. Without --pack, the grants stay: a new secret has none, so no
action gets it. --keep-value changes only the grants.`,
		Example: "  attune secret set GITHUB_TOKEN --pack github < token.txt\n" +
			"  attune secret set GITHUB_TOKEN --keep-value --pack github --pack release",
		Args: oneSecret(),
	}
	packs := cmd.Flags().StringArray("pack", nil, "pack whose actions may ask for the secret; one per flag")
	file := cmd.Flags().String("value-file", "", "file with the value; default: the standard input")
	keep := cmd.Flags().Bool("keep-value", false, "keep the value, and change only the grants")
	attribution := bindAttribution(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := secretPath(args[0])
		if err != nil {
			return err
		}
		change := api.SecretChange{Attribution: *attribution}
		if cmd.Flags().Changed("pack") {
			change.Packs = packs
			for _, pack := range *packs {
				if err := attune.ValidateName("pack", pack); err != nil {
					return usageError{fmt.Errorf("--pack: %w", err)}
				}
			}
		} else if *keep {
			warn(cmd, "--keep-value changes nothing without --pack")
		}
		if change.Value, err = secretValue(cmd, *file, *keep); err != nil {
			return err
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var stored api.ChangedSecret
		if err := c.Put(cmd.Context(), path, change, &stored); err != nil {
			return withAPIAdvice(err)
		}
		warn(cmd, stored.Warnings...)
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret %s is set: revision %d, granted to %s\n",
			stored.Name, stored.Revision, grantsOf(stored.Secret))
		return err
	}
	return cmd
}

// secretValue reads the value of a secret; nil keeps the stored value.
func secretValue(cmd *cobra.Command, file string, keep bool) (*string, error) {
	if keep {
		if file != "" {
			return nil, usageError{errors.New("--keep-value and --value-file exclude each other")}
		}
		return nil, nil //nolint:nilnil // nil keeps the value
	}
	in := cmd.InOrStdin()
	if terminal, ok := in.(*os.File); ok && file == "" && term.IsTerminal(int(terminal.Fd())) {
		return typedValue(cmd, terminal)
	}
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, usageError{fmt.Errorf("--value-file: %w", err)}
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, attune.MaxSecretBytes+3)) // a line break may follow the largest value
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return checkedValue(strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"))
}

// typedValue reads a value of one line from a terminal, which does not show it.
func typedValue(cmd *cobra.Command, terminal *os.File) (*string, error) {
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), "value, which is not shown: ")
	line, err := term.ReadPassword(int(terminal.Fd()))
	_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	return checkedValue(string(line))
}

func checkedValue(value string) (*string, error) {
	if err := attune.CheckSecretValue(value); err != nil {
		return nil, usageError{err}
	}
	return &value, nil
}

// grantsOf lists the packs of a secret for a person.
func grantsOf(secret attune.Secret) string {
	if len(secret.Packs) == 0 {
		return "no pack"
	}
	return strings.Join(secret.Packs, ", ")
}

func newSecretList(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the secrets with their grants, without their values", Args: noArguments,
	}
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		found, err := client.List[attune.Secret](cmd.Context(), c, "/secrets", nil)
		if err != nil {
			return withAPIAdvice(err)
		}
		slices.SortFunc(found, func(a, b attune.Secret) int { return cmp.Compare(a.Name, b.Name) })
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), append([]attune.Secret{}, found...))
		}
		table := newTable(cmd.OutOrStdout())
		_, _ = fmt.Fprintln(table, "SECRET\tPACKS\tREVISION\tKEY\tSET BY\tSET AT")
		for _, s := range found {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", s.Name, grantsOf(s), s.Revision, s.Key, oneLine(s.Who()),
				clock(s.At))
		}
		return table.Flush()
	}
	return cmd
}

func newSecretRemove(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a secret; attempts that ask for it fail from then on", Args: oneSecret(),
	}
	attribution := bindAttribution(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := secretPath(args[0])
		if err != nil {
			return err
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var body any
		if *attribution != (api.Attribution{}) {
			body = attribution
		}
		if err := c.Delete(cmd.Context(), path, body); err != nil {
			return withAPIAdvice(err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret %s is removed\n", args[0])
		return err
	}
	return cmd
}

func newSecretRotateKey(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate-key", Short: "Encrypt every stored value with the first key of secrets.key", Args: noArguments,
		Long: `Encrypt every stored value with the first key of secrets.key.

First give all processes the new key as their second key, then as their first one, each time with a SIGHUP. Then run this command.
When it has ended without errors, no value needs the old key: remove it.`,
	}
	attribution := bindAttribution(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		total, err := rotateKey(cmd.Context(), c, *attribution)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d values moved to key %s; every value has it now\n", total.Moved, total.Key)
		return err
	}
	return cmd
}

// maxPasses bounds how often rotateKey reads every value.
const maxPasses = 5

// rotateKey moves every value to the first key. A request that was under way when the first key changed can still record a value with
// another key, so rotateKey reads the values until it finds none to move.
func rotateKey(ctx context.Context, c *client.Client, by api.Attribution) (secrets.Rotation, error) {
	var total secrets.Rotation
	for range maxPasses {
		pass, err := rotatePass(ctx, c, by)
		if err != nil {
			return total, err
		}
		if pass.Failed > 0 {
			return total, fmt.Errorf("%d values cannot be decrypted and keep their key; the first: %s", pass.Failed, pass.Error)
		}
		total.Moved, total.Key = total.Moved+pass.Moved, pass.Key
		if pass.Moved == 0 {
			return total, nil
		}
	}
	return total, fmt.Errorf("%d values moved to key %s, and new values still have another key: "+
		"make it the first key of every process with the role api, and run this command again", total.Moved, total.Key)
}

// rotatePass reads every value once.
func rotatePass(ctx context.Context, c *client.Client, by api.Attribution) (secrets.Rotation, error) {
	var pass secrets.Rotation
	for {
		var done secrets.Rotation
		if err := c.Post(ctx, "/secrets/rotate-key", api.KeyRotation{Attribution: by, From: pass.Next}, &done); err != nil {
			return pass, withAPIAdvice(err)
		}
		pass.Moved, pass.Failed = pass.Moved+done.Moved, pass.Failed+done.Failed
		pass.Error, pass.Key, pass.Next = cmp.Or(pass.Error, done.Error), done.Key, done.Next
		if done.Next == "" {
			return pass, nil
		}
	}
}
