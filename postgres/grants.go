package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const grantsSQL = `
SELECT g.enforcement_id, e.action_id, g.sequence, g.lane, g.queued_at, g.attempt, g.generation, g.number, g.granted_at,
	g.concurrency_limit, g.policy_revision, NULLIF(g.freed, '{}'), g.changes, g.requested_at, g.released_at, COALESCE(x.status, '')
FROM grants g JOIN enforcements e ON e.id = g.enforcement_id LEFT JOIN executions x ON x.enforcement_id = g.enforcement_id
WHERE g.queue_id = (SELECT id FROM queues WHERE key = $3) AND ($1::bigint = 0 OR g.number < $1) ORDER BY g.number DESC LIMIT $2::bigint`

// Grants returns a page of the grants of a queue that were acted upon, newest first, paged by the number of the grant. A grant
// holds a slot from RequestedAt to ReleasedAt. Both are times of the execution by PostgreSQL's clock, so intervals of a queue
// are comparable. An enforcement has one grant for each place that it had in line.
//
// Attempt is the latest attempt under the grant. Outcome is the current status of the execution, also when a later grant
// allowed its current attempt. Revision 0 means that the policy at the time of the grant is unknown.
func (q *Queues) Grants(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.LoggedGrant, error) {
	return list(ctx, q.db, "list grants of queue", page, scanLoggedGrant, grantsSQL, key)
}

func scanLoggedGrant(row pgx.CollectableRow) (attune.LoggedGrant, error) {
	var g attune.LoggedGrant
	err := row.Scan(&g.Enforcement, &g.Action, &g.Sequence, &g.Lane, &g.EnqueuedAt, &g.Attempt, &g.Generation, &g.Number, &g.GrantedAt,
		&g.Limit, &g.Revision, &g.Freed, &g.Changes, &g.RequestedAt, &g.ReleasedAt, &g.Outcome)
	return g, err
}
