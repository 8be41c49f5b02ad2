package config

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestSettingsAreConsistent(t *testing.T) {
	t.Parallel()

	seen := map[string]bool{}
	for _, s := range settings(new(Config)) {
		require.NotEmpty(t, s.doc, s.name)
		require.False(t, strings.HasSuffix(s.doc, "."), "%s: the text goes into --help", s.name)
		for _, w := range s.ways() {
			require.True(t, strings.HasPrefix(w.env, "ATTUNE_"), s.name)
			for _, name := range []string{w.key, w.env, "--" + w.flag} {
				require.False(t, seen[name], "%s is declared twice", name)
				seen[name] = name != "--"
			}
		}
	}
}

// The help text and the table must be the same thing.
func TestBind(t *testing.T) {
	t.Parallel()

	t.Run("All", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		BindCommand(set, DevCommand)
		usage := set.FlagUsages()
		for _, s := range settings(new(Config)) {
			require.Contains(t, usage, s.doc)
			for _, w := range s.ways() {
				require.Contains(t, usage, w.env)
				require.Equal(t, w.flag != "", set.Lookup(w.flag) != nil, s.name)
			}
		}
		require.Nil(t, set.Lookup("api-token"), "a token on a command line is visible to every user of the host")
		require.NotNil(t, set.Lookup("api-token-file"))
	})

	t.Run("NoneOfASingleCommand", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		Bind(set)
		for _, s := range settings(new(Config)) {
			for _, w := range s.ways() {
				require.Equal(t, w.flag != "" && s.command == "", set.Lookup(w.flag) != nil, s.name)
			}
		}
	})

	t.Run("Some", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		Bind(set, "http.addr", "http.token")
		require.NotNil(t, set.Lookup("http-addr"))
		require.NotNil(t, set.Lookup("api-token-file"))
		require.Nil(t, set.Lookup("worker-slots"))
		require.NotNil(t, set.Lookup("config"))
	})
}
