package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// line is the row of a queue, locked until the transaction ends.
type line struct {
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
func (l *line) next(since time.Time) attune.Ticket {
	l.lastSequence++
	for _, t := range []time.Time{l.now, since.Add(time.Millisecond - 1).Truncate(time.Millisecond)} {
		if t.After(l.lastQueuedAt) {
			l.lastQueuedAt = t
		}
	}
	l.moved = true
	return attune.Ticket{Sequence: l.lastSequence, EnqueuedAt: l.lastQueuedAt}
}

// renew takes over the policy in force, under a new revision if it differs from the stored one.
func (l *line) renew(inForce attune.QueuePolicy) {
	stored := l.policy
	inForce.Revision = stored.Revision
	if stored.Revision > 0 && inForce == stored {
		return
	}
	inForce.Revision++
	l.policy, l.renewed = inForce, true
}

// lineColumns are what scanLine reads; the clock must be read after the locks were taken.
const lineColumns = `
SELECT q.id, q.key, COALESCE(a.ref, ''), q.last_sequence, q.last_queued_at, date_trunc('milliseconds', clock_timestamp()), q.policy`

const lineTables = ` FROM q LEFT JOIN actions a ON a.id = q.action_id ORDER BY q.id`

// lockLinesSQL locks in the order of ids, whatever the order of the answer.
const lockLinesSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
)` + lineColumns + lineTables

// lockLines locks queues and brings their policy up to date. Reading the policies under the locks makes sure that an
// older policy never gets a newer revision. Ids without a row are left out.
func lockLines(ctx context.Context, tx pgx.Tx, ids []attune.QueueID) ([]*line, error) {
	lines, err := collect(ctx, tx, scanLine, lockLinesSQL, ids)
	if err != nil {
		return nil, err
	}
	names := make([]queueName, len(lines))
	for i, line := range lines {
		names[i] = line.queueName
	}
	levels, err := readLevels(ctx, tx, names...)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		line.renew(levels.resolve(line.queueName).Policy)
	}
	return lines, nil
}

func scanLine(row pgx.CollectableRow) (*line, error) {
	var l line
	var lastQueuedAt *time.Time
	err := row.Scan(&l.id, &l.key, &l.owner, &l.lastSequence, &lastQueuedAt, &l.now, &l.policy)
	l.lastQueuedAt = orZeroTime(lastQueuedAt)
	return &l, err
}

// openQueuesSQL makes the queues that do not exist yet, as far as their owners do. It touches no row that is there: neither
// its lock nor its page. It inserts in the order of keys, so that transactions which make the same queues do not wait for
// each other in a circle.
const openQueuesSQL = `
INSERT INTO queues (key, action_id, policy)
SELECT u.key, a.id, $3::json FROM unnest($1::text[], $2::text[]) AS u (key, owner) JOIN actions a ON a.ref = u.owner
WHERE NOT EXISTS (SELECT FROM queues q WHERE q.key = u.key) ORDER BY u.key COLLATE "C"
ON CONFLICT (key) DO NOTHING`

// addQueues makes the queues with these keys, each given once, that do not exist yet. They have the default policy and
// revision 0 until they are locked for the first time.
func addQueues(batch *pgx.Batch, keys []attune.QueueKey) {
	if len(keys) == 0 {
		return
	}
	owners := make([]attune.Ref, len(keys))
	for i, key := range keys {
		owners[i] = policy.OwnerOf(key)
	}
	batch.Queue(openQueuesSQL, keys, owners, policy.Defaults())
}

const queueIDSQL = `SELECT id FROM queues WHERE key = $1`

// openLine locks a queue, after making it if it does not exist yet. One that belongs to no action is [attune.CodeNotFound].
func openLine(ctx context.Context, tx pgx.Tx, key attune.QueueKey) ([]*line, error) {
	var id attune.QueueID
	batch := new(pgx.Batch)
	addQueues(batch, []attune.QueueKey{key})
	batch.Queue(queueIDSQL, key).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, found(err, "queue %q belongs to no action", key)
	}
	return lockLines(ctx, tx, []attune.QueueID{id})
}

const storePlacesSQL = `
UPDATE queues q SET last_sequence = u.last_sequence, last_queued_at = u.last_queued_at, updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS u (id, last_sequence, last_queued_at)
WHERE q.id = u.id`

const storePoliciesSQL = `
UPDATE queues q SET policy = u.policy, freed_at = clock_timestamp(), updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::json[]) AS u (id, policy)
WHERE q.id = u.id`

// addLines stores what has changed about queues that are locked. Policies change seldom, and the row of a queue with every
// acceptance: that statement leaves the policy alone.
func addLines(batch *pgx.Batch, lines []*line) {
	var moved, renewed []attune.QueueID
	var sequences []int64
	var times []time.Time
	var policies []attune.QueuePolicy
	for _, l := range lines {
		if l.moved {
			moved, sequences, times = append(moved, l.id), append(sequences, l.lastSequence), append(times, l.lastQueuedAt)
		}
		if l.renewed {
			renewed, policies = append(renewed, l.id), append(policies, l.policy)
		}
	}
	if len(moved) > 0 {
		batch.Queue(storePlacesSQL, moved, sequences, times)
	}
	if len(renewed) > 0 {
		batch.Queue(storePoliciesSQL, renewed, policies)
	}
}
