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

// lanesSQL takes the page from the lanes with a head above $2, and then from the others with a number above $3. A lane without a head
// sorts last, because NULL does. The statement counts the grants of the lanes on the page only; "g.lane > 0" lets it use the index
// grants_of_lane.
const lanesSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1
), waiting AS MATERIALIZED (
	SELECT e.lane, count(*) AS count, min(e.sequence) AS head, min(e.queued_at) AS oldest_at FROM queue q
		JOIN enforcements e ON e.queue_id = q.id AND e.status = 'queued' AND e.lane > 0
	GROUP BY e.lane
), active AS (
	SELECT e.lane, count(*) AS count FROM queue q JOIN enforcements e ON e.queue_id = q.id AND e.status = 'granted' GROUP BY e.lane
), page AS (
	(SELECT w.lane, w.head, w.oldest_at, w.count FROM waiting w WHERE w.head > $2::bigint ORDER BY w.head LIMIT $4)
	UNION ALL
	(SELECT l.number, NULL, NULL, 0 FROM lanes l WHERE l.queue_id = (SELECT id FROM queue) AND l.number > $3::integer
		AND l.number NOT IN (SELECT w.lane FROM waiting w) ORDER BY l.number LIMIT $4)
	ORDER BY head, lane LIMIT $4
)
SELECT l.number, l.name, p.count, COALESCE(a.count, 0),
	(SELECT count(*) FROM grants g WHERE g.queue_id = q.id AND g.lane = p.lane AND g.lane > 0), COALESCE(p.head, 0), p.oldest_at
FROM queue q JOIN page p ON true JOIN lanes l ON l.queue_id = q.id AND l.number = p.lane LEFT JOIN active a ON a.lane = p.lane
ORDER BY p.head, p.lane`

// Lanes returns a page of the lanes of a queue, counted at one instant: first the lane with the enforcement that waits longest.
// The order changes while enforcements are granted: see [attune.LanePage]. A queue without lanes has none.
func (q *Queues) Lanes(ctx context.Context, key attune.QueueKey, page attune.LanePage) ([]attune.LaneStats, error) {
	head := page.Head
	if page.Number > 0 {
		head = math.MaxInt64 // only lanes without a head
	}
	limit := attune.Page{Limit: page.Limit}.Normalize().Limit
	lanes, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.LaneStats], lanesSQL, key, head, page.Number, limit)
	return lanes, wrap("count lanes", err)
}
