package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Admit accepts enforcements into their queues, in the order of ids, and returns what to tell each queue.
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
		lines, err := openLines(ctx, tx, newcomers)
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		queuePlaces(batch, newcomers, lines)
		addLines(batch, lines)
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
	id       attune.EnforcementID
	actionID attune.ActionID
	queue    attune.QueueKey
	since    time.Time // when it was created: it is not in line before that
}

const lockNewcomersSQL = `
SELECT e.id, e.action_id, a.ref, e.created_at FROM enforcements e JOIN actions a ON a.id = e.action_id
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
	var action attune.Ref
	err := row.Scan(&n.id, &n.actionID, &action, &n.since)
	n.queue = policy.QueueKey(action)
	return n, err
}

// openLinesSQL inserts in key order, like every other lock on these rows.
const openLinesSQL = `
INSERT INTO queues (key, action_id, policy)
SELECT u.key, u.action_id, $3::json
FROM unnest($1::text[], $2::bigint[]) AS u (key, action_id) ORDER BY u.key COLLATE "C"
ON CONFLICT (key) DO NOTHING`

// openLines locks the queues of the newcomers, after making those that do not exist yet.
func openLines(ctx context.Context, tx pgx.Tx, newcomers []newcomer) ([]*line, error) {
	if len(newcomers) == 0 {
		return nil, nil
	}
	actions := make(map[attune.QueueKey]attune.ActionID)
	for _, n := range newcomers {
		actions[n.queue] = n.actionID
	}
	keys := slices.Sorted(maps.Keys(actions))
	actionIDs := make([]attune.ActionID, len(keys))
	for i, key := range keys {
		actionIDs[i] = actions[key]
	}
	if _, err := tx.Exec(ctx, openLinesSQL, keys, actionIDs, policy.Defaults()); err != nil {
		return nil, err
	}
	return lockLines(ctx, tx, keys)
}

const actionOfQueueSQL = `SELECT id FROM actions WHERE ref = $1`

// openLine locks a queue, after making it if it does not exist yet. One that belongs to no action is [attune.CodeNotFound].
func openLine(ctx context.Context, tx pgx.Tx, key attune.QueueKey) ([]*line, error) {
	actionID, err := one(ctx, tx, pgx.RowTo[attune.ActionID], actionOfQueueSQL, key)
	if err != nil {
		return nil, found(err, "queue %q belongs to no action", key)
	}
	return openLines(ctx, tx, []newcomer{{actionID: actionID, queue: key}})
}

const placeSQL = `
UPDATE enforcements e SET status = 'queued', queue_key = u.queue_key, sequence = u.sequence, queued_at = u.queued_at
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[]) AS u (id, queue_key, sequence, queued_at)
WHERE e.id = u.id`

// queuePlaces gives every newcomer its place.
func queuePlaces(batch *pgx.Batch, newcomers []newcomer, lines []*line) {
	if len(newcomers) == 0 {
		return
	}
	byKey := make(map[attune.QueueKey]*line, len(lines))
	for _, l := range lines {
		byKey[l.key] = l
	}
	ids, keys := make([]attune.EnforcementID, len(newcomers)), make([]attune.QueueKey, len(newcomers))
	sequences, times := make([]int64, len(newcomers)), make([]time.Time, len(newcomers))
	for i, n := range newcomers {
		ticket := byKey[n.queue].next(n.since)
		ids[i], keys[i], sequences[i], times[i] = n.id, n.queue, ticket.Sequence, ticket.EnqueuedAt
	}
	batch.Queue(placeSQL, ids, keys, sequences, times)
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
SELECT q.key, e.id, e.sequence, e.queued_at, ` + nextAttempt + `, q.policy
FROM enforcements e JOIN queues q ON q.key = e.queue_key LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($1::bigint[]) AND e.status = 'queued'
ORDER BY q.key, e.sequence`

// readAdmissions groups tickets, which come sorted, by queue.
func readAdmissions(rows pgx.Rows) ([]attune.Admission, error) {
	var admissions []attune.Admission
	var queue attune.Admission
	var ticket attune.Ticket
	_, err := pgx.ForEachRow(rows, []any{
		&queue.Queue, &ticket.Enforcement, &ticket.Sequence, &ticket.EnqueuedAt, &ticket.Attempt, &queue.Policy,
	}, func() error {
		if last := len(admissions) - 1; last < 0 || admissions[last].Queue != queue.Queue {
			admissions = append(admissions, queue)
		}
		last := &admissions[len(admissions)-1]
		last.Tickets = append(last.Tickets, ticket)
		return nil
	})
	return admissions, err
}
