package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// generationLock is the first half of the advisory lock of a queue's generation; the second is the hash of its key.
const generationLock int32 = 0x61747475

const lockGenerationSQL = `SELECT pg_advisory_xact_lock($1::integer, hashtext($2))`

const raiseGenerationSQL = `UPDATE queues SET generation = generation + 1 WHERE key = $1`

// Rebuild begins the next generation of a queue and returns the queue at that instant from its rows: holders in the order of
// their grants, waiting tickets in sequence order, the starts that its rates count, and the policy resolved again. An expired
// manual limit is left out. Rebuild inserts a missing queue, open and empty. A queue without an action has the default policy and
// is not stored.
//
// A grant of an earlier generation is in the snapshot if [Executions.Request] acted upon it; any other grant of an earlier
// generation is void from now on. Grants in the snapshot have the new generation, so they stay valid. The log keeps the
// generation that decided them.
func (q *Queues) Rebuild(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error) {
	snapshot := attune.QueueSnapshot{Policy: policy.OwnQueue(0, policy.Defaults()), Mode: attune.QueueOpen}
	err := q.db.inTx(ctx, "rebuild queue", func(tx pgx.Tx) error {
		// Each statement sees what was committed before it. The first lock waits for running requests and blocks new ones. The
		// lock of the queue's row blocks all other changes of the queue. So the statements after both locks see one instant.
		if _, err := tx.Exec(ctx, lockGenerationSQL, generationLock, key); err != nil {
			return err
		}
		queue, err := lockOrCreateQueue(ctx, tx, key)
		if attune.CodeOf(err) == attune.CodeNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		addChangedQueues(batch, queue)
		batch.Queue(raiseGenerationSQL, key)
		addSnapshot(batch, key, &snapshot)
		addStarts(batch, queue.id, queue.policy, &snapshot)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		snapshot.Accepted = acceptedUpTo(snapshot, queue.now)
		return nil
	})
	return snapshot, err
}

// sentWithin is the time after its admission in which a ticket is taken for one that may not have reached the workflow of its queue.
const sentWithin = 30 * time.Second

// acceptedUpTo returns the highest sequence that an earlier generation of the queue has accepted. The rows do not show which tickets
// reached a workflow. Before the first generation, none did. Later, those of the last moment may not have: they can be of the arrival
// that started the workflow again. All others keep their places, so that no accepted work is lost.
func acceptedUpTo(snapshot attune.QueueSnapshot, now time.Time) (accepted int64) {
	if snapshot.Generation == 1 {
		return 0
	}
	for _, ticket := range snapshot.Waiting {
		if !ticket.EnqueuedAt.After(now.Add(-sentWithin)) {
			accepted = ticket.Sequence
		}
	}
	return accepted
}

const queueSQL = `
SELECT q.generation, q.last_sequence,
	COALESCE((SELECT g.number FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1), 0),
	q.last_change, q.mode, ` + overrideInForce + `, q.override_until, q.policy
FROM queues q WHERE q.key = $1`

const holdersSQL = selectHolders + `
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'granted' ORDER BY e.grant_number`

const waitersSQL = selectTickets + `
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' ORDER BY e.sequence`

// addSnapshot reads a queue into snapshot.
func addSnapshot(batch *pgx.Batch, key attune.QueueKey, snapshot *attune.QueueSnapshot) {
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, snapshot) })
	batch.Queue(laneLimitsSQL, key).Query(func(rows pgx.Rows) error {
		limits, err := pgx.CollectRows(rows, scanLaneLimit)
		if len(limits) > 0 {
			snapshot.LaneLimits = limits
		}
		return err
	})
	batch.Queue(holdersSQL, key).Query(func(rows pgx.Rows) (err error) {
		snapshot.Holders, err = pgx.CollectRows(rows, scanHolder)
		for i := range snapshot.Holders {
			snapshot.Holders[i].Generation = snapshot.Generation
		}
		return err
	})
	batch.Queue(waitersSQL, key).Query(func(rows pgx.Rows) (err error) {
		snapshot.Waiting, err = pgx.CollectRows(rows, scanTicket)
		return err
	})
}

// scanQueue reads the row of a queue into snapshot. Without a row, snapshot stays as it is.
func scanQueue(rows pgx.Rows, snapshot *attune.QueueSnapshot) error {
	var override *int
	var until *time.Time
	_, err := pgx.ForEachRow(rows, []any{
		&snapshot.Generation, &snapshot.LastSequence, &snapshot.LastGrant, &snapshot.LastChange, &snapshot.Mode,
		&override, &until, &snapshot.Policy,
	}, func() error {
		snapshot.Override = overrideOf(override, until)
		return nil
	})
	return err
}

const ticketsSQL = selectTickets + `
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' AND e.sequence BETWEEN $2 AND $3 ORDER BY e.sequence`

// Tickets returns the waiting tickets with sequences from from to to, both included, in sequence order.
func (q *Queues) Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error) {
	tickets, err := collect(ctx, q.db.pool, scanTicket, ticketsSQL, key, from, to)
	return tickets, wrap("read tickets", err)
}

const stillWaitingSQL = selectTickets + `
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
