package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
)

// runsAtOnce is how many recorded runs one statement reads.
const runsAtOnce = 1000

// recordedRunsSQL leaves out the payload of a direct run: its parameters are those of the enforcement.
const recordedRunsSQL = `
SELECT e.id, e.action_id, e.parameters, a.schema, e.lane, e.lane_name,
	ev.id, t.ref, t.schema, ev.source, ev.received_at, CASE WHEN ev.source <> 'manual' THEN ev.payload END
FROM enforcements e JOIN actions a ON a.id = e.action_id JOIN events ev ON ev.id = e.event_id JOIN triggers t ON t.id = ev.trigger_id
WHERE e.id = ANY ($1::bigint[]) AND e.parameters IS NOT NULL`

// RecordedRuns calls use with what the database has of enforcements, in any order. It reads one after the other, so that only one is in
// memory. An error of use ends it. Enforcements that do not exist are left out.
func (q *Queues) RecordedRuns(
	ctx context.Context, enforcements []attune.EnforcementID, use func(attune.RecordedRun) error,
) error {
	for ids := range slices.Chunk(enforcements, runsAtOnce) {
		rows, err := q.db.pool.Query(ctx, recordedRunsSQL, ids)
		if err != nil {
			return wrap("read recorded runs", err)
		}
		var run attune.RecordedRun
		event := &run.Event
		if _, err = pgx.ForEachRow(rows, []any{
			&run.Enforcement, &run.Action, &run.Parameters, &run.ParametersSchema, &run.Lane, &run.LaneName,
			&event.ID, &event.Trigger, &run.PayloadSchema, &event.Source, &event.ReceivedAt, &event.Payload,
		}, func() error { return use(run) }); err != nil {
			return wrap("read recorded runs", err)
		}
	}
	return nil
}

// acceptedSQL reads the newest enforcements first. Places have the order of their times, so the last place before a time is found from
// the newest one backwards.
const acceptedSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1
), before AS (
	SELECT COALESCE((SELECT e.sequence FROM enforcements e WHERE e.queue_id = q.id AND e.sequence IS NOT NULL AND e.queued_at < $2
		ORDER BY e.sequence DESC LIMIT 1), 0) AS sequence FROM queue q
)
SELECT e.id, e.created_at, e.finished_at IS NOT NULL AND e.finished_at < $3 AND (x.id IS NULL AND e.status <> 'executed'
	OR x.status = 'cancelled' AND x.attempt = 1 AND x.started_at IS NULL)
FROM queue q, before b, enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = q.id AND e.sequence > b.sequence AND e.created_at >= $2 AND e.created_at < $3
ORDER BY e.sequence DESC LIMIT $4`

// Accepted returns the enforcements that were created from since until before and got a place in a queue, in the order of their times.
// Of more than most, it returns the latest ones, and false.
func (q *Queues) Accepted(
	ctx context.Context, key attune.QueueKey, since, before time.Time, most int,
) (accepted []replay.Accepted, all bool, err error) {
	accepted, err = collect(ctx, q.db.pool, pgx.RowToStructByPos[replay.Accepted], acceptedSQL, key, since, before, most+1)
	if all = len(accepted) <= most; !all {
		accepted = accepted[:most]
	}
	slices.SortStableFunc(accepted, func(a, b replay.Accepted) int { return a.At.Compare(b.At) })
	return accepted, all, wrap("read accepted enforcements", err)
}
