package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const endedSQL = `
SELECT e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `, e.status
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($2::bigint[]) AND e.queue_id = ` + queueNamed

// Ended tells a queue about the tickets that it believes hold a slot, both answers in sequence order. ended are those whose
// slot must be released: the enforcement has ended, is parked, or has another place by now. waiting are those whose row
// still says "queued", which means that nobody has acted upon the grant. What is in neither answer holds its slot, or is
// not a ticket of this queue.
func (e *Enforcements) Ended(
	ctx context.Context, key attune.QueueKey, grants []attune.Grant,
) (ended, waiting []attune.Ticket, err error) {
	ids := make([]attune.EnforcementID, len(grants))
	for i, grant := range grants {
		ids[i] = grant.Enforcement
	}
	rows, err := collect(ctx, e.db.pool, scanStanding, endedSQL, key, ids)
	if err != nil {
		return nil, nil, wrap("ask after holders", err)
	}
	standings := make(map[attune.EnforcementID]standing, len(rows))
	for _, s := range rows {
		standings[s.ticket.Enforcement] = s
	}
	for _, grant := range grants {
		switch s, known := standings[grant.Enforcement]; {
		case !known:
		case s.ended(grant.Sequence):
			ended = append(ended, grant.Ticket)
		case s.status == attune.EnforcementQueued:
			waiting = append(waiting, s.ticket)
		}
	}
	slices.SortFunc(ended, attune.Ticket.Compare)
	slices.SortFunc(waiting, attune.Ticket.Compare)
	return ended, waiting, nil
}

// standing is a ticket and how its enforcement stands.
type standing struct {
	ticket attune.Ticket
	status attune.EnforcementStatus
}

// ended reports whether a grant of the place with this sequence allows nothing any more.
func (s standing) ended(sequence int64) bool {
	return s.status.Terminal() || s.status == attune.EnforcementParked || s.ticket.Sequence != sequence
}

func scanStanding(row pgx.CollectableRow) (standing, error) {
	var s standing
	err := row.Scan(&s.ticket.Enforcement, &s.ticket.Sequence, &s.ticket.Lane, &s.ticket.EnqueuedAt, &s.ticket.Attempt, &s.status)
	return s, err
}
