package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// TestExampleFile checks the settings file for readers: it loads, has every setting, and gives each its default.
func TestExampleFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "deploy", "attune.example.yaml")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	found, problems := parseFile(path, data)
	require.Empty(t, problems)
	for _, s := range settings(new(Config)) {
		in, isSet := found[s.name]
		require.True(t, isSet, "%s: the file does not have the setting %s", path, s.name)
		if s.defaultText == "" || s.name == "worker.name" {
			continue // there is no default that holds for every process
		}
		var fromFile, fromDefault Config
		require.NoError(t, rowOf(s.name, &fromFile).set(in.values))
		require.NoError(t, rowOf(s.name, &fromDefault).set(s.split(s.defaultText)))
		require.Equal(t, fromDefault, fromFile, s.name)
	}

	flags := Bind(pflag.NewFlagSet("attune", pflag.ContinueOnError))
	require.NoError(t, flags.Set(configFileFlag, path))
	cfg, err := Load(flags, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	require.NoError(t, cfg.Validate())
}

// rowOf returns the row of a setting that fills c.
func rowOf(name string, c *Config) setting {
	for _, s := range settings(c) {
		if s.name == name {
			return s
		}
	}
	return setting{}
}
