package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Admit accepts enforcements into their queues, in the order of ids, and returns what to tell each queue. The queue of an
// enforcement was chosen when its event was recorded: see [Events.Record].
//
// In one transaction every enforcement that is still created gets the next sequence of its queue, under the lock of the
// queue's row; one whose action is disabled is rejected instead. The policy of each queue concerned is resolved again,
// and its revision grows if it changed. An enforcement that was accepted earlier and still waits is answered with its
// ticket again, so a redelivered message repeats the answer; so is one that has gone back to the line for its next
// attempt. Ids of anything else (unknown, granted, parked, ended) are skipped: there is nothing to tell.
//
// The number of statements does not depend on the number of ids.
func (e *Enforcements) Admit(ctx context.Context, ids []attune.EnforcementID) ([]attune.Admission, error) {
	var admissions []attune.Admission
	err := e.db.inTx(ctx, "admit enforcements", func(tx pgx.Tx) error {
		newcomers, err := lockNewcomers(ctx, tx, ids)
		if err != nil {
			return err
		}
		lines, err := queuesOf(ctx, tx, newcomers)
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		addPlaces(batch, newcomers, lines)
		addLines(batch, slices.Collect(maps.Values(lines)))
		batch.Queue(rejectDisabledSQL, ids)
		batch.Queue(ticketsOfSQL, ids).Query(func(rows pgx.Rows) error {
			admissions, err = readAdmissions(rows)
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	return admissions, err
}

// newcomer is an enforcement that is about to be accepted.
type newcomer struct {
	id    attune.EnforcementID
	queue attune.QueueID
	since time.Time // when it was created: it is not in line before that
}

const lockNewcomersSQL = `
SELECT e.id, e.queue_id, e.created_at FROM enforcements e JOIN actions a ON a.id = e.action_id
WHERE e.id = ANY ($1::bigint[]) AND e.status = 'created' AND a.enabled
ORDER BY e.id FOR NO KEY UPDATE OF e`

// lockNewcomers locks those of the enforcements that can be accepted and returns them in the order of ids.
func lockNewcomers(ctx context.Context, tx pgx.Tx, ids []attune.EnforcementID) ([]newcomer, error) {
	locked, err := collect(ctx, tx, scanNewcomer, lockNewcomersSQL, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[attune.EnforcementID]newcomer, len(locked))
	for _, n := range locked {
		byID[n.id] = n
	}
	inOrder := make([]newcomer, 0, len(locked))
	for _, id := range ids {
		if n, ok := byID[id]; ok {
			inOrder = append(inOrder, n)
			delete(byID, id) // an id given twice is accepted once
		}
	}
	return inOrder, nil
}

func scanNewcomer(row pgx.CollectableRow) (newcomer, error) {
	var n newcomer
	err := row.Scan(&n.id, &n.queue, &n.since)
	return n, err
}

// queuesOf locks the queues that were chosen for the newcomers when their events were recorded.
func queuesOf(ctx context.Context, tx pgx.Tx, newcomers []newcomer) (map[attune.QueueID]*line, error) {
	lines := make(map[attune.QueueID]*line)
	if len(newcomers) == 0 {
		return lines, nil
	}
	ids := make([]attune.QueueID, len(newcomers))
	for i, n := range newcomers {
		ids[i] = n.queue
	}
	locked, err := lockLines(ctx, tx, ids)
	for _, l := range locked {
		lines[l.id] = l
	}
	return lines, err
}

const placeSQL = `
UPDATE enforcements e SET status = 'queued', sequence = u.sequence, queued_at = u.queued_at
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (id, sequence, queued_at)
WHERE e.id = u.id`

// addPlaces gives every newcomer its place.
func addPlaces(batch *pgx.Batch, newcomers []newcomer, lines map[attune.QueueID]*line) {
	if len(newcomers) == 0 {
		return
	}
	ids := make([]attune.EnforcementID, len(newcomers))
	sequences, times := make([]int64, len(newcomers)), make([]time.Time, len(newcomers))
	for i, n := range newcomers {
		ticket := lines[n.queue].next(n.since)
		ids[i], sequences[i], times[i] = n.id, ticket.Sequence, ticket.EnqueuedAt
	}
	batch.Queue(placeSQL, ids, sequences, times)
}

const rejectDisabledSQL = `
UPDATE enforcements e SET status = 'rejected', reason = 'action_disabled', finished_at = GREATEST(clock_timestamp(), e.created_at),
	detail = 'action ' || a.ref || ' is disabled: its pack no longer declares it'
FROM (
	SELECT c.id, c.action_id FROM enforcements c JOIN actions d ON d.id = c.action_id
	WHERE c.id = ANY ($1::bigint[]) AND c.status = 'created' AND NOT d.enabled
	ORDER BY c.id FOR NO KEY UPDATE OF c
) locked JOIN actions a ON a.id = locked.action_id
WHERE e.id = locked.id`

// nextAttempt is the attempt that a waiting enforcement waits for, if it is not the first; x is its execution, if it has one.
const nextAttempt = `COALESCE(x.attempt + 1, 0)`

const ticketsOfSQL = `
SELECT q.key, e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `, q.policy
FROM enforcements e JOIN queues q ON q.id = e.queue_id LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($1::bigint[]) AND e.status = 'queued'
ORDER BY q.id, e.sequence`

// readAdmissions groups tickets, which come sorted, by queue. The policy is decoded once for each queue.
func readAdmissions(rows pgx.Rows) ([]attune.Admission, error) {
	var admissions []attune.Admission
	var queue attune.QueueKey
	var document []byte
	var ticket attune.Ticket
	_, err := pgx.ForEachRow(rows, []any{
		&queue, &ticket.Enforcement, &ticket.Sequence, &ticket.Lane, &ticket.EnqueuedAt, &ticket.Attempt, &document,
	}, func() error {
		if last := len(admissions) - 1; last < 0 || admissions[last].Queue != queue {
			admission := attune.Admission{Queue: queue}
			if err := json.Unmarshal(document, &admission.Policy); err != nil {
				return fmt.Errorf("decode the policy of queue %q: %w", queue, err)
			}
			admissions = append(admissions, admission)
		}
		last := &admissions[len(admissions)-1]
		last.Tickets = append(last.Tickets, ticket)
		return nil
	})
	return admissions, err
}
