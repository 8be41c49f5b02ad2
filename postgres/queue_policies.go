package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const queuePoliciesSQL = `
SELECT j.policy FROM queue_policies j
WHERE j.queue_id = (SELECT id FROM queues WHERE key = $3) AND ($1::bigint = 0 OR j.revision < $1)
ORDER BY j.revision DESC LIMIT $2::bigint`

// QueuePolicies returns a page of the policies that a queue has obeyed, newest first, paged by revision.
func (q *Queues) QueuePolicies(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueuePolicy, error) {
	return list(ctx, q.db, "list policies of queue", page, pgx.RowTo[attune.QueuePolicy], queuePoliciesSQL, key)
}
