package services

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/services/procfs"
)

func TestPIDs(t *testing.T) {
	t.Parallel()

	t.Run("the ids are those of the running processes, after a restart too", func(t *testing.T) {
		t.Parallel()
		server, err := StartPostgres(t.Context(), PostgresConfig{Dir: serviceDir(t), Ephemeral: true})
		require.NoError(t, err)
		stopAtEnd(t, server.Stop)
		first := server.PIDs()
		require.Len(t, first, 1)
		require.Greater(t, len(procfs.Family(first[0])), 1, "PostgreSQL has processes below its first")

		require.NoError(t, server.Restart(t.Context()))
		require.Len(t, server.PIDs(), 1)
		require.NotEqual(t, first, server.PIDs())
		require.NotEmpty(t, procfs.Family(server.PIDs()[0]))
	})
}
