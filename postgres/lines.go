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

// next gives out the place of one more ticket: the next sequence, at a time that is never before that of the previous one,
// nor before since, the time that the enforcement had before.
func (l *line) next(since time.Time) attune.Ticket {
	l.lastSequence++
	for _, t := range []time.Time{l.now, since.Add(time.Millisecond - 1).Truncate(time.Millisecond)} {
		if t.After(l.lastQueuedAt) {
			l.lastQueuedAt = t
		}
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

// queuePolicyColumns are the columns in which queue q keeps its policy: see storedPolicy.
const queuePolicyColumns = `q.policy_revision, q.concurrency_limit, q.max_queued, q.overflow, q.queue_timeout_ms,
	q.max_attempts, q.retry_delay_ms, q.retry_placement`

// storedPolicy is the policy of a queue as its row has it.
type storedPolicy struct {
	said               attune.QueuePolicy
	timeoutMS, delayMS int64
}

// targets is where to read queuePolicyColumns into.
func (p *storedPolicy) targets() []any {
	retry := &p.said.Retry
	return []any{
		&p.said.Revision, &p.said.Limit, &p.said.MaxQueued, &p.said.Overflow, &p.timeoutMS,
		&retry.MaxAttempts, &p.delayMS, &retry.Placement,
	}
}

func (p *storedPolicy) policy() attune.QueuePolicy {
	policy := p.said
	policy.QueueTimeout, policy.Retry.Delay = fromMilliseconds(p.timeoutMS), fromMilliseconds(p.delayMS)
	return policy
}

// lineColumns are what scanLine reads; the clock must be read after the locks were taken.
const lineColumns = `
SELECT q.key, a.ref, q.last_sequence, q.last_queued_at, date_trunc('milliseconds', clock_timestamp()), ` + queuePolicyColumns

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
		line.renew(levels.resolve(line.action))
	}
	return lines, nil
}

func scanLine(row pgx.CollectableRow) (*line, error) {
	var l line
	var stored storedPolicy
	var lastQueuedAt *time.Time
	err := row.Scan(append([]any{&l.key, &l.action, &l.lastSequence, &lastQueuedAt, &l.now}, stored.targets()...)...)
	l.policy = stored.policy()
	if lastQueuedAt != nil {
		l.lastQueuedAt = *lastQueuedAt
	}
	return &l, err
}

const updateLinesSQL = `
UPDATE queues q SET
	policy_revision = u.revision, concurrency_limit = u.concurrency_limit, max_queued = u.max_queued,
	overflow = u.overflow, queue_timeout_ms = u.queue_timeout_ms, max_attempts = u.max_attempts,
	retry_delay_ms = u.retry_delay_ms, retry_placement = u.retry_placement, last_sequence = u.last_sequence,
	last_queued_at = u.last_queued_at, updated_at = clock_timestamp(),
	freed_at = CASE WHEN q.policy_revision = u.revision THEN q.freed_at ELSE clock_timestamp() END
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::text[], $6::bigint[], $7::integer[], $8::bigint[],
	$9::text[], $10::bigint[], $11::timestamptz[])
	AS u (key, revision, concurrency_limit, max_queued, overflow, queue_timeout_ms, max_attempts, retry_delay_ms,
		retry_placement, last_sequence, last_queued_at)
WHERE q.key = u.key`

// queueLines stores the locked queues that changed.
func queueLines(batch *pgx.Batch, lines []*line) {
	var c lineValues
	for _, l := range lines {
		if l.changed {
			c.add(l)
		}
	}
	if len(c.keys) > 0 {
		batch.Queue(updateLinesSQL, c.keys, c.revisions, c.limits, c.bounds, c.overflows, c.timeouts, c.attempts, c.delays,
			c.placements, c.last, c.queuedAt)
	}
}

// lineValues are lines as columns.
type lineValues struct {
	keys                              []attune.QueueKey
	overflows                         []attune.Overflow
	placements                        []attune.RetryPlacement
	limits, bounds, attempts          []int
	revisions, timeouts, delays, last []int64
	queuedAt                          []*time.Time
}

func (c *lineValues) add(l *line) {
	p := l.policy
	c.keys = append(c.keys, l.key)
	c.revisions = append(c.revisions, p.Revision)
	c.limits = append(c.limits, p.Limit)
	c.bounds = append(c.bounds, p.MaxQueued)
	c.overflows = append(c.overflows, p.Overflow)
	c.timeouts = append(c.timeouts, milliseconds(p.QueueTimeout))
	c.attempts = append(c.attempts, p.Retry.MaxAttempts)
	c.delays = append(c.delays, milliseconds(p.Retry.Delay))
	c.placements = append(c.placements, p.Retry.Placement)
	c.last = append(c.last, l.lastSequence)
	c.queuedAt = append(c.queuedAt, orNullTime(l.lastQueuedAt))
}
