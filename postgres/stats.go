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
SELECT COALESCE(q.id, 0), COALESCE(q.policy_revision, 0) > 0, COALESCE(a.id, 0), COALESCE(a.ref, ''),
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued'),
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'granted'),
	COALESCE(` + overrideInForce + `, q.concurrency_limit, 0), COALESCE(q.mode, 'open'),
	(SELECT e.queued_at FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued' ORDER BY e.sequence LIMIT 1),
	COALESCE(q.last_sequence, 0), COALESCE(q.total_completed, 0), COALESCE(q.total_dropped, 0),
	GREATEST(q.updated_at, (
		SELECT g.requested_at FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1))`

// statsSQL finds a queue by its key, or the action that will own it.
const statsSQL = statsColumns + `, $1
FROM (VALUES (1)) one LEFT JOIN queues q ON q.key = $1
	LEFT JOIN actions a ON a.id = COALESCE(q.action_id, (SELECT o.id FROM actions o WHERE o.ref = $2))
WHERE q.id IS NOT NULL OR a.id IS NOT NULL`

// Stats counts a queue at one instant. MaxConcurrent is the limit in force: that of the policy, or the one set by hand.
// Before the first use of an action's queue every count is 0, and MaxConcurrent is the limit that the policies say. Any other
// queue is [attune.CodeNotFound].
func (q *Queues) Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error) {
	counted, err := one(ctx, q.db.pool, scanStats, statsSQL, key, policy.OwnerOf(key))
	if err == nil && !counted.used {
		var said levels
		said, err = readLevels(ctx, q.db.pool, counted.name())
		counted.stats.MaxConcurrent = said.resolve(counted.name()).Policy.Limit
	}
	return counted.stats, wrap("count queue", found(err, "queue %q does not exist", key))
}

const listStatsSQL = statsColumns + `, q.key
FROM queues q LEFT JOIN actions a ON a.id = q.action_id
WHERE q.policy_revision > 0 AND ($1::bigint = 0 OR q.id < $1) ORDER BY q.id DESC LIMIT $2::bigint`

// List returns a page of the queues that have been used, by id, each counted at one instant.
func (q *Queues) List(ctx context.Context, page attune.Page) ([]attune.QueueStats, error) {
	counted, err := list(ctx, q.db, "list queues", page, scanStats, listStatsSQL)
	stats := make([]attune.QueueStats, len(counted))
	for i, c := range counted {
		stats[i] = c.stats
	}
	return stats, err
}

// countedQueue is a queue as statsColumns and its key tell it. One that was never used has not accepted anything, and nobody
// has set it by hand: its row, if there is one, has no policy yet.
type countedQueue struct {
	stats attune.QueueStats
	used  bool
}

func (c countedQueue) name() queueName { return queueName{key: c.stats.Queue, owner: c.stats.Action} }

func scanStats(row pgx.CollectableRow) (countedQueue, error) {
	var c countedQueue
	s := &c.stats
	err := row.Scan(&s.ID, &c.used, &s.ActionID, &s.Action, &s.QueueLength, &s.ActiveCount, &s.MaxConcurrent, &s.Mode,
		&s.OldestEnqueuedAt, &s.TotalEnqueued, &s.TotalCompleted, &s.TotalDropped, &s.LastUpdated, &s.Queue)
	return c, err
}
