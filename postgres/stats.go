package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// statsColumns counts a queue in one statement, and so in one snapshot. The counts walk the partial indexes of those who
// wait and of those who hold a slot. A grant does not touch the row of its queue, so the latest one has a say in when the
// queue last changed.
const statsColumns = `
SELECT COALESCE(q.key, ''), a.id, a.ref,
	(SELECT count(*) FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'queued'),
	(SELECT count(*) FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'granted'),
	COALESCE(` + overrideInForce + `, q.concurrency_limit, 0), COALESCE(q.mode, 'open'),
	(SELECT e.queued_at FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'queued' ORDER BY e.sequence LIMIT 1),
	COALESCE(q.last_sequence, 0), COALESCE(q.total_completed, 0), COALESCE(q.total_dropped, 0),
	GREATEST(q.updated_at, (
		SELECT g.requested_at FROM grants g WHERE g.queue_key = q.key ORDER BY g.number DESC LIMIT 1))`

const statsSQL = statsColumns + `
FROM queues q JOIN actions a ON a.id = q.action_id WHERE q.key = $1`

// Stats counts a queue at one instant. MaxConcurrent is the limit in force: that of the policy, or the
// one set by hand. A queue that nobody has used or set is [attune.CodeNotFound].
func (q *Queues) Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error) {
	stats, err := one(ctx, q.db.pool, scanStats, statsSQL, key)
	return stats, wrap("count queue", found(err, "queue %q does not exist", key))
}

const actionStatsSQL = statsColumns + `
FROM actions a LEFT JOIN queues q ON q.key = $2 WHERE a.ref = $1`

// ActionStats counts the queue of an action. Before its first use every count is 0, and MaxConcurrent is the limit that
// the policies say. An unknown action is [attune.CodeNotFound].
func (q *Queues) ActionStats(ctx context.Context, ref attune.Ref) (attune.QueueStats, error) {
	key := policy.QueueKey(ref)
	stats, err := one(ctx, q.db.pool, scanStats, actionStatsSQL, ref, key)
	if err == nil && stats.Queue == "" {
		stats.Queue = key
		var said levels
		said, err = readLevels(ctx, q.db.pool, []attune.Ref{ref})
		stats.MaxConcurrent = said.resolve(ref).Policy.Limit
	}
	return stats, wrap("count queue of action", found(err, "action %q does not exist", ref))
}

const listStatsSQL = statsColumns + `
FROM queues q JOIN actions a ON a.id = q.action_id
WHERE ($1::bigint = 0 OR q.action_id < $1) ORDER BY q.action_id DESC LIMIT $2::bigint`

// List counts the queues that have been used, each at one instant. Queues have no id: pages go by the id of the action.
func (q *Queues) List(ctx context.Context, page attune.Page) ([]attune.QueueStats, error) {
	return list(ctx, q.db, "list queues", page, scanStats, listStatsSQL)
}

func scanStats(row pgx.CollectableRow) (attune.QueueStats, error) {
	var s attune.QueueStats
	err := row.Scan(&s.Queue, &s.ActionID, &s.Action, &s.QueueLength, &s.ActiveCount, &s.MaxConcurrent, &s.Mode,
		&s.OldestEnqueuedAt, &s.TotalEnqueued, &s.TotalCompleted, &s.TotalDropped, &s.LastUpdated)
	return s, err
}
