package services

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPostgres(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T, config PostgresConfig) *Postgres {
		t.Helper()
		if config.Dir == "" {
			config.Dir = serviceDir(t)
		}
		server, err := StartPostgres(t.Context(), config)
		require.NoError(t, err)
		stopAtEnd(t, server.Stop)
		return server
	}
	query := func(t *testing.T, server *Postgres, sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), server.URL())
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}

	t.Run("KeepsDataOverRestart", func(t *testing.T) {
		t.Parallel()
		server := setup(t, PostgresConfig{})
		url := server.URL()
		query(t, server, "CREATE TABLE kept ()")

		require.NoError(t, server.Restart(t.Context()))
		require.Equal(t, url, server.URL())
		query(t, server, "SELECT FROM kept")
		require.NoError(t, server.Err())
	})

	t.Run("KeepsCommitsOverKill", func(t *testing.T) {
		t.Parallel()
		server := setup(t, PostgresConfig{Ephemeral: true})
		query(t, server, "CREATE TABLE kept ()")

		require.NoError(t, server.Kill())
		<-server.Done()
		require.NoError(t, server.Err())
		require.NoError(t, server.Restart(t.Context()))
		query(t, server, "SELECT FROM kept")
	})

	t.Run("StopLeavesNothing", func(t *testing.T) {
		t.Parallel()
		server := setup(t, PostgresConfig{Ephemeral: true})
		query(t, server, "SELECT")
		require.NoError(t, server.Stop(t.Context()))
		require.Empty(t, processesOf(t, server.config.Dir))
		require.NoError(t, server.Stop(t.Context()), "stopping twice")
	})

	t.Run("UsesAFolderAgain", func(t *testing.T) {
		t.Parallel()
		first := setup(t, PostgresConfig{})
		query(t, first, "CREATE TABLE kept ()")
		require.NoError(t, first.Stop(t.Context()))
		second := setup(t, PostgresConfig{Dir: first.config.Dir})
		query(t, second, "SELECT FROM kept")
	})
}
