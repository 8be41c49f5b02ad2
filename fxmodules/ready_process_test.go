package fxmodules_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres/postgrestest"
)

// TestReady empties the database under a running attune: the process must not stay ready. The test is not parallel: it configures
// Temporal by environment variables.
func TestReady(t *testing.T) {
	address, namespace := testenv.Temporal(t)
	t.Setenv("TEMPORAL_ADDRESS", address)
	t.Setenv("TEMPORAL_NAMESPACE", namespace)
	url := postgrestest.URL(t)
	base := start(t, map[string]string{
		"ATTUNE_POSTGRES_URL": url, "ATTUNE_AMQP_URL": testenv.AMQP(t), "ATTUNE_HTTP_ADDR": "127.0.0.1:0",
		"ATTUNE_API_TOKEN": token, "ATTUNE_DATA_DIR": t.TempDir(), "ATTUNE_ROLES": "api",
	})
	requireReady := func(status int, part string) {
		t.Helper()
		var got int
		var body string
		require.Eventually(t, func() bool {
			got, body = readiness(t, base)
			return got == status
		}, testTimeout, tick, "want %d", status)
		require.Contains(t, body, part)
	}
	requireReady(http.StatusOK, `"postgres":"ok"`)

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), `CREATE TABLE kept AS TABLE installation; TRUNCATE installation`)
	require.NoError(t, err)
	requireReady(http.StatusServiceUnavailable, "not ready: postgres (")
	_, err = conn.Exec(t.Context(), `INSERT INTO installation TABLE kept`)
	require.NoError(t, err)
	requireReady(http.StatusOK, `"postgres":"ok"`)
	_, err = conn.Exec(t.Context(), `DROP SCHEMA public CASCADE`)
	require.NoError(t, err)
	requireReady(http.StatusServiceUnavailable, "not ready: postgres (")
}

// readiness requests /readyz.
func readiness(t *testing.T, base string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/readyz", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}
