package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Admit admits enforcements to their queues, in the order of ids, and returns tickets and policy for each queue.
// [Events.Record] chose the queue of each enforcement.
//
// In one transaction, each enforcement with status "created" gets the next sequence of its queue and the number of its lane,
// under the lock of the queue's row. A new lane gets the next number of its queue: see [attune.LaneName]. If the action is
// disabled, the enforcement is rejected instead: one statement locks the enforcements and reads their actions, so each
// enforcement gets exactly one of the two. A rate or a quota can reject it as well: see [attune.GateRefusal]. The rates and quotas were
// chosen when the event was recorded; their limits are those in force now. All of them allow the enforcement, or none is charged. An
// enforcement that is rejected costs nothing. Admit also resolves the policy of each affected queue again, and raises the revision
// if the policy changed. Then the queue is untold, because a queue without a ticket is in no admission: see [Queues.UntoldPolicies].
//
// An enforcement that already waits, for its first or a later attempt, returns its existing ticket. So a redelivered message
// gets the same result. Any other id (unknown, granted, parked, ended) is skipped.
//
// The number of statements does not depend on the number of ids.
func (e *Enforcements) Admit(ctx context.Context, ids []attune.EnforcementID) ([]attune.Admission, error) {
	var admissions []attune.Admission
	rejected := make(map[attune.Reason]int)
	err := e.db.inTx(ctx, "admit enforcements", func(tx pgx.Tx) error {
		newcomers, disabled, err := lockNewcomers(ctx, tx, ids)
		if err != nil {
			return err
		}
		queues, err := lockQueuesOfNewcomers(ctx, tx, newcomers)
		if err != nil {
			return err
		}
		judged, admitted, err := judge(ctx, tx, newcomers)
		if err != nil {
			return err
		}
		rejected[attune.ReasonActionDisabled] = len(disabled)
		for _, r := range judged.refused {
			rejected[attune.GateRefusal{GateID: r.charge.GateID}.Reason()]++
		}
		newcomers = admitted
		batch := new(pgx.Batch)
		if err := judged.addTo(batch); err != nil {
			return err
		}
		addLanes(batch, newcomers)
		if err := addPlaces(batch, newcomers, queues); err != nil {
			return err
		}
		addChangedQueues(batch, slices.Collect(maps.Values(queues))...)
		addUntoldQueues(batch, newcomers, queues)
		if len(disabled) > 0 {
			batch.Queue(rejectDisabledSQL, disabled)
		}
		batch.Queue(ticketsOfSQL, ids).Query(func(rows pgx.Rows) error {
			admissions, err = readAdmissions(rows)
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil {
		e.count(ctx, rejected)
	}
	return admissions, err
}

// count tells the observer how many enforcements were rejected.
func (e *Enforcements) count(ctx context.Context, rejected map[attune.Reason]int) {
	for reason, n := range rejected {
		if n > 0 {
			e.rejected(ctx, n, attune.EnforcementRejected, reason)
		}
	}
}

// newcomer is an enforcement with status "created" whose row is locked.
type newcomer struct {
	id        attune.EnforcementID
	action    attune.ActionID
	queue     attune.QueueID
	lane      attune.LaneName
	createdAt time.Time
	enabled   bool // its action is enabled

	chargesText *string // as stored; NULL without rates and quotas
	charges     *chargeSet
	charged     []attune.QuotaCharge // at its admission
	units       []attune.RateCharge  // likewise
}

const lockNewcomersSQL = `
SELECT e.id, e.action_id, e.queue_id, e.lane_name, e.created_at, a.enabled, e.charges::text
FROM enforcements e JOIN actions a ON a.id = e.action_id
WHERE e.id = ANY ($1::bigint[]) AND e.status = 'created'
ORDER BY e.id FOR NO KEY UPDATE OF e`

// lockNewcomers locks the enforcements with status "created". It returns those of enabled actions in the order of ids, and the
// ids of the others.
func lockNewcomers(
	ctx context.Context, tx pgx.Tx, ids []attune.EnforcementID,
) (newcomers []newcomer, disabled []attune.EnforcementID, err error) {
	locked, err := collect(ctx, tx, scanNewcomer, lockNewcomersSQL, ids)
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[attune.EnforcementID]newcomer, len(locked))
	for _, n := range locked {
		if n.enabled {
			byID[n.id] = n
		} else {
			disabled = append(disabled, n.id)
		}
	}
	for _, id := range ids {
		if n, ok := byID[id]; ok {
			newcomers = append(newcomers, n)
			delete(byID, id) // admits a repeated id once
		}
	}
	return newcomers, disabled, nil
}

func scanNewcomer(row pgx.CollectableRow) (newcomer, error) {
	var n newcomer
	err := row.Scan(&n.id, &n.action, &n.queue, &n.lane, &n.createdAt, &n.enabled, &n.chargesText)
	return n, err
}

// lockQueuesOfNewcomers locks the queues of newcomers.
func lockQueuesOfNewcomers(ctx context.Context, tx pgx.Tx, newcomers []newcomer) (map[attune.QueueID]*lockedQueue, error) {
	queues := make(map[attune.QueueID]*lockedQueue)
	if len(newcomers) == 0 {
		return queues, nil
	}
	ids, entering := make([]attune.QueueID, len(newcomers)), make(present)
	for i, n := range newcomers {
		ids[i] = n.queue
		entering.add(n.queue, n.action)
	}
	locked, err := lockAndResolveQueues(ctx, tx, ids, staying{present: entering, stored: true})
	for _, queue := range locked {
		queues[queue.id] = queue
	}
	return queues, err
}

// addUntoldQueues marks the queues whose policy changed as untold. The tickets of an admission bring its policy along; a queue whose
// newcomers are all refused gets no ticket. A queue without an earlier policy learns its policy with its first ticket.
func addUntoldQueues(batch *pgx.Batch, admitted []newcomer, queues map[attune.QueueID]*lockedQueue) {
	var told, untold []*lockedQueue
	for _, id := range slices.Sorted(maps.Keys(queues)) {
		queue := queues[id]
		switch {
		case !queue.policyChanged || queue.policy.Revision == 1:
		case slices.ContainsFunc(admitted, func(n newcomer) bool { return n.queue == id }):
			told = append(told, queue)
		default:
			untold = append(untold, queue)
		}
	}
	addUntold(batch, told) // the tickets can end before the caller sends them
	addLeftUntold(batch, untold)
}

// placeSQL runs after numberLanesSQL. A missing lane is an error: NULL is no number.
const placeSQL = `
UPDATE enforcements e SET status = 'queued', sequence = u.sequence, queued_at = u.queued_at, charges = NULL,
	charged = u.charged::json, units = u.units::json, lane = CASE WHEN e.lane_name = '' THEN 0
	ELSE (SELECT l.number FROM lanes l WHERE l.queue_id = e.queue_id AND l.name = e.lane_name) END
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[]) AS u (id, sequence, queued_at, charged, units)
WHERE e.id = u.id`

// addPlaces gives every newcomer its place in its queue.
func addPlaces(batch *pgx.Batch, newcomers []newcomer, queues map[attune.QueueID]*lockedQueue) error {
	if len(newcomers) == 0 {
		return nil
	}
	ids := make([]attune.EnforcementID, len(newcomers))
	sequences, times := make([]int64, len(newcomers)), make([]time.Time, len(newcomers))
	charged, units := make([]*string, len(newcomers)), make([]*string, len(newcomers))
	for i, n := range newcomers {
		ticket := queues[n.queue].nextPlace(n.createdAt)
		ids[i], sequences[i], times[i] = n.id, ticket.Sequence, ticket.EnqueuedAt
		var err, also error
		charged[i], err = textOrNull(n.charged)
		units[i], also = textOrNull(n.units)
		if err := errors.Join(err, also); err != nil {
			return fmt.Errorf("encode the charges of enforcement %d: %w", n.id, err)
		}
	}
	batch.Queue(placeSQL, ids, sequences, times, charged, units)
	return nil
}

// textOrNull returns a list as JSON; nil for an empty list.
func textOrNull[T any](list []T) (*string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	document, err := json.Marshal(list)
	return new(string(document)), err
}

// rejectDisabledSQL rejects enforcements that lockNewcomersSQL has locked.
const rejectDisabledSQL = `
UPDATE enforcements e SET status = 'rejected', reason = 'action_disabled', encrypted = NULL, charges = NULL,
	finished_at = GREATEST(clock_timestamp(), e.created_at),
	detail = 'action ' || a.ref || ' is disabled: its pack no longer declares it'
FROM actions a WHERE e.id = ANY ($1::bigint[]) AND e.status = 'created' AND a.id = e.action_id`

const ticketsOfSQL = `
SELECT q.key, e.id, e.action_id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `, q.policy
FROM enforcements e JOIN queues q ON q.id = e.queue_id LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.id = ANY ($1::bigint[]) AND e.status = 'queued'
ORDER BY q.id, e.sequence`

// readAdmissions groups the tickets by queue; the rows are sorted by queue. It decodes the policy of each queue once.
func readAdmissions(rows pgx.Rows) ([]attune.Admission, error) {
	var admissions []attune.Admission
	var queue attune.QueueKey
	var document []byte
	var ticket attune.Ticket
	_, err := pgx.ForEachRow(rows, []any{
		&queue, &ticket.Enforcement, &ticket.Action, &ticket.Sequence, &ticket.Lane, &ticket.EnqueuedAt, &ticket.Attempt, &document,
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
