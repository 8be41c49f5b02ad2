package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
)

const password = "correct-horse"

func TestOpen_Errors(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", services.FreePort()) // a port without a server
	server, err := url.Parse(testenv.Postgres(t))
	require.NoError(t, err)
	missing := *server
	missing.Path = "/there_is_no_such_database"

	tests := []struct {
		name     string
		url      string
		code     attune.Code
		mentions []any
	}{
		{
			name: "no server listens", url: fmt.Sprintf("postgres://attune:%s@%s/attune", password, address),
			code: attune.CodeUnavailable, mentions: []any{address, "check that it runs"},
		},
		{
			name: "the database does not exist", url: missing.String(),
			code: attune.CodeUnavailable, mentions: []any{server.Host, "createdb there_is_no_such_database"},
		},
		{name: "the password contains a slash", url: "postgres://attune:" + password + "/1@host:5432/db", code: attune.CodeInvalid},
		{name: "the port is no number", url: "postgres://a@attune:" + password + ":x@host/db", code: attune.CodeInvalid},
		{name: "the sslmode is unknown", url: "postgres://attune:" + password + "@host/db?sslmode=perhaps", code: attune.CodeInvalid},
		{name: "a pool setting is no number", url: "host=h password=" + password + " pool_max_conns=many", code: attune.CodeInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, use := range map[string]func() error{
				"Open":    func() error { _, err := postgres.Open(t.Context(), postgres.Config{URL: test.url}); return err },
				"Migrate": func() error { return postgres.Migrate(t.Context(), test.url) },
			} {
				if name == "Migrate" && strings.Contains(test.url, "pool_") {
					continue // no pool
				}
				err := use()
				requireCode(t, test.code, err, test.mentions...)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), password)
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					require.NotContains(t, fmt.Sprintf("%+v", cause), password)
				}
			}
		})
	}
}

func TestOpen_MaxConns(t *testing.T) {
	t.Parallel()
	address := testenv.Postgres(t)
	bounded, err := url.Parse(address)
	require.NoError(t, err)
	query := bounded.Query()
	query.Set("pool_max_conns", "5")
	bounded.RawQuery = query.Encode()
	for _, test := range []struct {
		config postgres.Config
		want   int32
	}{
		{config: postgres.Config{URL: address}, want: 16},
		{config: postgres.Config{URL: bounded.String()}, want: 5},
		{config: postgres.Config{URL: bounded.String(), MaxConns: 7}, want: 7},
	} {
		require.Equal(t, test.want, postgrestest.Open(t, test.config).MaxConns())
	}
}

func TestMigrate_OldServer(t *testing.T) {
	t.Parallel()
	requireCode(t, attune.CodeInvalid, postgres.CheckVersion(140011, "14.11"), "14.11", "PostgreSQL 15")
	require.NoError(t, postgres.CheckVersion(150000, "15.0"))
}

func TestOpen_Cancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := postgres.Open(ctx, postgres.Config{URL: testenv.Postgres(t)})
	require.ErrorIs(t, err, context.Canceled)
}

// TestMigrate_Concurrently migrates from several processes at once.
func TestMigrate_Concurrently(t *testing.T) {
	t.Parallel()
	address := testenv.Postgres(t)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = postgres.Migrate(t.Context(), address) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	b := open(t, postgres.Config{URL: address})
	b.install(t, corePack())
	require.NoError(t, b.db.Ping(t.Context()))
}

// TestOutage kills a server, and starts it again.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := testenv.Own(t, services.Config{Postgres: &services.PostgresConfig{}}).Postgres
	require.NoError(t, postgres.Migrate(t.Context(), server.URL()))
	b := open(t, postgres.Config{URL: server.URL()})
	b.install(t, corePack(), demoPack())
	message := b.requested(t, 1)[0]
	leader := lead(t, b.outbox)
	receive(t, leader.led)

	require.NoError(t, server.Kill())
	requireCode(t, attune.CodeUnavailable, receive(t, leader.ended), "listen to the outbox")
	for range 2 { // first on dead connections, then without connections
		_, err := b.events.Record(t.Context(), pushEvent(), accept)
		requireCode(t, attune.CodeUnavailable, err, "record event")
		_, err = b.executions.Executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{reportOf(message)})
		requireCode(t, attune.CodeUnavailable, err, "finish executions")
		_, err = b.enforcements.Get(t.Context(), 1)
		requireCode(t, attune.CodeUnavailable, err, "read enforcement")
		requireCode(t, attune.CodeUnavailable, b.db.Ping(t.Context()))
	}
	err := b.outbox.Lead(t.Context(), func(context.Context, func(context.Context) error) error { return nil })
	requireCode(t, attune.CodeUnavailable, err)

	require.NoError(t, server.Restart(t.Context()))
	require.Equal(t, attune.CompletionFinished, b.finish(t, reportOf(message))[0].Effect)
	receive(t, lead(t, b.outbox).led)
}

func TestUnavailable(t *testing.T) {
	t.Parallel()

	t.Run("a database without a reply in time is unavailable", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 1)
		blocker, err := b.conn(t).Begin(t.Context())
		require.NoError(t, err)
		_, err = blocker.Exec(t.Context(), `LOCK TABLE enforcements`)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = b.enforcements.Admit(ctx, ids)
		requireCode(t, attune.CodeUnavailable, err, "admit enforcements")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})

	t.Run("a database without tables is unavailable", func(t *testing.T) {
		t.Parallel()
		b := open(t, postgres.Config{URL: testenv.Postgres(t)})
		_, err := b.packs.Rules(t.Context(), attune.Page{})
		requireCode(t, attune.CodeUnavailable, err, "migrate")
	})
}
