package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// holdSample is the maximum number of released grants from which hold times are computed.
const holdSample = 1000

const timeAndParkedSQL = `
SELECT now(), (SELECT count(*) FROM enforcements e WHERE e.status = 'parked' AND e.queue_id = ` + queueNamed + `)`

const detailHoldersSQL = `
SELECT e.id, a.ref, e.lane, e.lane_name, e.sequence, e.grant_number, e.granted_at,
	COALESCE(g.requested_at, e.granted_at), COALESCE(x.id, 0),
	COALESCE(x.attempt, 0), COALESCE(x.status, ''), COALESCE(x.worker, ''), COALESCE(x.pool, ''), x.requested_at,
	x.started_at, x.lease_until, COALESCE(x.timeout_ms, 0), x.cancel_requested_at, COALESCE(x.attempt_status, ''), x.retry_at
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN executions x ON x.enforcement_id = e.id
	LEFT JOIN grants g ON g.queue_id = e.queue_id AND g.number = e.grant_number
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'granted' ORDER BY e.grant_number LIMIT $2`

const detailWaitingSQL = `
SELECT e.id, a.ref, e.lane, e.lane_name, e.sequence, e.queued_at, COALESCE(x.attempt + 1, 1)
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' ORDER BY e.sequence LIMIT $2`

const longestLaneSQL = `
SELECT COALESCE(max(l.n), 0) FROM (
	SELECT count(*) AS n FROM enforcements e WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' AND e.lane > 0 GROUP BY e.lane
) l`

// releasesSQL counts the releases of the last hour and computes hold times from a sample. Both read the newest entries of the
// index grants_released.
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

// Detail returns a queue at one instant, with its first waiting enforcements up to the given number, and the policy that the
// policy documents resolve to now. The queue's workflow may not have received that policy yet. An unused queue of an action, and an
// unused shared queue, is empty and has the resolved policy. Any other unknown queue is [attune.CodeNotFound].
func (q *Queues) Detail(ctx context.Context, key attune.QueueKey, first int) (attune.QueueDetail, policy.Effective, error) {
	var detail attune.QueueDetail
	var resolved policy.Effective
	var policies policies
	queue := new(lockedQueue)
	snapshot := attune.QueueSnapshot{Mode: attune.QueueOpen}
	batch := detailBatch(key, first, &detail, &snapshot)
	atOneInstant := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, q.db.pool, atOneInstant, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return orNotFound(err, "queue %q does not exist", key)
		}
		*queue = countedQueue{stats: detail.Stats}.unlocked(snapshot.Policy)
		var err error
		if policies, err = readPolicies(ctx, tx, []*lockedQueue{queue}, staying{stored: true}); err != nil {
			return err
		}
		resolved = policies.effective(queue.queueName)
		if queue.shared() {
			detail.Actions, err = readActionStats(ctx, tx, key, policies)
		}
		return err
	})
	detail.Policy, detail.Override = snapshot.Policy, snapshot.Override
	if detail.Policy.Revision == 0 {
		detail.Policy = policies.of(queue.queueName)
	}
	// The limit agrees with Policy and Override, even if a manual limit expires between two statements.
	detail.Stats.MaxConcurrent = detail.Policy.Limit
	if detail.Override != nil {
		detail.Stats.MaxConcurrent = detail.Override.Limit
	}
	return detail, resolved, wrap("read queue detail", err)
}

func detailBatch(key attune.QueueKey, first int, s *attune.QueueDetail, snapshot *attune.QueueSnapshot) *pgx.Batch {
	batch := new(pgx.Batch)
	batch.Queue(timeAndParkedSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&s.At, &s.Parked) })
	batch.Queue(statsSQL, key, policy.OwnerOf(key)).Query(func(rows pgx.Rows) error {
		counted, err := pgx.CollectExactlyOneRow(rows, scanStats)
		s.Stats = counted.stats
		return err
	})
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, snapshot) })
	batch.Queue(detailHoldersSQL, key, attune.MaxSlotHolders).Query(func(rows pgx.Rows) (err error) {
		s.Holders, err = pgx.CollectRows(rows, scanSlotHolder)
		return err
	})
	batch.Queue(detailWaitingSQL, key, first).Query(func(rows pgx.Rows) (err error) {
		s.Waiting, err = pgx.CollectRows(rows, pgx.RowToStructByPos[attune.Waiter])
		return err
	})
	addLatestGrants(batch, key, &s.Latest)
	batch.Queue(longestLaneSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&s.LongestLane) })
	batch.Queue(releasesSQL, key, holdSample).QueryRow(func(row pgx.Row) (err error) {
		s.Released, err = scanReleases(row)
		return err
	})
	return batch
}

func scanSlotHolder(row pgx.CollectableRow) (attune.SlotHolder, error) {
	var h attune.SlotHolder
	var timeoutMS int64
	err := row.Scan(&h.Enforcement, &h.Action, &h.Lane, &h.LaneName, &h.Sequence, &h.GrantNumber, &h.GrantedAt, &h.HeldSince,
		&h.Execution, &h.Attempt, &h.Status, &h.Worker, &h.Pool, &h.RequestedAt, &h.StartedAt, &h.LeaseUntil, &timeoutMS,
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

// statsColumns counts a queue in one statement, and so in one snapshot. The counts use the partial indexes of waiters and
// holders. A grant does not update the row of its queue, so the time of the last change includes the latest grant.
const statsColumns = `
SELECT COALESCE(q.id, 0), COALESCE(q.policy_revision, 0) > 0, q.id IS NOT NULL AND q.action_id IS NULL,
	COALESCE(a.id, 0), COALESCE(a.ref, ''),
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued'),
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'granted'),
	COALESCE(` + overrideInForce + `, q.concurrency_limit, 0), COALESCE(q.mode, 'open'),
	(SELECT e.queued_at FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued' ORDER BY e.sequence LIMIT 1),
	COALESCE(q.last_sequence, 0), COALESCE(q.total_completed, 0), COALESCE(q.total_dropped, 0),
	GREATEST(q.updated_at, (
		SELECT g.requested_at FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1))`

// statsSQL finds a queue by its key. If the queue does not exist yet, statsSQL finds the action that will own it.
const statsSQL = statsColumns + `, $1
FROM (VALUES (1)) one LEFT JOIN queues q ON q.key = $1
	LEFT JOIN actions a ON a.id = COALESCE(q.action_id, (SELECT o.id FROM actions o WHERE o.ref = $2))
WHERE q.id IS NOT NULL OR a.id IS NOT NULL`

// Stats counts a queue at one instant. MaxConcurrent is the limit in force: the manual limit or the policy's. For an unused
// queue of an action or a pack, every count is 0 and MaxConcurrent comes from the policy documents. Any other unknown queue is
// [attune.CodeNotFound].
func (q *Queues) Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error) {
	counted, err := one(ctx, q.db.pool, scanStats, statsSQL, key, policy.OwnerOf(key))
	if err == nil && !counted.used {
		var policies policies
		queue := counted.unlocked(attune.QueuePolicy{})
		policies, err = readPolicies(ctx, q.db.pool, []*lockedQueue{&queue}, staying{})
		counted.stats.MaxConcurrent = policies.effective(queue.queueName).Policy.Limit
	}
	return counted.stats, wrap("count queue", orNotFound(err, "queue %q does not exist", key))
}

const listStatsSQL = statsColumns + `, q.key
FROM queues q LEFT JOIN actions a ON a.id = q.action_id
WHERE q.policy_revision > 0 AND ($1::bigint = 0 OR q.id < $1) ORDER BY q.id DESC LIMIT $2::bigint`

// List returns a page of the used queues, each counted at one instant.
func (q *Queues) List(ctx context.Context, page attune.Page) ([]attune.QueueStats, error) {
	counted, err := list(ctx, q.db, "list queues", page, scanStats, listStatsSQL)
	stats := make([]attune.QueueStats, len(counted))
	for i, c := range counted {
		stats[i] = c.stats
	}
	return stats, err
}

// countedQueue is a row of statsColumns with the queue's key.
type countedQueue struct {
	stats attune.QueueStats
	used  bool // an enforcement was admitted to it, or it was changed by a person; an unused queue has no resolved policy
}

// unlocked returns the queue for readPolicies, with the policy that is stored for it.
func (c countedQueue) unlocked(stored attune.QueuePolicy) lockedQueue {
	return lockedQueue{
		id: c.stats.ID, queueName: queueName{key: c.stats.Queue, owner: c.stats.Action, ownerID: c.stats.ActionID}, policy: stored,
	}
}

func scanStats(row pgx.CollectableRow) (countedQueue, error) {
	var c countedQueue
	s := &c.stats
	err := row.Scan(&s.ID, &c.used, &s.Shared, &s.ActionID, &s.Action, &s.QueueLength, &s.ActiveCount, &s.MaxConcurrent, &s.Mode,
		&s.OldestEnqueuedAt, &s.TotalEnqueued, &s.TotalCompleted, &s.TotalDropped, &s.LastUpdated, &s.Queue)
	return c, err
}
