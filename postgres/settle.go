package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const lockQueueSQL = `SELECT key FROM queues WHERE key = $1 FOR NO KEY UPDATE`

const lockExecutionsOfSQL = `
SELECT id FROM executions WHERE enforcement_id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

// settleSQL ends, with its enforcement, an execution that was to be tried again: with the status of its last attempt.
const settleSQL = `
WITH settled AS (
	UPDATE enforcements e SET status = u.status, reason = u.reason,
		finished_at = GREATEST(clock_timestamp(), e.queued_at, x.requested_at, x.started_at)
	FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS u (id, sequence, status, reason)
		LEFT JOIN executions x ON x.enforcement_id = u.id
	WHERE e.id = u.id AND e.queue_id = ` + queueNamed + ` AND e.sequence = u.sequence AND e.status = 'queued'
	RETURNING e.id, e.finished_at
), ended AS (
	UPDATE executions x SET status = x.attempt_status, attempt_status = '', finished_at = s.finished_at
	FROM settled s WHERE x.enforcement_id = s.id AND x.status = 'retrying'
)
UPDATE queues q SET total_dropped = q.total_dropped + s.count, updated_at = clock_timestamp()
FROM (SELECT count(*) AS count FROM settled) s WHERE q.key = $1 AND s.count > 0`

// heldSQL returns the grants of those of some tickets that were granted, whether they hold their slots still or not.
const heldSQL = selectHolders + `
	JOIN unnest($2::bigint[], $3::bigint[]) AS u (id, sequence) ON u.id = e.id AND u.sequence = e.sequence
WHERE e.queue_id = ` + queueNamed + ` AND e.status IN ('granted', 'parked', 'executed') ORDER BY e.grant_number`

// addSettlements records the end of tickets of one queue that were not granted: rejected, cancelled or expired, with the
// reason. An execution that waited for a further attempt ends as its last attempt has ended. A ticket that no longer waits
// keeps its status, and so does an enforcement that has another place by now; repeating the call changes nothing.
//
// held receives the grants of those tickets that were granted, in the order of their numbers, whether they still hold their
// slots or not. The queue had lost the decision to grant them.
func addSettlements(batch *pgx.Batch, key attune.QueueKey, settlements []attune.Settlement, held *[]attune.Grant) {
	n := len(settlements)
	ids, sequences := make([]attune.EnforcementID, n), make([]int64, n)
	statuses, reasons := make([]attune.EnforcementStatus, n), make([]attune.Reason, n)
	for i, s := range settlements {
		ids[i], sequences[i], statuses[i], reasons[i] = s.Enforcement, s.Sequence, s.Status, s.Reason
	}
	batch.Queue(lockQueueSQL, key)
	batch.Queue(lockExecutionsOfSQL, ids)
	batch.Queue(settleSQL, key, ids, sequences, statuses, reasons)
	batch.Queue(heldSQL, key, ids, sequences).Query(func(rows pgx.Rows) (err error) {
		*held, err = pgx.CollectRows(rows, scanHolder)
		return err
	})
}

func checkSettlements(key attune.QueueKey, settlements []attune.Settlement) error {
	for _, s := range settlements {
		switch s.Status {
		case attune.EnforcementRejected, attune.EnforcementCancelled, attune.EnforcementExpired:
		default:
			return attune.Errorf(attune.CodeInvalid, "settle enforcement %d of queue %q: status %q is not an end without a run",
				s.Enforcement, key, s.Status)
		}
		if s.Reason == "" {
			return attune.Errorf(attune.CodeInvalid, "settle enforcement %d of queue %q: no reason", s.Enforcement, key)
		}
	}
	return nil
}
