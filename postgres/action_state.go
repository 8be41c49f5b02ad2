package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const activeOfActionSQL = `
SELECT count(*) FROM enforcements e WHERE e.queue_id = ` + queueNamed + ` AND e.action_id = $2 AND e.status = 'granted'`

// startProbesSQL compares the clock of the database with times of the queue's clock. The action 0 stands for all actions.
const startProbesSQL = `
SELECT (SELECT count(*) FROM starts s WHERE s.queue_id = q.id AND (u.action_id = 0 OR s.action_id = u.action_id)
		AND s.at > c.now - u.window_ms * interval '1 millisecond'),
	(SELECT NULLIF(GREATEST(s.at + u.window_ms * interval '1 millisecond', c.now), c.now) FROM starts s
		WHERE s.queue_id = q.id AND (u.action_id = 0 OR s.action_id = u.action_id) ORDER BY s.at DESC OFFSET u.most - 1 LIMIT 1)
FROM (SELECT ` + queueNamed + ` AS id) q, (SELECT clock_timestamp() AS now) c,
	unnest($2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS u (action_id, most, window_ms, position)
ORDER BY u.position`

// ActionState returns how much of an action runs in a queue, and what the next start of the action would meet at rates of starts. A queue
// that was never used has nothing.
func (q *Queues) ActionState(
	ctx context.Context, key attune.QueueKey, action attune.ActionID, ofQueue, ofAction []attune.StartRate,
) (state attune.ActionState, err error) {
	var actions []attune.ActionID
	var most []int
	var windows []int64
	add := func(id attune.ActionID, rates []attune.StartRate) {
		for _, rate := range rates {
			actions, most, windows = append(actions, id), append(most, rate.Limit), append(windows, milliseconds(rate.Window))
		}
	}
	add(0, ofQueue)
	add(action, ofAction)
	batch := new(pgx.Batch)
	batch.Queue(activeOfActionSQL, key, action).QueryRow(func(row pgx.Row) error { return row.Scan(&state.Active) })
	batch.Queue(startProbesSQL, key, actions, most, windows).Query(func(rows pgx.Rows) error {
		probes, err := pgx.CollectRows(rows, scanStartProbe)
		state.OfQueue, state.OfAction = probes[:min(len(ofQueue), len(probes))], probes[min(len(ofQueue), len(probes)):]
		return err
	})
	return state, q.db.send(ctx, "read the state of an action in its queue", batch)
}

func scanStartProbe(row pgx.CollectableRow) (attune.StartProbe, error) {
	var p attune.StartProbe
	err := row.Scan(&p.Count, &p.OpensAt)
	return p, err
}
