package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const inspectSQL = `
SELECT e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `, e.status
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($2::bigint[]) AND e.queue_id = ` + queueNamed

// Inspect tells a queue about the tickets that the queue believes hold a slot, both answers in sequence order. ended are the
// tickets whose slot must be released: the enforcement has ended, is parked, or has another place by now. waiting are the
// tickets whose row still says "queued": their grants were not acted upon. A ticket in neither answer holds its slot, or is of
// another queue.
func (e *Enforcements) Inspect(
	ctx context.Context, key attune.QueueKey, grants []attune.Grant,
) (ended, waiting []attune.Ticket, err error) {
	ids := make([]attune.EnforcementID, len(grants))
	for i, grant := range grants {
		ids[i] = grant.Enforcement
	}
	rows, err := collect(ctx, e.db.pool, scanTicketStatus, inspectSQL, key, ids)
	if err != nil {
		return nil, nil, wrap("inspect holders", err)
	}
	statuses := make(map[attune.EnforcementID]ticketStatus, len(rows))
	for _, s := range rows {
		statuses[s.ticket.Enforcement] = s
	}
	for _, grant := range grants {
		switch s, known := statuses[grant.Enforcement]; {
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

// ticketStatus is a ticket and how its enforcement stands.
type ticketStatus struct {
	ticket attune.Ticket
	status attune.EnforcementStatus
}

// ended reports whether a grant of the place with this sequence allows nothing any more.
func (s ticketStatus) ended(sequence int64) bool {
	return s.status.Terminal() || s.status == attune.EnforcementParked || s.ticket.Sequence != sequence
}

func scanTicketStatus(row pgx.CollectableRow) (ticketStatus, error) {
	var s ticketStatus
	err := row.Scan(&s.ticket.Enforcement, &s.ticket.Sequence, &s.ticket.Lane, &s.ticket.EnqueuedAt, &s.ticket.Attempt, &s.status)
	return s, err
}
