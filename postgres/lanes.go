package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// numberLanesSQL numbers the lanes of locked queues that are new, in the order in which their names come first. The lock of the
// queue's row was taken by an earlier statement, so this one sees the lanes of all transactions that had the lock before.
const numberLanesSQL = `
WITH new AS (
	SELECT u.queue_id, u.name, row_number() OVER (PARTITION BY u.queue_id ORDER BY min(u.position)) AS number
	FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS u (queue_id, name, position)
	WHERE NOT EXISTS (SELECT FROM lanes l WHERE l.queue_id = u.queue_id AND l.name = u.name COLLATE "C")
	GROUP BY u.queue_id, u.name
), counted AS (
	UPDATE queues q SET last_lane = q.last_lane + n.count
	FROM (SELECT queue_id, count(*) AS count FROM new GROUP BY queue_id) n WHERE q.id = n.queue_id
	RETURNING q.id, q.last_lane - n.count AS before
)
INSERT INTO lanes (queue_id, number, name)
SELECT n.queue_id, c.before + n.number, n.name FROM new n JOIN counted c ON c.id = n.queue_id ORDER BY n.queue_id, n.number`

// addLanes numbers the new lanes of newcomers, whose queues are locked.
func addLanes(batch *pgx.Batch, newcomers []newcomer) {
	var queues []attune.QueueID
	var names []attune.LaneName
	for _, n := range newcomers {
		if n.lane != "" {
			queues, names = append(queues, n.queue), append(names, n.lane)
		}
	}
	if len(names) > 0 {
		batch.Queue(numberLanesSQL, queues, names)
	}
}

// lanesSQL sorts lanes without a head behind all others. It counts the grants of the lanes on the page only.
const lanesSQL = `
WITH waiting AS (
	SELECT e.lane, count(*) AS count, min(e.sequence) AS head, min(e.queued_at) AS oldest_at FROM enforcements e
	WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' GROUP BY e.lane
), active AS (
	SELECT e.lane, count(*) AS count FROM enforcements e
	WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'granted' GROUP BY e.lane
), page AS (
	SELECT l.queue_id, l.number, l.name, COALESCE(w.head, $4::bigint) AS place, w.head, w.oldest_at, w.count
	FROM lanes l LEFT JOIN waiting w ON w.lane = l.number
	WHERE l.queue_id = ` + queueNamed + ` AND (COALESCE(w.head, $4::bigint), l.number) > ($2::bigint, $3::integer)
	ORDER BY place, l.number LIMIT $5
)
SELECT p.number, p.name, COALESCE(p.count, 0), COALESCE(a.count, 0),
	(SELECT count(*) FROM grants g WHERE g.queue_id = p.queue_id AND g.lane = p.number), COALESCE(p.head, 0), p.oldest_at
FROM page p LEFT JOIN active a ON a.lane = p.number ORDER BY p.place, p.number`

// Lanes returns a page of the lanes of a queue, counted at one instant: first the lane with the enforcement that waits longest.
// The order changes while enforcements are granted: see [attune.LanePage]. A queue without lanes has none.
func (q *Queues) Lanes(ctx context.Context, key attune.QueueKey, page attune.LanePage) ([]attune.LaneStats, error) {
	const none int64 = math.MaxInt64 // place of the lanes without a head
	var place int64
	var number int32
	switch {
	case page.Head > 0:
		place, number = page.Head, math.MaxInt32
	case page.Number > 0:
		place, number = none, page.Number
	}
	limit := attune.Page{Limit: page.Limit}.Normalize().Limit
	lanes, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.LaneStats], lanesSQL, key, place, number, none, limit)
	return lanes, wrap("count lanes", err)
}
