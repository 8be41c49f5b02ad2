package postgres_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
)

// behindProxy is setup with a proxy between the bundle and the server. The URL of the bundle leads around the proxy.
func behindProxy(t *testing.T) (*bundle, *testenv.Proxy) {
	t.Helper()
	direct := setup(t)
	server, err := url.Parse(direct.url)
	require.NoError(t, err)
	proxy := testenv.NewProxy(t, server.Host)
	b := open(t, postgres.Config{URL: proxy.Through(t, direct.url), MaxConns: 8})
	b.url = direct.url
	return b, proxy
}

func TestOutbox_SilentConnection(t *testing.T) {
	t.Parallel()

	t.Run("another session takes over although the connection is not closed", func(t *testing.T) {
		t.Parallel()
		b, proxy := behindProxy(t)
		first := lead(t, b.outbox)
		wait := receive(t, first.led)
		second := lead(t, open(t, postgres.Config{URL: b.url}).outbox)

		proxy.Silence()
		receive(t, second.led)
		requireCode(t, attune.CodeUnavailable, receive(t, first.ended), "listen to the outbox")
		requireCode(t, attune.CodeUnavailable, wait(t.Context()))
	})

	t.Run("the same process leads again and reads the outbox", func(t *testing.T) {
		t.Parallel()
		b, proxy := behindProxy(t)
		fill(t, b.db, 8)
		first := lead(t, b.outbox)
		receive(t, first.led)

		proxy.Silence()
		id := open(t, postgres.Config{URL: b.url}).created(t, deploy, 1)[0]
		requireCode(t, attune.CodeUnavailable, receive(t, first.ended), "listen to the outbox")
		receive(t, lead(t, b.outbox).led)
		requireAnnounced(t, b, id)
	})

	t.Run("the connection is pinged also while notifications arrive", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		leader := lead(t, b.outbox.WithTiming(time.Second, maxWait, 50*time.Millisecond))
		receive(t, leader.led)
		notifying, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		conn := b.conn(t)
		wg.Go(func() {
			for notifying.Err() == nil {
				_, _ = conn.Exec(notifying, "NOTIFY attune_outbox")
			}
		})
		const heard = `
			SELECT extract(epoch FROM max(s.state_change))::bigint * 1000000 + extract(microseconds FROM max(s.state_change))::bigint
			FROM pg_stat_activity s JOIN pg_locks l ON l.pid = s.pid
			WHERE l.locktype = 'advisory' AND s.datname = current_database()`
		for range 3 {
			before := b.count(t, heard)
			require.Eventually(t, func() bool { return b.count(t, heard) != before }, soon, 20*time.Millisecond)
		}
		require.Empty(t, leader.ended)
	})

	t.Run("a session sets the server's timeouts", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		conn, err := b.outbox.Session(t.Context())
		require.NoError(t, err)
		defer conn.Close(context.Background())
		for name, want := range map[string]string{
			"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
			"client_connection_check_interval": "5s", "idle_session_timeout": "15s",
		} {
			var is string
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&is))
			require.Equal(t, want, is, name)
		}
	})
}

// fill opens n connections of the pool, and waits until they are idle for long enough to be pinged.
func fill(t *testing.T, db *postgres.DB, n int) {
	t.Helper()
	conns := make([]*pgxpool.Conn, n)
	for i := range conns {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		conns[i] = conn
	}
	for _, conn := range conns {
		conn.Release()
	}
}

func TestDB_SilentConnections(t *testing.T) {
	t.Parallel()

	t.Run("the pool replaces all idle connections after one lost ping", func(t *testing.T) {
		t.Parallel()
		b, proxy := behindProxy(t)
		fill(t, b.db, 8)
		rested := time.After(2 * time.Second) // the pool pings connections that were idle for a second
		before := proxy.Accepted()
		proxy.Silence()
		<-rested
		require.NoError(t, b.db.Ping(t.Context()))
		require.Greater(t, proxy.Accepted(), before)
		require.Eventually(t, func() bool { return b.db.TotalConns() == 1 }, soon, 10*time.Millisecond, "the others are gone, too")
	})

	t.Run("a statement without a reply fails", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 1)
		limited := open(t, postgres.Config{URL: b.url}.WithStatementTimeout(100*time.Millisecond))
		blocker, err := b.conn(t).Begin(t.Context())
		require.NoError(t, err)
		_, err = blocker.Exec(t.Context(), `LOCK TABLE enforcements`)
		require.NoError(t, err)
		for name, use := range map[string]func() error{
			"transaction": func() error { _, err := limited.enforcements.Admit(t.Context(), ids); return err },
			"query":       func() error { _, err := limited.enforcements.Get(t.Context(), ids[0]); return err },
			"batch":       func() error { _, _, err := limited.queues.Detail(t.Context(), queueKey, 1); return err },
		} {
			err := use()
			requireCode(t, attune.CodeUnavailable, err)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
		}
	})
}
