package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const inspectSQL = `
SELECT e.id, e.action_id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `, e.status
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($2::bigint[]) AND e.queue_id = ` + queueNamed

// Inspect compares the holders that a queue knows with the rows, and returns two lists in sequence order. ended are tickets
// whose slot must be released: the enforcement has ended, is parked, or has another place. waiting are tickets whose row says
// "queued": their grants were not acted upon. A ticket in neither list holds its slot or belongs to another queue.
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

// ticketStatus is the current ticket of an enforcement with its status.
type ticketStatus struct {
	ticket attune.Ticket
	status attune.EnforcementStatus
}

// ended reports whether the place with this sequence no longer holds or waits for a slot.
func (s ticketStatus) ended(sequence int64) bool {
	return s.status.Terminal() || s.status == attune.EnforcementParked || s.ticket.Sequence != sequence
}

func scanTicketStatus(row pgx.CollectableRow) (ticketStatus, error) {
	var s ticketStatus
	t := &s.ticket
	err := row.Scan(&t.Enforcement, &t.Action, &t.Sequence, &t.Lane, &t.EnqueuedAt, &t.Attempt, &s.status)
	return s, err
}
