package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const leaked = `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.status = 'granted' AND e.granted_at <= clock_timestamp() - $1::interval
	AND (x.id IS NULL OR x.finished_at IS NOT NULL
		OR x.status = 'retrying' AND COALESCE(x.retry_at <= clock_timestamp() - $1::interval, true))`

const leaksSQL = `
SELECT (SELECT q.key FROM queues q WHERE q.id = e.queue_id) AS queue, e.id, e.sequence, e.granted_at, COALESCE(x.id, 0),
	COALESCE(x.status, '')` + leaked + `
ORDER BY queue, e.grant_number`

// Leaks returns the enforcements that were granted at least olderThan ago, and still count as holding a slot although
// their execution has ended or was never made, or has waited for its next attempt for so long beyond its time. The
// transactions of this package leave none of the former behind; the latter are the queue's to go on with.
func (q *Queues) Leaks(ctx context.Context, olderThan time.Duration) ([]attune.Leak, error) {
	leaks, err := collect(ctx, q.db.pool, scanLeak, leaksSQL, olderThan)
	return leaks, wrap("look for leaks", err)
}

func scanLeak(row pgx.CollectableRow) (attune.Leak, error) {
	var l attune.Leak
	err := row.Scan(&l.Queue, &l.Enforcement, &l.Sequence, &l.GrantedAt, &l.Execution, &l.Status)
	return l, err
}

// countedQueues counts every queue like statsColumns, and says which are stalled. The time in which a queue has done nothing
// begins with the last thing after which it could have granted: a grant before, the arrival of the first in line, a slot or
// limit that became free (freed_at), or the end of a limit set by hand.
const countedQueues = `
WITH counted AS MATERIALIZED (
	SELECT q.key, q.mode, COALESCE(` + overrideInForce + `, q.concurrency_limit) AS in_force, q.freed_at,
		CASE WHEN q.override_until <= clock_timestamp() THEN q.override_until END AS ran_out_at,
		(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'granted') AS active,
		(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued') AS waiting,
		(SELECT g.requested_at FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1) AS last_grant_at,
		(SELECT e.queued_at FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued'
			ORDER BY e.sequence LIMIT 1) AS oldest_waiting
	FROM queues q WHERE q.policy_revision > 0
), judged AS (
	SELECT c.*, COALESCE(c.mode <> 'paused' AND c.waiting > 0 AND c.active < c.in_force
		AND GREATEST(c.last_grant_at, c.oldest_waiting, c.freed_at, c.ran_out_at) <= clock_timestamp() - $1::interval,
		false) AS stalled
	FROM counted c
)`

const stallsSQL = countedQueues + `
SELECT key, in_force, active, waiting, last_grant_at, oldest_waiting FROM judged WHERE stalled ORDER BY key`

// Stalls returns the queues that for at least idle have had somebody waiting and a slot free, are not paused, and have
// granted nothing.
func (q *Queues) Stalls(ctx context.Context, idle time.Duration) ([]attune.Stall, error) {
	stalls, err := collect(ctx, q.db.pool, scanStall, stallsSQL, idle)
	return stalls, wrap("look for stalled queues", err)
}

func scanStall(row pgx.CollectableRow) (attune.Stall, error) {
	var s attune.Stall
	err := row.Scan(&s.Queue, &s.Limit, &s.Active, &s.Waiting, &s.LastGrantAt, &s.OldestWaiting)
	return s, err
}

const overdueSQL = `
SELECT q.key, x.enforcement_id, x.id, x.attempt, x.status, x.worker, x.pool,
	COALESCE(x.started_at, x.requested_at) AS since, x.timeout_ms, x.cancel_requested_at IS NOT NULL
FROM executions x JOIN queues q ON q.id = x.queue_id
WHERE x.status = 'running' AND x.started_at <= clock_timestamp() - x.timeout_ms * interval '1 millisecond' - $1::interval
	OR x.status = 'requested' AND x.requested_at <= clock_timestamp() - $2::interval
ORDER BY since, x.id`

// Overdue returns the executions that have run for at least grace longer than their timeout, although their worker ends
// them when it is over, and those that no worker has taken for at least untaken. The longest comes first.
func (q *Queues) Overdue(ctx context.Context, grace, untaken time.Duration) ([]attune.Overdue, error) {
	overdue, err := collect(ctx, q.db.pool, scanOverdue, overdueSQL, grace, untaken)
	return overdue, wrap("look for executions that are overdue", err)
}

func scanOverdue(row pgx.CollectableRow) (attune.Overdue, error) {
	var o attune.Overdue
	var timeoutMS int64
	err := row.Scan(&o.Queue, &o.Enforcement, &o.Execution, &o.Attempt, &o.Status, &o.Worker, &o.Pool, &o.Since,
		&timeoutMS, &o.CancelRequested)
	o.Timeout = fromMilliseconds(timeoutMS)
	return o, err
}

const byHandSQL = `
WITH hand AS (SELECT q.id, q.key, q.mode, ` + overrideInForce + ` AS override, q.override_until FROM queues q)
SELECT s.key, s.mode, s.override, s.override_until,
	COALESCE(m.principal, ''), COALESCE(m.auth_method, ''), COALESCE(m.on_behalf_of, ''), m.at, COALESCE(m.note, ''),
	COALESCE(l.principal, ''), COALESCE(l.auth_method, ''), COALESCE(l.on_behalf_of, ''), l.at, COALESCE(l.note, '')
FROM hand s
	LEFT JOIN LATERAL (SELECT c.* FROM queue_changes c
		WHERE c.queue_id = s.id AND c.kind = 'mode' ORDER BY c.number DESC LIMIT 1) m ON true
	LEFT JOIN LATERAL (SELECT c.* FROM queue_changes c
		WHERE c.queue_id = s.id AND c.kind = 'limit' ORDER BY c.number DESC LIMIT 1) l ON true
WHERE s.mode <> 'open' OR s.override IS NOT NULL ORDER BY s.key`

// SetByHand returns the queues that are not open, or whose limit was set by hand, and who did it.
func (q *Queues) SetByHand(ctx context.Context) ([]attune.ByHand, error) {
	set, err := collect(ctx, q.db.pool, scanByHand, byHandSQL)
	return set, wrap("look for queues set by hand", err)
}

func scanByHand(row pgx.CollectableRow) (attune.ByHand, error) {
	var b attune.ByHand
	var limit *int
	var until, modeAt, limitAt *time.Time
	mode, override := attune.QueueChange{Kind: attune.ChangeMode}, attune.QueueChange{Kind: attune.ChangeLimit}
	err := row.Scan(&b.Queue, &b.Mode, &limit, &until,
		&mode.Principal.Name, &mode.Principal.Method, &mode.OnBehalfOf, &modeAt, &mode.Note,
		&override.Principal.Name, &override.Principal.Method, &override.OnBehalfOf, &limitAt, &override.Note)
	b.Override = overrideOf(limit, until)
	if b.Mode != attune.QueueOpen && modeAt != nil {
		mode.At, b.ModeBy = *modeAt, &mode
	}
	if b.Override != nil && limitAt != nil {
		override.At, b.LimitBy = *limitAt, &override
	}
	return b, err
}

const schemaSQL = `
SELECT current_setting('server_version'), COALESCE(max(v.version_id), 0) FROM goose_db_version v WHERE v.is_applied`

// Schema asks the server for its version and that of its tables.
func (db *DB) Schema(ctx context.Context) (attune.DatabaseSchema, error) {
	schema, err := one(ctx, db.pool, func(row pgx.CollectableRow) (s attune.DatabaseSchema, err error) {
		return s, row.Scan(&s.Server, &s.Version)
	}, schemaSQL)
	if err != nil {
		return schema, wrap("read the version of the tables", err)
	}
	schema.Newest, err = newestMigration()
	return schema, err
}

// newestMigration is the number that the last of the migrations begins with.
func newestMigration() (newest int64, err error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, fmt.Errorf("open embedded migrations: %w", err)
	}
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("number of migration %q: %w", file.Name(), err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}

const backlogSQL = `
SELECT count(*), COALESCE(extract(epoch FROM clock_timestamp() - min(o.created_at)), 0)::double precision FROM outbox o`

// Backlog counts what waits to be published.
func (o *Outbox) Backlog(ctx context.Context) (attune.OutboxBacklog, error) {
	backlog, err := one(ctx, o.db.pool, func(row pgx.CollectableRow) (b attune.OutboxBacklog, err error) {
		var oldest float64
		err = row.Scan(&b.Rows, &oldest)
		b.Oldest = max(0, seconds(oldest))
		return b, err
	}, backlogSQL)
	return backlog, wrap("count the outbox", err)
}

const parkedSQL = `
SELECT q.key, count(*), min(e.id) FROM enforcements e JOIN queues q ON q.id = e.queue_id
WHERE e.status = 'parked' GROUP BY q.key ORDER BY q.key`

// Parked returns the queues of which enforcements are parked.
func (q *Queues) Parked(ctx context.Context) ([]attune.ParkedCount, error) {
	parked, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.ParkedCount], parkedSQL)
	return parked, wrap("look for parked enforcements", err)
}

const poolsSQL = `SELECT DISTINCT a.pool FROM actions a WHERE a.enabled ORDER BY a.pool`

// Pools returns the pools that enabled actions run in.
func (p *Packs) Pools(ctx context.Context) ([]string, error) {
	pools, err := collect(ctx, p.db.pool, pgx.RowTo[string], poolsSQL)
	return pools, wrap("list pools", err)
}
