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
	changed      bool      // differs from the stored row
}

// next gives out the place of one more ticket: the next sequence, at a time that is never before that of the previous one.
func (l *line) next() attune.Ticket {
	l.lastSequence++
	if l.now.After(l.lastQueuedAt) {
		l.lastQueuedAt = l.now
	}
	l.changed = true
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
	l.policy, l.changed = inForce, true
}

// lockLinesSQL locks in key order, whatever the order of the answer; the clock is read after the locks were taken.
const lockLinesSQL = `
WITH locked AS MATERIALIZED (
	SELECT * FROM queues WHERE key = ANY ($1::text[]) ORDER BY key FOR NO KEY UPDATE
)
SELECT l.key, a.ref, l.policy_revision, l.concurrency_limit, l.max_queued, l.overflow, l.queue_timeout_ms,
	l.last_sequence, l.last_queued_at, date_trunc('milliseconds', clock_timestamp())
FROM locked l JOIN actions a ON a.id = l.action_id ORDER BY l.key`

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
		line.renew(levels.resolve(line.action))
	}
	return lines, nil
}

func scanLine(row pgx.CollectableRow) (*line, error) {
	var l line
	var timeoutMS int64
	var lastQueuedAt *time.Time
	err := row.Scan(&l.key, &l.action, &l.policy.Revision, &l.policy.Limit, &l.policy.MaxQueued, &l.policy.Overflow,
		&timeoutMS, &l.lastSequence, &lastQueuedAt, &l.now)
	l.policy.QueueTimeout = fromMilliseconds(timeoutMS)
	if lastQueuedAt != nil {
		l.lastQueuedAt = *lastQueuedAt
	}
	return &l, err
}

const updateLinesSQL = `
UPDATE queues q SET
	policy_revision = u.revision, concurrency_limit = u.concurrency_limit, max_queued = u.max_queued,
	overflow = u.overflow, queue_timeout_ms = u.queue_timeout_ms, last_sequence = u.last_sequence,
	last_queued_at = u.last_queued_at, updated_at = clock_timestamp(),
	freed_at = CASE WHEN q.policy_revision = u.revision THEN q.freed_at ELSE clock_timestamp() END
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[],
	$8::timestamptz[]) AS u (key, revision, concurrency_limit, max_queued, overflow, queue_timeout_ms, last_sequence,
	last_queued_at)
WHERE q.key = u.key`

// queueLines stores the locked queues that changed.
func queueLines(batch *pgx.Batch, lines []*line) {
	var (
		keys                      []attune.QueueKey
		overflows                 []attune.Overflow
		limits, bounds            []int
		revisions, timeouts, last []int64
		queuedAt                  []*time.Time
	)
	for _, l := range lines {
		if !l.changed {
			continue
		}
		keys = append(keys, l.key)
		revisions = append(revisions, l.policy.Revision)
		limits = append(limits, l.policy.Limit)
		bounds = append(bounds, l.policy.MaxQueued)
		overflows = append(overflows, l.policy.Overflow)
		timeouts = append(timeouts, milliseconds(time.Duration(l.policy.QueueTimeout)))
		last = append(last, l.lastSequence)
		queuedAt = append(queuedAt, orNullTime(l.lastQueuedAt))
	}
	if len(keys) > 0 {
		batch.Queue(updateLinesSQL, keys, revisions, limits, bounds, overflows, timeouts, last, queuedAt)
	}
}
