package bridge_test

import (
	"context"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
)

// messages receives the message ids of published rows.
type messages chan string

func (m messages) PublishRows(_ context.Context, rows []attune.OutboxRow) error {
	for _, row := range rows {
		m <- row.MessageID
	}
	return nil
}

// await returns when a row has been published. The relay may publish other rows again before, each time it starts over.
func (m messages) await(t *testing.T, want string) {
	t.Helper()
	overdue := time.After(2 * time.Minute) // an idle machine needs 20 s
	for {
		select {
		case got := <-m:
			if got == want {
				return
			}
		case <-overdue:
			require.FailNow(t, "the row was not published", want)
		}
	}
}

// TestRelay_SilentDatabase silences every connection of a relay without closing it, like a proxy that has lost its
// connections. No event and no notification wakes the relay.
func TestRelay_SilentDatabase(t *testing.T) {
	t.Parallel()
	address := postgrestest.URL(t)
	server, err := url.Parse(address)
	require.NoError(t, err)
	direct, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer direct.Close(context.Background())
	add := func(id string) {
		const insert = `INSERT INTO outbox (routing_key, message_id, body) VALUES ('key', $1, '{}')`
		_, err := direct.Exec(t.Context(), insert, id)
		require.NoError(t, err)
	}

	proxy := testenv.NewProxy(t, server.Host)
	outbox := postgres.NewOutbox(postgrestest.Open(t, postgres.Config{URL: proxy.Through(t, address)}))
	published := make(messages, 10)
	relay := bridge.NewRelay(outbox, published, bridge.NewSigner(newBridgeKey(t)), func(context.Context, int) {}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = relay.Run(ctx) })
	defer wg.Wait()
	defer stop()

	add("before")
	published.await(t, "before")
	proxy.Silence()
	add("after")
	published.await(t, "after")
}
