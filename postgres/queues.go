package postgres

import (
	"context"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Queues reads the state and the journals of queues, and records their decisions.
type Queues struct {
	db      *DB
	settled reached
}

// NewQueues returns the queues of a database.
func NewQueues(db *DB) *Queues { return &Queues{db: db, settled: unobserved} }

// Observe returns queues that tell settled how many enforcements Record has ended without a grant, with which status and reason.
func (q *Queues) Observe(settled func(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason)) *Queues {
	return &Queues{db: q.db, settled: settled}
}

// queueName is the key of a queue with the action that owns it. A shared queue has no owner.
type queueName struct {
	key     attune.QueueKey
	owner   attune.Ref
	ownerID attune.ActionID
}

func (n queueName) shared() bool { return n.ownerID == 0 }

// lockedQueue is the row of a queue, locked until the transaction ends.
type lockedQueue struct {
	id attune.QueueID
	queueName
	policy       attune.QueuePolicy
	lastSequence int64
	lastQueuedAt time.Time // zero before the first ticket
	now          time.Time // PostgreSQL's clock after the lock was taken, in whole milliseconds

	placesChanged bool // lastSequence and lastQueuedAt differ from the row
	policyChanged bool // policy differs from the row
}

// nextPlace assigns the next sequence and the time of admission. That time is never before the time of the previous ticket,
// nor before notBefore, an earlier time of the enforcement.
func (q *lockedQueue) nextPlace(notBefore time.Time) attune.Ticket {
	q.lastSequence++
	for _, t := range []time.Time{q.now, notBefore.Add(time.Millisecond - 1).Truncate(time.Millisecond)} {
		if t.After(q.lastQueuedAt) {
			q.lastQueuedAt = t
		}
	}
	q.placesChanged = true
	return attune.Ticket{Sequence: q.lastSequence, EnqueuedAt: q.lastQueuedAt}
}

// setPolicy sets the resolved policy, with a new revision if it differs from the stored policy.
func (q *lockedQueue) setPolicy(resolved attune.QueuePolicy) {
	stored := q.policy
	resolved.Revision = stored.Revision
	if stored.Revision > 0 && reflect.DeepEqual(resolved, stored) {
		return
	}
	resolved.Revision++
	q.policy, q.policyChanged = resolved, true
}

// lockedQueueColumns are the columns of scanLockedQueue. They read the clock after the locks were taken.
const lockedQueueColumns = `
SELECT q.id, q.key, COALESCE(a.ref, ''), COALESCE(a.id, 0), q.last_sequence, q.last_queued_at,
	date_trunc('milliseconds', clock_timestamp()), q.policy`

const lockedQueueTables = ` FROM q LEFT JOIN actions a ON a.id = q.action_id ORDER BY q.id`

// lockQueuesByIDSQL locks in the order of ids. The CTE is materialized, so the outer query cannot change that order.
const lockQueuesByIDSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
)` + lockedQueueColumns + lockedQueueTables

// lockAndResolveQueues locks queues and resolves their policies again. It reads the policy documents under the locks, so an older policy
// never gets a newer revision. It skips unknown ids. stays says which actions a shared queue keeps in its policy although they have
// left the queue.
func lockAndResolveQueues(ctx context.Context, tx pgx.Tx, ids []attune.QueueID, stays staying) ([]*lockedQueue, error) {
	queues, err := collect(ctx, tx, scanLockedQueue, lockQueuesByIDSQL, ids)
	if err != nil {
		return nil, err
	}
	policies, err := readPolicies(ctx, tx, queues, stays)
	if err != nil {
		return nil, err
	}
	for _, queue := range queues {
		queue.setPolicy(policies.of(queue.queueName))
	}
	return queues, nil
}

func scanLockedQueue(row pgx.CollectableRow) (*lockedQueue, error) {
	var q lockedQueue
	var lastQueuedAt *time.Time
	err := row.Scan(&q.id, &q.key, &q.owner, &q.ownerID, &q.lastSequence, &lastQueuedAt, &q.now, &q.policy)
	q.lastQueuedAt = orZeroTime(lastQueuedAt)
	return &q, err
}

// insertQueuesSQL inserts the missing queues whose owners exist. Shared queues are there since their packs were installed. It
// neither locks nor writes existing rows. It inserts in the order of keys, so that transactions that insert the same queues
// cannot deadlock.
const insertQueuesSQL = `
INSERT INTO queues (key, action_id, policy)
SELECT u.key, a.id, $3::json FROM unnest($1::text[], $2::text[]) AS u (key, owner) JOIN actions a ON a.ref = u.owner
WHERE NOT EXISTS (SELECT FROM queues q WHERE q.key = u.key) ORDER BY u.key COLLATE "C"
ON CONFLICT (key) DO NOTHING`

// addNewQueues inserts the missing queues among keys, which must be distinct. A new queue has the default policy and revision 0
// until it is locked for the first time.
func addNewQueues(batch *pgx.Batch, keys []attune.QueueKey) {
	if len(keys) == 0 {
		return
	}
	owners := make([]attune.Ref, len(keys))
	for i, key := range keys {
		owners[i] = policy.OwnerOf(key)
	}
	batch.Queue(insertQueuesSQL, keys, owners, policy.OwnQueue(0, policy.Defaults()))
}

const queueIDSQL = `SELECT id FROM queues WHERE key = $1`

// lockOrCreateQueue inserts a queue of an action if it is missing, locks it, and resolves its policy again. A queue that neither
// belongs to an action nor is declared is [attune.CodeNotFound].
func lockOrCreateQueue(ctx context.Context, tx pgx.Tx, key attune.QueueKey) (*lockedQueue, error) {
	var id attune.QueueID
	batch := new(pgx.Batch)
	addNewQueues(batch, []attune.QueueKey{key})
	batch.Queue(queueIDSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, orNotFound(err, "queue %q belongs to no action, and no pack declares it", key)
	}
	queues, err := lockAndResolveQueues(ctx, tx, []attune.QueueID{id}, staying{stored: true})
	if err != nil {
		return nil, err
	}
	return queues[0], nil // rows of queues are never deleted
}

const storePlacesSQL = `
UPDATE queues q SET last_sequence = u.last_sequence, last_queued_at = u.last_queued_at, updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (id, last_sequence, last_queued_at)
WHERE q.id = u.id`

// storePoliciesSQL also writes the journal of the queues' policies.
const storePoliciesSQL = `
WITH stored AS (
	UPDATE queues q SET policy = u.policy, freed_at = clock_timestamp(), updated_at = clock_timestamp()
	FROM unnest($1::bigint[], $2::json[]) AS u (id, policy)
	WHERE q.id = u.id
	RETURNING q.id, q.policy_revision, q.policy, q.freed_at
)
INSERT INTO queue_policies (queue_id, revision, policy, at) SELECT id, policy_revision, policy, freed_at FROM stored`

// addChangedQueues stores the changes of locked queues. Each admission changes the places of a queue, but rarely its policy,
// so each has a statement of its own.
func addChangedQueues(batch *pgx.Batch, queues ...*lockedQueue) {
	var withPlaces, withPolicy []attune.QueueID
	var sequences []int64
	var times []time.Time
	var policies []attune.QueuePolicy
	for _, q := range queues {
		if q.placesChanged {
			withPlaces = append(withPlaces, q.id)
			sequences, times = append(sequences, q.lastSequence), append(times, q.lastQueuedAt)
		}
		if q.policyChanged {
			withPolicy, policies = append(withPolicy, q.id), append(policies, q.policy)
		}
	}
	if len(withPlaces) > 0 {
		batch.Queue(storePlacesSQL, withPlaces, sequences, times)
	}
	if len(withPolicy) > 0 {
		batch.Queue(storePoliciesSQL, withPolicy, policies)
	}
}
