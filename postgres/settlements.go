package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const lockQueueByKeySQL = `SELECT key FROM queues WHERE key = $1 FOR NO KEY UPDATE`

const lockExecutionsByEnforcementSQL = `
SELECT id FROM executions WHERE enforcement_id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

// settleSQL ends waiting enforcements. An execution that waits for another attempt ends with the status of its last attempt.
const settleSQL = `
WITH settled AS (
	UPDATE enforcements e SET status = u.status, reason = u.reason, detail = COALESCE(u.detail, e.detail), refusal = u.refusal::json,
		encrypted = NULL, finished_at = GREATEST(clock_timestamp(), e.queued_at, x.requested_at, x.started_at)
	FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
			AS u (id, sequence, status, reason, detail, refusal)
		LEFT JOIN executions x ON x.enforcement_id = u.id
	WHERE e.id = u.id AND e.queue_id = ` + queueNamed + ` AND e.sequence = u.sequence AND e.status = 'queued'
	RETURNING e.id, e.status, e.reason, e.finished_at
), ended AS (
	UPDATE executions x SET status = x.attempt_status, attempt_status = '', finished_at = s.finished_at
	FROM settled s WHERE x.enforcement_id = s.id AND x.status = 'retrying'
), counted AS (
	UPDATE queues q SET total_dropped = q.total_dropped + s.count, updated_at = clock_timestamp()
	FROM (SELECT count(*) AS count FROM settled) s WHERE q.key = $1 AND s.count > 0
)
SELECT status, reason, count(*) FROM settled GROUP BY status, reason`

// settled counts the enforcements that ended with a status and a reason.
type settled struct {
	Status attune.EnforcementStatus
	Reason attune.Reason
	Count  int
}

// settlement receives what [addSettlements] did.
type settlement struct {
	settled []settled
	// granted has the grants of the tickets that were granted in fact, in the order of their numbers, including tickets that have
	// released their slots. The queue had decided these grants and then lost the decision.
	granted []attune.Grant
}

// grantedTicketsSQL returns the grants of tickets that were granted, including tickets that have released their slots.
const grantedTicketsSQL = selectHolders + `
	JOIN unnest($2::bigint[], $3::bigint[]) AS u (id, sequence) ON u.id = e.id AND u.sequence = e.sequence
WHERE e.queue_id = ` + queueNamed + ` AND e.status IN ('granted', 'parked', 'executed') ORDER BY e.grant_number`

// addSettlements ends tickets of one queue without a grant: rejected, cancelled or expired, with the reason and the refusal. An
// execution that waits for another attempt ends with the status of its last attempt. A ticket that no longer waits keeps its status, and
// an enforcement that meanwhile has another place keeps its status too. Repeating the call changes nothing.
//
// A ticket that ends without having run gives its units of quotas back.
func addSettlements(batch *pgx.Batch, key attune.QueueKey, settlements []attune.Settlement, done *settlement) error {
	n := len(settlements)
	ids, sequences := make([]attune.EnforcementID, n), make([]int64, n)
	statuses, reasons := make([]attune.EnforcementStatus, n), make([]attune.Reason, n)
	details, refusals := make([]*string, n), make([]*string, n)
	for i, s := range settlements {
		ids[i], sequences[i], statuses[i], reasons[i] = s.Enforcement, s.Sequence, s.Status, s.Reason
		if s.Bound == nil {
			continue
		}
		detail, document, err := refusalValues(s.Enforcement, s.Bound.Refusal(key))
		if err != nil {
			return err
		}
		details[i], refusals[i] = &detail, &document
	}
	batch.Queue(lockQueueByKeySQL, key)
	batch.Queue(lockExecutionsByEnforcementSQL, ids)
	batch.Queue(settleSQL, key, ids, sequences, statuses, reasons, details, refusals).Query(func(rows pgx.Rows) (err error) {
		done.settled, err = pgx.CollectRows(rows, pgx.RowToStructByPos[settled])
		return err
	})
	addRefunds(batch, ids)
	batch.Queue(grantedTicketsSQL, key, ids, sequences).Query(func(rows pgx.Rows) (err error) {
		done.granted, err = pgx.CollectRows(rows, scanHolder)
		return err
	})
	return nil
}

func checkSettlements(key attune.QueueKey, settlements []attune.Settlement) error {
	for _, s := range settlements {
		switch s.Status {
		case attune.EnforcementRejected, attune.EnforcementCancelled, attune.EnforcementExpired:
		default:
			return attune.Errorf(attune.CodeInvalid, "settle enforcement %d of queue %q: status %q: use %q, %q or %q", s.Enforcement, key,
				s.Status, attune.EnforcementRejected, attune.EnforcementCancelled, attune.EnforcementExpired)
		}
		if s.Reason == "" {
			return attune.Errorf(attune.CodeInvalid, "settle enforcement %d of queue %q: the reason is missing", s.Enforcement, key)
		}
		if (s.Status == attune.EnforcementRejected) != (s.Bound != nil) {
			return attune.Errorf(attune.CodeInvalid, "settle enforcement %d of queue %q: a rejected ticket has a bound, and no other has",
				s.Enforcement, key)
		}
	}
	return nil
}
