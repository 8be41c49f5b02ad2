package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// holdSample is how many finished grants hold times are taken from, at most.
const holdSample = 1000

const instantSQL = `
SELECT now(), (SELECT count(*) FROM enforcements e WHERE e.status = 'parked' AND e.queue_id = ` + queueNamed + `)`

const sightHoldersSQL = `
SELECT e.id, e.sequence, e.grant_number, e.granted_at, COALESCE(g.requested_at, e.granted_at), COALESCE(x.id, 0),
	COALESCE(x.attempt, 0), COALESCE(x.status, ''), COALESCE(x.worker, ''), COALESCE(x.pool, ''), x.requested_at,
	x.started_at, x.lease_until, COALESCE(x.timeout_ms, 0), x.cancel_requested_at, COALESCE(x.attempt_status, ''), x.retry_at
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
	LEFT JOIN grants g ON g.queue_id = e.queue_id AND g.number = e.grant_number
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'granted' ORDER BY e.grant_number LIMIT $2`

const sightWaitingSQL = `
SELECT e.id, e.sequence, e.queued_at, COALESCE(x.attempt + 1, 1)
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' ORDER BY e.sequence LIMIT $2`

// releasesSQL reads the hour from its end of grants_released, and the sample likewise.
const releasesSQL = `
SELECT h.minute, h.five, h.hour, COALESCE(s.p50, 0), COALESCE(s.p95, 0), s.count, s.since
FROM (
	SELECT count(*) FILTER (WHERE g.released_at > now() - interval '1 minute') AS minute,
		count(*) FILTER (WHERE g.released_at > now() - interval '5 minutes') AS five, count(*) AS hour
	FROM grants g WHERE g.queue_id = ` + queueNamed + ` AND g.released_at > now() - interval '1 hour'
) h, (
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY l.held) AS p50,
		percentile_cont(0.95) WITHIN GROUP (ORDER BY l.held) AS p95, count(*) AS count, min(l.released_at) AS since
	FROM (
		SELECT extract(epoch FROM g.released_at - g.requested_at)::double precision AS held, g.released_at
		FROM grants g WHERE g.queue_id = ` + queueNamed + ` AND g.released_at IS NOT NULL
		ORDER BY g.released_at DESC LIMIT $2
	) l
) s`

// Sight looks at a queue, with the first so many of those who wait, and at what the scopes of policy say now, which the queue
// may not have been told yet. Before the first use of an action's queue, nothing waits and what they say now is in force. Any
// other queue is [attune.CodeNotFound].
func (q *Queues) Sight(ctx context.Context, key attune.QueueKey, first int) (attune.QueueSight, policy.Effective, error) {
	var sight attune.QueueSight
	var said policy.Effective
	snapshot := attune.QueueSnapshot{Mode: attune.QueueOpen}
	batch := sightBatch(key, first, &sight, &snapshot)
	oneInstant := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, q.db.pool, oneInstant, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return found(err, "queue %q does not exist", key)
		}
		name := queueName{key: key, owner: sight.Stats.Action}
		scopes, err := readLevels(ctx, tx, name)
		said = scopes.resolve(name)
		return err
	})
	sight.Policy, sight.Override = snapshot.Policy, snapshot.Override
	if sight.Policy.Revision == 0 {
		sight.Policy = said.Policy
	}
	sight.Stats.MaxConcurrent = sight.Policy.Limit // not what another statement made of a limit that runs out just now
	if sight.Override != nil {
		sight.Stats.MaxConcurrent = sight.Override.Limit
	}
	return sight, said, wrap("look at queue", err)
}

func sightBatch(key attune.QueueKey, first int, s *attune.QueueSight, snapshot *attune.QueueSnapshot) *pgx.Batch {
	batch := new(pgx.Batch)
	batch.Queue(instantSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&s.At, &s.Parked) })
	batch.Queue(statsSQL, key, policy.OwnerOf(key)).Query(func(rows pgx.Rows) error {
		counted, err := pgx.CollectExactlyOneRow(rows, scanStats)
		s.Stats = counted.stats
		return err
	})
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, snapshot) })
	batch.Queue(sightHoldersSQL, key, attune.MaxSlotHolders).Query(func(rows pgx.Rows) (err error) {
		s.Holders, err = pgx.CollectRows(rows, scanSightHolder)
		return err
	})
	batch.Queue(sightWaitingSQL, key, first).Query(func(rows pgx.Rows) (err error) {
		s.Waiting, err = pgx.CollectRows(rows, pgx.RowToStructByPos[attune.PlaceInLine])
		return err
	})
	batch.Queue(grantsSQL, int64(0), attune.EstimateGrants, key).Query(func(rows pgx.Rows) (err error) {
		s.Latest, err = pgx.CollectRows(rows, scanLoggedGrant)
		return err
	})
	batch.Queue(releasesSQL, key, holdSample).QueryRow(func(row pgx.Row) (err error) {
		s.Released, err = scanReleases(row)
		return err
	})
	return batch
}

func scanSightHolder(row pgx.CollectableRow) (attune.SlotHolder, error) {
	var h attune.SlotHolder
	var timeoutMS int64
	err := row.Scan(&h.Enforcement, &h.Sequence, &h.GrantNumber, &h.GrantedAt, &h.HeldSince, &h.Execution,
		&h.Attempt, &h.Status, &h.Worker, &h.Pool, &h.RequestedAt, &h.StartedAt, &h.LeaseUntil, &timeoutMS,
		&h.CancelRequested, &h.AttemptStatus, &h.RetryAt)
	h.Timeout = fromMilliseconds(timeoutMS)
	return h, err
}

func scanReleases(row pgx.Row) (attune.Releases, error) {
	var r attune.Releases
	var p50, p95 float64
	err := row.Scan(&r.LastMinute, &r.LastFiveMinutes, &r.LastHour, &p50, &p95, &r.Sample, &r.Since)
	r.P50, r.P95 = seconds(p50), seconds(p95)
	return r, err
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// Reading is every queue, and how many slots are leaked in all of them.
type Reading struct {
	Queues []attune.QueueGauge // stalled as [Queues.Stalls] has it
	Leaked int64               // as [Queues.Leaks] has it
}

const gaugesSQL = countedQueues + `
SELECT key, in_force, active, waiting,
	COALESCE(extract(epoch FROM clock_timestamp() - oldest_waiting), 0)::double precision, stalled
FROM judged ORDER BY key`

const countLeaksSQL = `SELECT count(*)` + leaked

// watchLock is the advisory lock of the one that watches.
const watchLock int64 = 0x61747475_6e650003

// watchPatience bounds one reading: a database that takes longer has other worries.
const watchPatience = 10 * time.Second

// Watch hands a reading of all queues to observe, every so often, while this process is the only one that does, until ctx
// ends. However many processes watch, the database is read by one of them; the others ask for its place as often. Queues
// count as stalled, and slots as leaked, after patience.
//
// When a reading fails or the place is lost, observe gets nil: what it was told last is true no longer. The readings are
// made on the connection that holds the lock, so whoever reads has the place.
func (q *Queues) Watch(ctx context.Context, every, patience time.Duration, observe func(*Reading)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if err := q.watch(ctx, every, patience, observe); err != nil && ctx.Err() == nil {
			q.db.logger.WarnContext(ctx, "the queues could not be read for metrics", "error", err)
		}
		observe(nil)
		timer.Reset(every)
	}
}

// watch returns nil when another process watches, and otherwise when it cannot go on. Its connection is like that of the
// relay: outside the pool, and ended by the server when this machine is gone, which frees the lock.
func (q *Queues) watch(ctx context.Context, every, patience time.Duration, observe func(*Reading)) error {
	outbox := NewOutbox(q.db)
	conn, err := outbox.connect(ctx)
	if err != nil {
		return err
	}
	defer outbox.disconnect(ctx, conn)
	acquired, err := one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, watchLock)
	if err != nil || !acquired {
		return wrap("ask to be the one that watches", err)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		var reading *Reading
		err := within(ctx, watchPatience, func(ctx context.Context) (err error) {
			reading, err = readGauges(ctx, conn, patience)
			return err
		})
		if err != nil {
			return wrap("read the queues", err)
		}
		observe(reading)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func readGauges(ctx context.Context, q querier, patience time.Duration) (*Reading, error) {
	queues, err := collect(ctx, q, scanGauge, gaugesSQL, patience)
	if err != nil {
		return nil, err
	}
	leaked, err := one(ctx, q, pgx.RowTo[int64], countLeaksSQL, patience)
	return &Reading{Queues: queues, Leaked: leaked}, err
}

func scanGauge(row pgx.CollectableRow) (attune.QueueGauge, error) {
	var g attune.QueueGauge
	var oldest float64
	err := row.Scan(&g.Queue, &g.Limit, &g.Active, &g.Waiting, &oldest, &g.Stalled)
	g.OldestWait = max(0, seconds(oldest))
	return g, err
}
