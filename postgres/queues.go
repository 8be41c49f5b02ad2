package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Queues tells how queues stand and what they have granted, and keeps what they decide.
type Queues struct{ db *DB }

// NewQueues returns the queues of a database.
func NewQueues(db *DB) *Queues { return &Queues{db: db} }

// queueName is the key of a queue, and the action that owns it; a queue that actions share has no owner.
type queueName struct {
	key   attune.QueueKey
	owner attune.Ref
}

// pack is the pack that the queue belongs to: keys begin with it, like references.
func (n queueName) pack() string { return attune.Ref(n.key).Pack() }

// queueNamed is the id of the queue whose key is the first parameter of a statement.
const queueNamed = `(SELECT id FROM queues WHERE key = $1)`

// lockedQueue is the row of a queue, locked until the transaction ends.
type lockedQueue struct {
	id attune.QueueID
	queueName
	policy       attune.QueuePolicy
	lastSequence int64
	lastQueuedAt time.Time // zero before the first ticket
	now          time.Time // PostgreSQL's clock after the lock was taken, in whole milliseconds
	moved        bool      // has given out places that are not stored yet
	renewed      bool      // has another policy than its row
}

// next gives out the place of one more ticket: the next sequence, at a time that is never before that of the previous one,
// nor before since, the time that the enforcement had before.
func (q *lockedQueue) next(since time.Time) attune.Ticket {
	q.lastSequence++
	for _, t := range []time.Time{q.now, since.Add(time.Millisecond - 1).Truncate(time.Millisecond)} {
		if t.After(q.lastQueuedAt) {
			q.lastQueuedAt = t
		}
	}
	q.moved = true
	return attune.Ticket{Sequence: q.lastSequence, EnqueuedAt: q.lastQueuedAt}
}

// renew takes over the policy in force, under a new revision if it differs from the stored one.
func (q *lockedQueue) renew(inForce attune.QueuePolicy) {
	stored := q.policy
	inForce.Revision = stored.Revision
	if stored.Revision > 0 && inForce == stored {
		return
	}
	inForce.Revision++
	q.policy, q.renewed = inForce, true
}

// lockedQueueColumns are what scanLockedQueue reads; the clock must be read after the locks were taken.
const lockedQueueColumns = `
SELECT q.id, q.key, COALESCE(a.ref, ''), q.last_sequence, q.last_queued_at, date_trunc('milliseconds', clock_timestamp()), q.policy`

const lockedQueueTables = ` FROM q LEFT JOIN actions a ON a.id = q.action_id ORDER BY q.id`

// lockQueuesSQL locks in the order of ids, whatever the order of the answer.
const lockQueuesSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
)` + lockedQueueColumns + lockedQueueTables

// lockQueues locks queues and brings their policy up to date. Reading the policies under the locks makes sure that an
// older policy never gets a newer revision. Ids without a row are left out.
func lockQueues(ctx context.Context, tx pgx.Tx, ids []attune.QueueID) ([]*lockedQueue, error) {
	queues, err := collect(ctx, tx, scanLockedQueue, lockQueuesSQL, ids)
	if err != nil {
		return nil, err
	}
	names := make([]queueName, len(queues))
	for i, queue := range queues {
		names[i] = queue.queueName
	}
	levels, err := readLevels(ctx, tx, names...)
	if err != nil {
		return nil, err
	}
	for _, queue := range queues {
		queue.renew(levels.resolve(queue.queueName).Policy)
	}
	return queues, nil
}

func scanLockedQueue(row pgx.CollectableRow) (*lockedQueue, error) {
	var q lockedQueue
	var lastQueuedAt *time.Time
	err := row.Scan(&q.id, &q.key, &q.owner, &q.lastSequence, &lastQueuedAt, &q.now, &q.policy)
	q.lastQueuedAt = orZeroTime(lastQueuedAt)
	return &q, err
}

// insertQueuesSQL makes the queues that do not exist yet, as far as their owners do. It touches no row that is there: neither
// its lock nor its page. It inserts in the order of keys, so that transactions which make the same queues do not wait for
// each other in a circle.
const insertQueuesSQL = `
INSERT INTO queues (key, action_id, policy)
SELECT u.key, a.id, $3::json FROM unnest($1::text[], $2::text[]) AS u (key, owner) JOIN actions a ON a.ref = u.owner
WHERE NOT EXISTS (SELECT FROM queues q WHERE q.key = u.key) ORDER BY u.key COLLATE "C"
ON CONFLICT (key) DO NOTHING`

// addNewQueues makes the queues with these keys, each given once, that do not exist yet. They have the default policy and
// revision 0 until they are locked for the first time.
func addNewQueues(batch *pgx.Batch, keys []attune.QueueKey) {
	if len(keys) == 0 {
		return
	}
	owners := make([]attune.Ref, len(keys))
	for i, key := range keys {
		owners[i] = policy.OwnerOf(key)
	}
	batch.Queue(insertQueuesSQL, keys, owners, policy.Defaults())
}

const queueIDSQL = `SELECT id FROM queues WHERE key = $1`

// openQueue locks a queue, after making it if it does not exist yet. One that belongs to no action is [attune.CodeNotFound].
func openQueue(ctx context.Context, tx pgx.Tx, key attune.QueueKey) (*lockedQueue, error) {
	var id attune.QueueID
	batch := new(pgx.Batch)
	addNewQueues(batch, []attune.QueueKey{key})
	batch.Queue(queueIDSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, found(err, "queue %q belongs to no action", key)
	}
	queues, err := lockQueues(ctx, tx, []attune.QueueID{id})
	if err != nil {
		return nil, err
	}
	return queues[0], nil // a row of this table is never deleted
}

const storePlacesSQL = `
UPDATE queues q SET last_sequence = u.last_sequence, last_queued_at = u.last_queued_at, updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (id, last_sequence, last_queued_at)
WHERE q.id = u.id`

const storePoliciesSQL = `
UPDATE queues q SET policy = u.policy, freed_at = clock_timestamp(), updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::json[]) AS u (id, policy)
WHERE q.id = u.id`

// addChangedQueues stores what has changed about queues that are locked. The places of a queue change with every acceptance, its
// policy hardly ever: the statement about places leaves the policy alone.
func addChangedQueues(batch *pgx.Batch, queues ...*lockedQueue) {
	var moved, renewed []attune.QueueID
	var sequences []int64
	var times []time.Time
	var policies []attune.QueuePolicy
	for _, q := range queues {
		if q.moved {
			moved, sequences, times = append(moved, q.id), append(sequences, q.lastSequence), append(times, q.lastQueuedAt)
		}
		if q.renewed {
			renewed, policies = append(renewed, q.id), append(policies, q.policy)
		}
	}
	if len(moved) > 0 {
		batch.Queue(storePlacesSQL, moved, sequences, times)
	}
	if len(renewed) > 0 {
		batch.Queue(storePoliciesSQL, renewed, policies)
	}
}
