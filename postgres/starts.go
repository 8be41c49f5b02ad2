package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// latestStartsSQL reads the latest $2 starts of a queue, and the latest of some of its actions, each once.
const latestStartsSQL = `
SELECT number, attempt, action_id, (extract(epoch FROM at) * 1000)::bigint AS ms FROM (
	(SELECT number, attempt, action_id, at FROM starts WHERE queue_id = $1 ORDER BY at DESC LIMIT $2)
	UNION
	SELECT s.number, s.attempt, s.action_id, s.at FROM unnest($3::bigint[], $4::bigint[]) AS u (action_id, most), LATERAL (
		SELECT * FROM starts o WHERE o.queue_id = $1 AND o.action_id = u.action_id ORDER BY o.at DESC LIMIT u.most
	) s
) latest ORDER BY action_id, ms`

// addStarts reads the latest starts that the rates of a queue count. A queue without rates has none.
func addStarts(batch *pgx.Batch, queue attune.QueueID, policy attune.QueuePolicy, snapshot *attune.QueueSnapshot) {
	var actions []attune.ActionID
	var most []int
	for _, limits := range policy.Actions {
		if n := mostStarts(limits.Rates); n > 0 {
			actions, most = append(actions, limits.Action), append(most, n)
		}
	}
	ofQueue := mostStarts(policy.Rates)
	if ofQueue == 0 && len(actions) == 0 {
		return
	}
	batch.Queue(latestStartsSQL, queue, ofQueue, actions, most).Query(func(rows pgx.Rows) error {
		var number, ms int64
		var attempt int
		var action attune.ActionID
		_, err := pgx.ForEachRow(rows, []any{&number, &attempt, &action, &ms}, func() error {
			if last := len(snapshot.Starts) - 1; last < 0 || snapshot.Starts[last].Action != action {
				snapshot.Starts = append(snapshot.Starts, attune.ActionStarts{Action: action})
			}
			of := &snapshot.Starts[len(snapshot.Starts)-1]
			of.At = append(of.At, ms)
			return nil
		})
		return err
	})
}

// mostStarts returns how many starts the rates of a level count.
func mostStarts(rates []attune.StartRate) (most int) {
	for _, rate := range rates {
		most = max(most, rate.Limit)
	}
	return most
}

const startsSQL = `
SELECT s.id, s.number, s.attempt, s.action_id, s.at FROM starts s
WHERE s.queue_id = (SELECT id FROM queues WHERE key = $3) AND ($1::bigint = 0 OR s.id < $1) ORDER BY s.id DESC LIMIT $2::bigint`

// Starts returns a page of the attempts that a queue with rates of starts let start, the latest request first.
func (q *Queues) Starts(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.Start, error) {
	return list(ctx, q.db, "list starts of queue", page, pgx.RowToStructByPos[attune.Start], startsSQL, key)
}
