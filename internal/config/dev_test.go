package config_test

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

func TestDevPorts(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, env map[string]string, args ...string) (config.DevPorts, error) {
		t.Helper()
		set := pflag.NewFlagSet("attune dev", pflag.ContinueOnError)
		flags := config.BindCommand(set, config.DevCommand)
		require.NoError(t, set.Parse(args))
		c, err := config.Load(flags, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
		return c.Dev, err
	}

	t.Run("ports have defaults", func(t *testing.T) {
		t.Parallel()
		ports, err := read(t, nil)
		require.NoError(t, err)
		require.Equal(t, config.DevPorts{Postgres: 5433, RabbitMQ: 5673, Temporal: 7233, TemporalUI: 8233}, ports)
	})

	t.Run("ports are read from every layer", func(t *testing.T) {
		t.Parallel()
		ports, err := read(t, map[string]string{"ATTUNE_DEV_POSTGRES_PORT": "1", "ATTUNE_DEV_RABBITMQ_PORT": "2"},
			"--rabbitmq-port=3", "--temporal-port=0", "--temporal-ui-port", "4",
			"--config", write(t, "attune.yaml", "dev: {postgres_port: 5, temporal_port: 6}"))
		require.NoError(t, err)
		require.Equal(t, config.DevPorts{Postgres: 1, RabbitMQ: 3, Temporal: 0, TemporalUI: 4}, ports)
	})

	t.Run("a number above the ports is refused", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, nil, "--temporal-port=65536")
		require.ErrorContains(t, err, `--temporal-port: dev.temporal_port "65536": use a whole number from 0 to 65535`)
	})
}
