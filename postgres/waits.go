package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// waitSQL reads a waiting enforcement, and counts what is in front of it and what holds slots. It reads the indexes
// enforcements_waiting up to the enforcement, and enforcements_holding.
const waitSQL = `
WITH me AS (
	SELECT e.id, e.queue_id, e.action_id, e.sequence, e.lane, e.lane_name, e.queued_at,
		COALESCE((SELECT x.attempt + 1 FROM executions x WHERE x.enforcement_id = e.id), 1) AS attempt
	FROM enforcements e WHERE e.id = $1 AND e.status = 'queued'
), ahead AS MATERIALIZED (
	SELECT w.lane, count(*) AS n, count(*) FILTER (WHERE w.action_id = me.action_id) AS of_action, w.lane = me.lane AS own
	FROM me JOIN enforcements w ON w.queue_id = me.queue_id AND w.status = 'queued' AND w.sequence < me.sequence
	GROUP BY w.lane, me.lane
), counted AS (
	SELECT COALESCE(sum(n), 0)::bigint AS all, COALESCE(sum(of_action), 0)::bigint AS of_action,
		COALESCE(sum(n) FILTER (WHERE own), 0)::bigint AS of_lane FROM ahead
)
SELECT now(), me.queue_id, me.id, me.action_id, me.sequence, me.lane, me.lane_name, me.queued_at, me.attempt,
	c.all, c.of_action, c.of_lane, (SELECT COALESCE(sum(LEAST(a.n, c.of_lane + 1)), 0)::bigint FROM ahead a),
	h.all, h.of_action, h.of_lane, a.ref,
	` + laneOverrideInForce + `, ` + laneOverrideUntil + `
FROM me CROSS JOIN counted c JOIN actions a ON a.id = me.action_id
	LEFT JOIN lanes l ON l.queue_id = me.queue_id AND l.number = me.lane
	CROSS JOIN LATERAL (
		SELECT count(*) AS all, count(*) FILTER (WHERE e.action_id = me.action_id) AS of_action,
			count(*) FILTER (WHERE e.lane = me.lane) AS of_lane
		FROM enforcements e WHERE e.queue_id = me.queue_id AND e.status = 'granted'
	) h`

// waitHoldersSQL ranks the holders at each level; a limit bounds them.
const waitHoldersSQL = `
SELECT h.id, h.action_id, a.ref, h.lane, h.lane_name, COALESCE(g.requested_at, h.granted_at),
	COALESCE(x.id, 0), COALESCE(x.status, ''), COALESCE(x.worker, ''), x.retry_at
FROM (
	SELECT e.*, row_number() OVER (ORDER BY e.grant_number) AS in_queue,
		row_number() OVER (PARTITION BY e.action_id ORDER BY e.grant_number) AS in_action, e.action_id = m.action_id AS own_action,
		row_number() OVER (PARTITION BY e.lane ORDER BY e.grant_number) AS in_lane, e.lane = m.lane AS own_lane
	FROM enforcements m JOIN enforcements e ON e.queue_id = m.queue_id AND e.status = 'granted' WHERE m.id = $1
) h JOIN actions a ON a.id = h.action_id LEFT JOIN executions x ON x.enforcement_id = h.id
	LEFT JOIN grants g ON g.queue_id = h.queue_id AND g.number = h.grant_number
WHERE h.in_queue <= $2 OR h.own_action AND h.in_action <= $2 OR h.own_lane AND h.in_lane <= $2
ORDER BY h.grant_number`

// waitInFrontSQL takes the nearest tickets in front, of the queue, of the action and of the lane.
const waitInFrontSQL = `
WITH me AS (
	SELECT id, queue_id, action_id, sequence, lane FROM enforcements WHERE id = $1 AND status = 'queued'
), nearest AS (
	(SELECT w.id FROM me JOIN enforcements w ON w.queue_id = me.queue_id AND w.status = 'queued' AND w.sequence < me.sequence
	ORDER BY w.sequence DESC LIMIT $2)
	UNION
	(SELECT w.id FROM me JOIN enforcements w ON w.queue_id = me.queue_id AND w.status = 'queued' AND w.sequence < me.sequence
		AND w.action_id = me.action_id ORDER BY w.sequence DESC LIMIT $2)
	UNION
	(SELECT w.id FROM me JOIN enforcements w ON w.queue_id = me.queue_id AND w.status = 'queued' AND w.sequence < me.sequence
		AND w.lane = me.lane ORDER BY w.sequence DESC LIMIT $2)
)
SELECT e.id, a.ref, e.lane, e.lane_name, e.sequence, e.queued_at, COALESCE(x.attempt + 1, 1)
FROM nearest n JOIN enforcements e ON e.id = n.id JOIN actions a ON a.id = e.action_id
	LEFT JOIN executions x ON x.enforcement_id = e.id ORDER BY e.sequence DESC`

// latestGrantsSQL reads the latest grants as far as estimates need them, by the primary key of the grants and that of the enforcements.
const latestGrantsSQL = `
SELECT g.number, e.action_id, g.sequence, g.lane, g.queued_at, g.granted_at, g.concurrency_limit, g.requested_at, g.released_at
FROM grants g JOIN enforcements e ON e.id = g.enforcement_id
WHERE g.queue_id = ` + queueNamed + ` ORDER BY g.number DESC LIMIT $2`

// Waiting returns what a waiting enforcement of a queue waits for, at one instant. An enforcement that does not wait has only the instant
// and the queue: see [attune.Wait.Position].
func (q *Queues) Waiting(ctx context.Context, key attune.QueueKey, id attune.EnforcementID) (attune.Wait, error) {
	var wait attune.Wait
	var queue attune.QueueID
	atOneInstant := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, q.db.pool, atOneInstant, func(tx pgx.Tx) error {
		snapshot := attune.QueueSnapshot{Mode: attune.QueueOpen}
		if err := tx.SendBatch(ctx, waitBatch(key, id, &queue, &wait, &snapshot)).Close(); err != nil {
			return err
		}
		wait.Policy, wait.Mode, wait.Override = snapshot.Policy, snapshot.Mode, snapshot.Override
		starts := new(pgx.Batch)
		addStarts(starts, queue, snapshot.Policy, &snapshot)
		if starts.Len() == 0 {
			return nil
		}
		err := tx.SendBatch(ctx, starts).Close()
		wait.Starts = snapshot.Starts
		return err
	})
	return wait, wrap("read what an enforcement waits for", err)
}

func waitBatch(
	key attune.QueueKey, id attune.EnforcementID, queue *attune.QueueID, wait *attune.Wait, snapshot *attune.QueueSnapshot,
) *pgx.Batch {
	batch := new(pgx.Batch)
	batch.Queue(waitSQL, id).Query(func(rows pgx.Rows) error { return scanWait(rows, queue, wait) })
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, snapshot) })
	batch.Queue(waitHoldersSQL, id, attune.MaxWaitList).Query(func(rows pgx.Rows) (err error) {
		wait.Holders, err = pgx.CollectRows(rows, pgx.RowToStructByPos[attune.WaitHolder])
		return err
	})
	batch.Queue(waitInFrontSQL, id, attune.MaxWaitList).Query(func(rows pgx.Rows) (err error) {
		wait.InFront, err = pgx.CollectRows(rows, pgx.RowToStructByPos[attune.Waiter])
		return err
	})
	addLatestGrants(batch, key, &wait.Latest)
	return batch
}

// scanWait reads the row of waitSQL. Without a row, the enforcement does not wait.
func scanWait(rows pgx.Rows, queue *attune.QueueID, w *attune.Wait) error {
	var laneLimit *int
	var laneUntil *time.Time
	t := &w.Ticket
	_, err := pgx.ForEachRow(rows, []any{
		&w.At, queue, &t.Enforcement, &t.Action, &t.Sequence, &t.Lane, &w.LaneName, &t.EnqueuedAt, &t.Attempt,
		&w.Queue.Ahead, &w.Action.Ahead, &w.Lane.Ahead, &w.First, &w.Queue.Active, &w.Action.Active, &w.Lane.Active, &w.ActionRef,
		&laneLimit, &laneUntil,
	}, func() error {
		w.LaneOverride = overrideOf(laneLimit, laneUntil)
		return nil
	})
	return err
}

// addLatestGrants reads the latest grants of a queue for an estimate.
func addLatestGrants(batch *pgx.Batch, key attune.QueueKey, into *[]attune.LoggedGrant) {
	batch.Queue(latestGrantsSQL, key, attune.EstimateGrants).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (attune.LoggedGrant, error) {
			var g attune.LoggedGrant
			err := row.Scan(&g.Number, &g.Action, &g.Sequence, &g.Lane, &g.EnqueuedAt, &g.GrantedAt, &g.Limit,
				&g.RequestedAt, &g.ReleasedAt)
			return g, err
		})
		return err
	})
}
