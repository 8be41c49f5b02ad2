package postgres

import (
	"context"
	"math"
	"time"

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
SELECT l.number, l.name,
	CASE WHEN l.name LIKE 'a%' THEN (SELECT o.ref FROM actions o WHERE o.id = substr(l.name, 2)::bigint) ELSE '' END,
	p.count, COALESCE(a.count, 0),
	(SELECT count(*) FROM grants g WHERE g.queue_id = q.id AND g.lane = p.lane AND g.lane > 0), COALESCE(p.head, 0), p.oldest_at,
	` + laneOverrideInForce + `, ` + laneOverrideUntil + `
FROM queue q JOIN page p ON true JOIN lanes l ON l.queue_id = q.id AND l.number = p.lane LEFT JOIN active a ON a.lane = p.lane
ORDER BY p.head, p.lane`

// laneOverrideInForce is the manual limit of lane l, or NULL if there is none or it has expired.
const laneOverrideInForce = `
	CASE WHEN l.override_until IS NULL OR l.override_until > clock_timestamp() THEN l.override_limit END`

// laneOverrideUntil is when the manual limit in force of lane l ends, or NULL if it does not end.
const laneOverrideUntil = `CASE WHEN l.override_until > clock_timestamp() THEN l.override_until END`

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

const laneSQL = `
SELECT l.number, l.name, '',
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = l.queue_id AND e.status = 'queued' AND e.lane = l.number),
	(SELECT count(*) FROM enforcements e WHERE e.queue_id = l.queue_id AND e.status = 'granted' AND e.lane = l.number),
	0::bigint, 0::bigint, NULL::timestamptz, ` + laneOverrideInForce + `, ` + laneOverrideUntil + `
FROM lanes l WHERE l.queue_id = ` + queueNamed + ` AND l.name = $2 COLLATE "C"`

// LaneNamed counts what waits and holds slots in one lane of a queue, and has its manual limit. It counts neither grants nor times. A lane
// without an admitted enforcement has no number, and its counts are 0.
func (q *Queues) LaneNamed(ctx context.Context, key attune.QueueKey, name attune.LaneName) (attune.LaneStats, error) {
	found, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.LaneStats], laneSQL, key, name)
	return append(found, attune.LaneStats{Name: name})[0], wrap("count lane", err)
}

const laneNumberSQL = `
SELECT l.number FROM lanes l
WHERE l.queue_id = ` + queueNamed + ` AND ($2::text <> '' AND l.name = $2::text COLLATE "C" OR l.number = $3::integer)`

// Lane returns the number of the lane of a queue with a name or, if the name is empty, with a number. A lane without an admitted
// enforcement does not exist yet: [attune.CodeNotFound].
func (q *Queues) Lane(ctx context.Context, key attune.QueueKey, name attune.LaneName, number int32) (int32, error) {
	if name != "" {
		number = 0
	}
	found, err := one(ctx, q.db.pool, pgx.RowTo[int32], laneNumberSQL, key, name, number)
	return found, wrap("find lane", orNotFound(err, "queue %q has no such lane yet: its first enforcement makes a lane", key))
}

// laneControlsSQL skips a lane with a later change.
const laneControlsSQL = `
UPDATE lanes l SET override_limit = u.override_limit, override_until = u.override_until, last_change = u.change
FROM unnest($2::integer[], $3::bigint[], $4::integer[], $5::timestamptz[]) AS u (number, change, override_limit, override_until)
WHERE l.queue_id = ` + queueNamed + ` AND l.number = u.number AND l.last_change < u.change`

// addLaneControls stores the manual limits of lanes after some changes.
func addLaneControls(batch *pgx.Batch, key attune.QueueKey, lanes []attune.LaneControl) {
	if len(lanes) == 0 {
		return
	}
	numbers, changes := make([]int32, len(lanes)), make([]int64, len(lanes))
	limits, untils := make([]*int, len(lanes)), make([]*time.Time, len(lanes))
	for i, lane := range lanes {
		numbers[i], changes[i] = lane.Lane, lane.Change
		if o := lane.Override; o != nil {
			limits[i], untils[i] = &o.Limit, orNullTime(o.Until)
		}
	}
	batch.Queue(laneControlsSQL, key, numbers, changes, limits, untils)
}

const laneLimitsSQL = `
SELECT l.number, l.override_limit, l.override_until FROM lanes l
WHERE l.queue_id = ` + queueNamed + ` AND ` + laneOverrideInForce + ` IS NOT NULL ORDER BY l.number`

func scanLaneLimit(row pgx.CollectableRow) (attune.LaneLimit, error) {
	var limit attune.LaneLimit
	var until *time.Time
	err := row.Scan(&limit.Lane, &limit.Limit, &until)
	limit.Until = orZeroTime(until)
	return limit, err
}
