package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Queues tells how queues stand and what they have granted, and keeps what people do to them by hand.
type Queues struct{ db *DB }

// NewQueues returns the queues of a database.
func NewQueues(db *DB) *Queues { return &Queues{db: db} }

const queueSQL = `
SELECT q.policy_revision, q.concurrency_limit, q.max_queued, q.overflow, q.queue_timeout_ms, q.last_sequence,
	COALESCE((SELECT max(e.grant_number) FROM enforcements e WHERE e.queue_key = q.key AND e.grant_number IS NOT NULL), 0),
	q.last_change, q.mode, ` + overrideInForce + `, q.override_until
FROM queues q WHERE q.key = $1`

const holdersSQL = `
SELECT e.id, e.sequence, e.queued_at, e.grant_number, x.attempt, e.granted_at,
	COALESCE(g.concurrency_limit, 0), COALESCE(g.policy_revision, 0)
FROM enforcements e JOIN executions x ON x.enforcement_id = e.id
	LEFT JOIN grants g ON g.queue_key = e.queue_key AND g.number = e.grant_number
WHERE e.queue_key = $1 AND e.status = 'granted' ORDER BY e.grant_number`

const waitersSQL = `
SELECT e.id, e.sequence, e.queued_at FROM enforcements e
WHERE e.queue_key = $1 AND e.status = 'queued' ORDER BY e.sequence`

// Snapshot returns a queue as the rows tell it at one instant: holders in the order of their grants, waiting tickets in
// sequence order. A queue that nobody has used or set is open, has the default policy and nothing else. A limit set by hand
// that has run out is left out.
func (q *Queues) Snapshot(ctx context.Context, key attune.QueueKey) (attune.QueueSnapshot, error) {
	snapshot := attune.QueueSnapshot{Policy: attune.DefaultQueuePolicy(), Mode: attune.QueueOpen}
	batch := new(pgx.Batch)
	batch.Queue(queueSQL, key).Query(func(rows pgx.Rows) error { return scanQueue(rows, &snapshot) })
	batch.Queue(holdersSQL, key).Query(func(rows pgx.Rows) (err error) {
		snapshot.Holders, err = pgx.CollectRows(rows, scanHolder)
		return err
	})
	batch.Queue(waitersSQL, key).Query(func(rows pgx.Rows) (err error) {
		snapshot.Waiting, err = pgx.CollectRows(rows, scanTicket)
		return err
	})
	oneInstant := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, q.db.pool, oneInstant, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	return snapshot, wrap("read queue", err)
}

// scanQueue reads what the row of a queue says, if there is one.
func scanQueue(rows pgx.Rows, snapshot *attune.QueueSnapshot) error {
	var timeoutMS int64
	var override *int
	var until *time.Time
	p := &snapshot.Policy
	_, err := pgx.ForEachRow(rows, []any{
		&p.Revision, &p.Limit, &p.MaxQueued, &p.Overflow, &timeoutMS, &snapshot.LastSequence, &snapshot.LastGrant,
		&snapshot.LastChange, &snapshot.Mode, &override, &until,
	}, func() error {
		p.QueueTimeout = fromMilliseconds(timeoutMS)
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
	err := row.Scan(&g.Enforcement, &g.Sequence, &g.EnqueuedAt, &g.Number, &g.Attempt, &g.GrantedAt, &g.Limit, &g.Revision)
	return g, err
}

func scanTicket(row pgx.CollectableRow) (attune.Ticket, error) {
	var t attune.Ticket
	err := row.Scan(&t.Enforcement, &t.Sequence, &t.EnqueuedAt)
	return t, err
}

const ticketsSQL = `
SELECT e.id, e.sequence, e.queued_at FROM enforcements e
WHERE e.queue_key = $1 AND e.status = 'queued' AND e.sequence BETWEEN $2 AND $3 ORDER BY e.sequence`

// Tickets returns those of the sequences from..to (both included) that still wait, in sequence order.
func (q *Queues) Tickets(ctx context.Context, key attune.QueueKey, from, to int64) ([]attune.Ticket, error) {
	tickets, err := collect(ctx, q.db.pool, scanTicket, ticketsSQL, key, from, to)
	return tickets, wrap("read tickets", err)
}
