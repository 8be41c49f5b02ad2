package config_test

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

func TestSettingsAreConsistent(t *testing.T) {
	t.Parallel()

	seen := map[string]bool{}
	for _, s := range config.Settings() {
		require.True(t, strings.HasPrefix(s.Env, "ATTUNE_"), s.Name)
		require.NotEmpty(t, s.Doc, s.Name)
		require.False(t, strings.HasSuffix(s.Doc, "."), "%s: the text goes into --help and a table", s.Name)
		for _, name := range []string{s.Name, s.Env, "--" + s.Flag} {
			require.False(t, seen[name], "%s is declared twice", name)
			seen[name] = name != "--"
		}
	}
}

// The help text, the reference and the table must be the same thing.
func TestBind(t *testing.T) {
	t.Parallel()

	t.Run("All", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		config.BindCommand(set, config.DevCommand)
		usage, markdown := set.FlagUsages(), config.Markdown()
		for _, s := range config.Settings() {
			require.Contains(t, usage, s.Doc)
			require.Contains(t, usage, s.Env+"]")
			require.Contains(t, markdown, "| `"+s.Name+"` | `"+s.Env+"` |")
			if s.Flag != "" {
				require.NotNil(t, set.Lookup(s.Flag))
				require.Contains(t, markdown, "`--"+s.Flag+"`")
			}
		}
		require.Nil(t, set.Lookup("api-token"), "a token on a command line is visible to every user of the host")
		require.NotNil(t, set.Lookup("api-token-file"))
	})

	t.Run("NoneOfASingleCommand", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		config.Bind(set)
		for _, s := range config.Settings() {
			require.Equal(t, s.Flag != "" && s.Command == "", set.Lookup(s.Flag) != nil, s.Name)
		}
	})

	t.Run("Some", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		config.Bind(set, "http.addr", "http.token")
		require.NotNil(t, set.Lookup("http-addr"))
		require.NotNil(t, set.Lookup("api-token-file"))
		require.Nil(t, set.Lookup("worker-slots"))
		require.NotNil(t, set.Lookup("config"))
	})
}
