package bench_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// settleTime is how long a service may delay its counters: PostgreSQL's idle backends report after 10 s, RabbitMQ's
// channels every 5 s.
const settleTime = 11 * time.Second

// counters are total counts of the services.
type counters struct {
	transactions int64 // committed in attune's database
	messages     int64 // published to any exchange, replies included
}

func (c counters) minus(other counters) counters {
	return counters{transactions: c.transactions - other.transactions, messages: c.messages - other.messages}
}

// counters waits until the services have counted all work, and reads the counters.
func (w *world) counters(b *testing.B) (c counters) {
	b.Helper()
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	select {
	case <-settled.C:
	case <-b.Context().Done():
	}
	const transactions = `SELECT xact_commit FROM pg_stat_database WHERE datname = $1`
	database := databaseOf(b, w.services.Postgres.URL())
	require.NoError(b, w.database.QueryRow(b.Context(), transactions, database).Scan(&c.transactions))

	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, w.services.RabbitMQ.ManagementURL()+"/api/overview", http.NoBody)
	require.NoError(b, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(b, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(b, http.StatusOK, response.StatusCode)
	var overview struct {
		Stats struct {
			Publish int64 `json:"publish"`
		} `json:"message_stats"`
	}
	require.NoError(b, json.NewDecoder(response.Body).Decode(&overview))
	c.messages = overview.Stats.Publish
	return c
}

// autovacuum switches PostgreSQL's autovacuum on or off, because it occasionally runs dozens of transactions.
func (w *world) autovacuum(b *testing.B, state string) {
	b.Helper()
	for _, statement := range []string{"ALTER SYSTEM SET autovacuum = " + state, "SELECT pg_reload_conf()"} {
		_, err := w.database.Exec(b.Context(), statement)
		require.NoError(b, err)
	}
}

func connect(b *testing.B, address string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), address)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	return conn
}

func databaseOf(b *testing.B, address string) string {
	b.Helper()
	config, err := pgx.ParseConfig(address)
	require.NoError(b, err)
	return config.Database
}
