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
		for _, f := range s.forms() {
			require.True(t, strings.HasPrefix(f.env, "ATTUNE_"), s.name)
			for _, name := range []string{f.key, f.env, "--" + f.flag} {
				require.False(t, seen[name], "%s is declared twice", name)
				seen[name] = name != "--"
			}
		}
	}
}

// Every setting of the table must have its flag and its line in the help text.
func TestBind(t *testing.T) {
	t.Parallel()

	t.Run("a command gets the flags of all settings", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		BindCommand(set, DevCommand)
		usage := set.FlagUsages()
		for _, s := range settings(new(Config)) {
			require.Contains(t, usage, s.doc)
			for _, f := range s.forms() {
				require.Contains(t, usage, f.env)
				require.Equal(t, f.flag != "", set.Lookup(f.flag) != nil, s.name)
			}
		}
		require.Nil(t, set.Lookup("api-token"), "a token on a command line is visible to every user of the host")
		require.NotNil(t, set.Lookup("api-token-file"))
	})

	t.Run("settings of a single command get no flags elsewhere", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		Bind(set)
		for _, s := range settings(new(Config)) {
			for _, f := range s.forms() {
				require.Equal(t, f.flag != "" && s.command == "", set.Lookup(f.flag) != nil, s.name)
			}
		}
	})

	t.Run("only named settings get flags", func(t *testing.T) {
		t.Parallel()
		set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
		Bind(set, "http.addr", "http.token")
		require.NotNil(t, set.Lookup("http-addr"))
		require.NotNil(t, set.Lookup("api-token-file"))
		require.Nil(t, set.Lookup("worker-slots"))
		require.NotNil(t, set.Lookup("config"))
	})
}
