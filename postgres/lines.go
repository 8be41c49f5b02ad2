package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// line is the row of a queue, locked until the transaction ends.
type line struct {
	key          attune.QueueKey
	action       attune.Ref
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
SELECT q.key, a.ref, q.last_sequence, q.last_queued_at, date_trunc('milliseconds', clock_timestamp()), q.policy`

// lockLinesSQL locks in key order, whatever the order of the answer.
const lockLinesSQL = `
WITH q AS MATERIALIZED (
	SELECT * FROM queues WHERE key = ANY ($1::text[]) ORDER BY key FOR NO KEY UPDATE
)` + lineColumns + ` FROM q JOIN actions a ON a.id = q.action_id ORDER BY q.key`

// lockLines locks queues and brings their policy up to date. Reading the policies under the locks makes sure that an
// older policy never gets a newer revision. Keys without a row are left out.
func lockLines(ctx context.Context, tx pgx.Tx, keys []attune.QueueKey) ([]*line, error) {
	lines, err := collect(ctx, tx, scanLine, lockLinesSQL, keys)
	if err != nil {
		return nil, err
	}
	actions := make([]attune.Ref, len(lines))
	for i, line := range lines {
		actions[i] = line.action
	}
	levels, err := readLevels(ctx, tx, actions)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		line.renew(levels.resolve(line.action).Policy)
	}
	return lines, nil
}

func scanLine(row pgx.CollectableRow) (*line, error) {
	var l line
	var lastQueuedAt *time.Time
	err := row.Scan(&l.key, &l.action, &l.lastSequence, &lastQueuedAt, &l.now, &l.policy)
	l.lastQueuedAt = orZeroTime(lastQueuedAt)
	return &l, err
}

const storePlacesSQL = `
UPDATE queues q SET last_sequence = u.last_sequence, last_queued_at = u.last_queued_at, updated_at = clock_timestamp()
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS u (key, last_sequence, last_queued_at)
WHERE q.key = u.key`

const storePoliciesSQL = `
UPDATE queues q SET policy = u.policy, freed_at = clock_timestamp(), updated_at = clock_timestamp()
FROM unnest($1::text[], $2::json[]) AS u (key, policy)
WHERE q.key = u.key`

// addLines stores what has changed about queues that are locked. Policies change seldom, and the row of a queue with every
// acceptance: that statement leaves the policy alone.
func addLines(batch *pgx.Batch, lines []*line) {
	var moved, renewed []attune.QueueKey
	var sequences []int64
	var times []time.Time
	var policies []attune.QueuePolicy
	for _, l := range lines {
		if l.moved {
			moved, sequences, times = append(moved, l.key), append(sequences, l.lastSequence), append(times, l.lastQueuedAt)
		}
		if l.renewed {
			renewed, policies = append(renewed, l.key), append(policies, l.policy)
		}
	}
	if len(moved) > 0 {
		batch.Queue(storePlacesSQL, moved, sequences, times)
	}
	if len(renewed) > 0 {
		batch.Queue(storePoliciesSQL, renewed, policies)
	}
}
