package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const endedSQL = `
SELECT e.id, e.sequence, e.queued_at, e.status FROM enforcements e
WHERE e.id = ANY ($2::bigint[]) AND e.queue_key = $1 AND e.status <> 'granted' ORDER BY e.sequence`

// Ended tells a queue about the tickets that it believes hold a slot, both answers in sequence order: ended are those
// whose enforcement has ended, so that the slot must be released, and waiting are those whose row still says "queued",
// which means that nobody has acted upon the grant. What is in neither answer holds its slot, or is not a ticket of this
// queue.
func (e *Enforcements) Ended(
	ctx context.Context, key attune.QueueKey, grants []attune.Grant,
) (ended, waiting []attune.Ticket, err error) {
	ids := make([]attune.EnforcementID, len(grants))
	for i, grant := range grants {
		ids[i] = grant.Enforcement
	}
	standing, err := collect(ctx, e.db.pool, scanStanding, endedSQL, key, ids)
	if err != nil {
		return nil, nil, wrap("ask after holders", err)
	}
	for _, s := range standing {
		switch {
		case s.status.Terminal():
			ended = append(ended, s.ticket)
		case s.status == attune.EnforcementQueued:
			waiting = append(waiting, s.ticket)
		}
	}
	return ended, waiting, nil
}

// standing is a ticket and how its enforcement stands.
type standing struct {
	ticket attune.Ticket
	status attune.EnforcementStatus
}

func scanStanding(row pgx.CollectableRow) (standing, error) {
	var s standing
	err := row.Scan(&s.ticket.Enforcement, &s.ticket.Sequence, &s.ticket.EnqueuedAt, &s.status)
	return s, err
}
