package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Queues tells how queues stand and what they have granted, and keeps what people do to them by hand.
type Queues struct{ db *DB }

// NewQueues returns the queues of a database.
func NewQueues(db *DB) *Queues { return &Queues{db: db} }

// generationLock is the first half of the advisory lock of a queue's generation; the second is the hash of its key.
const generationLock int32 = 0x61747475

const lockGenerationSQL = `SELECT pg_advisory_xact_lock($1::integer, hashtext($2))`

const raiseGenerationSQL = `UPDATE queues SET generation = generation + 1 WHERE key = $1`

// Rebuild begins the next generation of a queue, and returns the queue as the rows tell it at that instant: holders in the
// order of their grants, waiting tickets in sequence order. Its policy is what the scopes say now. A queue that nobody has used
// or set yet is made, open and empty; one that belongs to no action has the default policy and is not recorded. A limit
// set by hand that has run out is left out.
//
// Of the grants that an earlier generation has decided, each is either in the answer, because [Executions.Request] has acted
// upon it, or will never be acted upon. Those in the answer are taken over: they are of the new generation now, and allow
// what comes next; the log goes on saying which one decided them.
func (q *Queues) Rebuild(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error) {
	snapshot := attune.QueueSnapshot{Policy: policy.Defaults(), Mode: attune.QueueOpen}
	err := q.db.inTx(ctx, "rebuild queue", func(tx pgx.Tx) error {
		// Each statement sees what was committed before it: the first waits for every request under way, and keeps further
		// ones out; the second waits for whoever else changes the queue. So the statements after them see one instant.
		if _, err := tx.Exec(ctx, lockGenerationSQL, generationLock, key); err != nil {
			return err
		}
		lines, err := openLine(ctx, tx, key)
		if attune.CodeOf(err) == attune.CodeNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		addLines(batch, lines)
		batch.Queue(raiseGenerationSQL, key)
		addSnapshot(batch, key, &snapshot)
		return tx.SendBatch(ctx, batch).Close()
	})
	return snapshot, err
}

// queueNamed is the id of the queue whose key is the first parameter of a statement.
const queueNamed = `(SELECT id FROM queues WHERE key = $1)`

const queueSQL = `
SELECT q.generation, q.last_sequence,
	COALESCE((SELECT g.number FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1), 0),
	q.last_change, q.mode, ` + overrideInForce + `, q.override_until, q.policy
FROM queues q WHERE q.key = $1`

// selectHolders gives those who hold their slots for the next attempt the grant of that attempt.
const selectHolders = `
SELECT e.id, e.sequence, e.lane, e.queued_at, e.grant_number, CASE WHEN x.status = 'retrying' THEN x.attempt + 1 ELSE x.attempt END,
	e.granted_at, x.retry_at, COALESCE(g.concurrency_limit, 0), COALESCE(g.policy_revision, 0)
FROM enforcements e JOIN executions x ON x.enforcement_id = e.id
	LEFT JOIN grants g ON g.queue_id = e.queue_id AND g.number = e.grant_number`

const holdersSQL = selectHolders + `
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'granted' ORDER BY e.grant_number`

const waitersSQL = `
SELECT e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' ORDER BY e.sequence`

// addSnapshot reads a queue into snapshot.
func addSnapshot(batch *pgx.Batch, key attune.QueueKey, snapshot *attune.QueueSnapshot) {
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, snapshot) })
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

// scanQueue reads what the row of a queue says, if there is one.
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

// overrideOf is a limit set by hand, from the columns that keep it; nil when there is none.
func overrideOf(limit *int, until *time.Time) *attune.LimitOverride {
	if limit == nil {
		return nil
	}
	override := &attune.LimitOverride{Limit: *limit}
	if until != nil {
		override.Until = *until
	}
	return override
}

func scanHolder(row pgx.CollectableRow) (attune.Grant, error) {
	var g attune.Grant
	var notBefore *time.Time
	err := row.Scan(&g.Enforcement, &g.Sequence, &g.Lane, &g.EnqueuedAt, &g.Number, &g.Attempt, &g.GrantedAt, &notBefore,
		&g.Limit, &g.Revision)
	if notBefore != nil {
		g.NotBefore = *notBefore
	}
	return g, err
}

func scanTicket(row pgx.CollectableRow) (attune.Ticket, error) {
	var t attune.Ticket
	err := row.Scan(&t.Enforcement, &t.Sequence, &t.Lane, &t.EnqueuedAt, &t.Attempt)
	return t, err
}

const ticketsSQL = `
SELECT e.id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = ` + queueNamed + ` AND e.status = 'queued' AND e.sequence BETWEEN $2 AND $3 ORDER BY e.sequence`

// Tickets returns those of the sequences from..to (both included) that still wait, in sequence order.
func (q *Queues) Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error) {
	tickets, err := collect(ctx, q.db.pool, scanTicket, ticketsSQL, key, from, to)
	return tickets, wrap("read tickets", err)
}
