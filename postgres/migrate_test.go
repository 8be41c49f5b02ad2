package postgres_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
)

// TestMigrationsAreComplete makes sure that no file is left out for its name.
func TestMigrationsAreComplete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.EqualValues(t, len(files), b.count(t, `SELECT max(version_id) FROM goose_db_version`))
}

// beforeTheLogSQL is a queue as it was before there was a log of grants: one enforcement executed, one
// granted and running, one waiting.
const beforeTheLogSQL = `
INSERT INTO packs (name, version, description, digest) VALUES ('core', '1', '', 'core-1'), ('demo', '1', '', 'demo-0');
INSERT INTO triggers (ref, pack, description) VALUES ('core.manual', 'core', '');
INSERT INTO actions (ref, pack, description, command, env, timeout_ms, pool)
	VALUES ('demo.deploy', 'demo', '', '{true}', '{}', 1000, 'default');
INSERT INTO queues (key, action_id, policy_revision, concurrency_limit, max_queued, overflow, queue_timeout_ms,
		last_sequence, last_queued_at, total_completed)
	SELECT ref, id, 3, 1, 10000, 'reject', 0, 3, '2026-01-01T00:00:03Z', 1 FROM actions;
INSERT INTO events (trigger_id, payload, source) SELECT t.id, '{}', 'manual' FROM triggers t, generate_series(1, 3);
INSERT INTO enforcements (event_id, action_id, parameters, status, queue_key, sequence, queued_at, grant_number, granted_at,
		finished_at)
	SELECT ev.id, a.id, '{}', u.status, a.ref, u.n, u.queued_at::timestamptz, u.number, u.granted_at::timestamptz,
		u.finished_at::timestamptz
	FROM actions a, (VALUES
		(1, 'executed', '2026-01-01T00:00:01Z', 1, '2026-01-01T00:00:11Z', '2026-01-01T00:00:31Z'),
		(2, 'granted', '2026-01-01T00:00:02Z', 2, '2026-01-01T00:00:31Z', NULL),
		(3, 'queued', '2026-01-01T00:00:03Z', NULL, NULL, NULL)
	) AS u (n, status, queued_at, number, granted_at, finished_at)
	JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM events) ev ON ev.n = u.n;
INSERT INTO executions (enforcement_id, action_id, queue_key, attempt, status, pool, timeout_ms, command, env, requested_at,
		worker, started_at, finished_at)
	SELECT e.id, e.action_id, e.queue_key, 1, CASE e.status WHEN 'granted' THEN 'running' ELSE 'succeeded' END, 'default',
		1000, '{true}', '{}', e.granted_at + interval '1 second', 'worker-1', e.granted_at + interval '1 second', e.finished_at
	FROM enforcements e WHERE e.grant_number IS NOT NULL ORDER BY e.id;`

// TestMigrate_KeepsWhatWasThere migrates a database from before the log of grants.
func TestMigrate_KeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	address := testenv.Postgres(t)
	database, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer database.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, database, os.DirFS("migrations"))
	require.NoError(t, err)
	_, err = provider.UpTo(t.Context(), 3)
	require.NoError(t, err)
	_, err = database.ExecContext(t.Context(), beforeTheLogSQL)
	require.NoError(t, err)

	require.NoError(t, postgres.Migrate(t.Context(), address))
	b := open(t, postgres.Config{URL: address})
	b.url = address
	at := func(second int) time.Time { return time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC) }
	require.Empty(t, cmp.Diff([]attune.LoggedGrant{
		{
			Grant:       attune.Grant{Ticket: attune.Ticket{Enforcement: 2, Sequence: 2, EnqueuedAt: at(2), Attempt: 1}, Number: 2, GrantedAt: at(31)},
			RequestedAt: at(32), Outcome: attune.ExecutionRunning,
		},
		{
			Grant:       attune.Grant{Ticket: attune.Ticket{Enforcement: 1, Sequence: 1, EnqueuedAt: at(1), Attempt: 1}, Number: 1, GrantedAt: at(11)},
			RequestedAt: at(12), ReleasedAt: new(at(31)), Outcome: attune.ExecutionSucceeded,
		},
	}, b.grants(t, attune.Page{})))

	snapshot := b.rebuild(t)
	policy := attune.DefaultQueuePolicy()
	policy.Revision = 3
	require.Empty(t, cmp.Diff(attune.QueueSnapshot{
		Policy: policy, Generation: 1, LastSequence: 3, LastGrant: 2, Mode: attune.QueueOpen,
		Holders: []attune.Grant{{
			Ticket:     attune.Ticket{Enforcement: 2, Sequence: 2, EnqueuedAt: at(2), Attempt: 1},
			Generation: 1, Number: 2, GrantedAt: at(31),
		}},
		Waiting: []attune.Ticket{{Enforcement: 3, Sequence: 3, EnqueuedAt: at(3)}},
	}, snapshot))

	// What was under way goes on, and is not waited for for ever.
	require.True(t, b.leaseOf(t, 2).After(time.Now()), "the report may be on its way")
	require.Zero(t, b.expireLeases(t, 10))
	report := attune.ExecutionCompletedMessage{Execution: 2, Enforcement: 2, Attempt: 1, Status: attune.ExecutionFailed}
	require.Equal(t, attune.CompletionFinished, b.finish(t, report)[0].Effect)
	next := grant(snapshot.Waiting[0])
	next.Generation = 1
	request, err := b.executions.Request(t.Context(), queueKey, next)
	require.NoError(t, err)
	require.NotNil(t, request.Message)
	require.NoError(t, addsUp(b.stats(t)))
}
