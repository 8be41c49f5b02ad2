package services

import (
	"os"
	"path/filepath"
	"syscall"
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

	t.Run("data survives a restart, in its folder", func(t *testing.T) {
		t.Parallel()
		first := setup(t, PostgresConfig{})
		url := first.URL()
		query(t, first, "CREATE TABLE kept ()")

		require.NoError(t, first.Restart(t.Context()))
		require.Equal(t, url, first.URL())
		query(t, first, "SELECT FROM kept")
		require.NoError(t, first.Err())

		require.NoError(t, first.Stop(t.Context()))
		second := setup(t, PostgresConfig{Dir: first.config.Dir})
		query(t, second, "SELECT FROM kept")
	})

	t.Run("commits survive a kill", func(t *testing.T) {
		t.Parallel()
		server := setup(t, PostgresConfig{Ephemeral: true})
		query(t, server, "CREATE TABLE kept ()")

		require.NoError(t, server.Kill())
		<-server.Done()
		require.NoError(t, server.Err(), "a requested end is no error")
		require.NoError(t, server.Restart(t.Context()))
		query(t, server, "SELECT FROM kept")

		require.NoError(t, server.Stop(t.Context()))
		require.Empty(t, processesOf(t, server.config.Dir))
		require.NoError(t, server.Stop(t.Context()), "stopping twice")
	})

	t.Run("a server that ends by itself reports the reason", func(t *testing.T) {
		t.Parallel()
		server := setup(t, PostgresConfig{Ephemeral: true})
		require.NoError(t, server.processes[0].cmd.Process.Signal(syscall.SIGQUIT))
		<-server.Done()
		require.ErrorContains(t, server.Err(), "PostgreSQL ended unexpectedly")
		require.ErrorContains(t, server.Err(), "received immediate shutdown request", "the end of the log")
	})

	t.Run("a server that cannot start reports the reason", func(t *testing.T) {
		t.Parallel()
		dir := serviceDir(t)
		data := filepath.Join(dir, "data")
		require.NoError(t, os.Mkdir(data, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("1\n"), 0o600))
		_, err := loadPasswords(dir, false, postgresSuperuser, postgresOwner)
		require.NoError(t, err)
		_, err = StartPostgres(t.Context(), PostgresConfig{Dir: dir})
		require.ErrorContains(t, err, "PostgreSQL ended while starting: exit status")
		require.ErrorContains(t, err, data, "the end of the log")
	})
}
