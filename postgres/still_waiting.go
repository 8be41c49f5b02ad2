package postgres

import (
	"context"

	"github.com/attune-go/attune"
)

const stillWaitingSQL = `
SELECT e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
	JOIN unnest($2::bigint[], $3::bigint[]) AS u (id, sequence) ON u.id = e.id AND u.sequence = e.sequence
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' ORDER BY e.sequence`

// StillWaiting returns the tickets that wait according to their rows, in sequence order. A ticket that has ended, was granted,
// belongs to another queue or does not exist is left out.
func (q *Queues) StillWaiting(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) ([]attune.Ticket, error) {
	ids, sequences := make([]attune.EnforcementID, len(tickets)), make([]int64, len(tickets))
	for i, ticket := range tickets {
		ids[i], sequences[i] = ticket.Enforcement, ticket.Sequence
	}
	waiting, err := collect(ctx, q.db.pool, scanTicket, stillWaitingSQL, key, ids, sequences)
	return waiting, wrap("read waiting tickets", err)
}
