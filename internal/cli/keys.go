package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
)

// The kinds of keys that attune makes.
const (
	bridgeKind  = "bridge"
	secretsKind = "secrets"
)

func newKeys() *cobra.Command {
	cmd := newGroup("keys", "Make the keys of an installation")
	cmd.AddCommand(newKeysNew(), newKeysPublic())
	return cmd
}

func newKeysNew() *cobra.Command {
	cmd := newGroup("new", "Make a key")
	cmd.AddCommand(
		newKeyOf(bridgeKind, "Make the key with which the bridge signs for workers, and print its public key",
			`Make the key with which the bridge signs its replies to workers and its cancels. The file is the value of
bridge.signing_key_file of every process with the role bridge. The command prints the public key, for worker.bridge_keys of the workers.`,
			attune.NewBridgeSigningKey),
		newKeyOf(secretsKind, "Make the key that encrypts secrets",
			`Make the key that encrypts secrets. The file is the value of secrets.key_file of every process with the role api or bridge.`,
			newSecretsKey),
	)
	return cmd
}

// newKeyOf returns the command that makes a key of one kind.
func newKeyOf(kind, short, long string, generate func() string) *cobra.Command {
	cmd := &cobra.Command{
		Use: kind + " FILE", Short: short,
		Long:    long + "\n\nOnly the owner of the file can read it. A file that exists is never changed.",
		Example: "  attune keys new " + kind + " /etc/attune/" + kind + ".key",
		Args:    takes{noun: "file", least: 1, most: 1}.check,
	}
	keep := cmd.Flags().Bool("keep", false, "accept a file that exists, if it has a key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := writeKey(args[0], generate())
		if errors.Is(err, fs.ErrExist) && !*keep {
			return fmt.Errorf("%w: choose another file, or use the key that it has", err)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if kind == bridgeKind {
			return printPublic(cmd, args[0])
		}
		_, err = config.ReadSecretFile(args[0])
		return err
	}
	return cmd
}

// writeKey writes a key to a new file.
func writeKey(path, key string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = file.WriteString(key + "\n")
	return errors.Join(err, file.Close())
}

func newKeysPublic() *cobra.Command {
	return &cobra.Command{
		Use: "public FILE", Short: "Print the public key of a key of the bridge",
		Example: "  attune keys public /etc/attune/bridge.key",
		Args:    takes{noun: "file", least: 1, most: 1}.check,
		RunE:    func(cmd *cobra.Command, args []string) error { return printPublic(cmd, args[0]) },
	}
}

// printPublic prints the public key of the bridge's key in a file.
func printPublic(cmd *cobra.Command, path string) error {
	text, err := config.ReadSecretFile(path)
	if err != nil {
		return fmt.Errorf("the key of the bridge %w", err)
	}
	key, err := attune.ParseBridgeSigningKey(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), key.Public())
	return err
}
