package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// fromLeaked selects enforcements that hold a slot although no execution will give it back.
const fromLeaked = `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.status = 'granted' AND e.granted_at <= clock_timestamp() - $1::interval
	AND (x.id IS NULL OR x.finished_at IS NOT NULL
		OR x.status = 'retrying' AND COALESCE(x.retry_at <= clock_timestamp() - $1::interval, true))`

const leaksSQL = `
SELECT (SELECT q.key FROM queues q WHERE q.id = e.queue_id) AS queue, e.id, e.sequence, e.granted_at, COALESCE(x.id, 0),
	COALESCE(x.status, '')` + fromLeaked + `
ORDER BY queue, e.grant_number`

// Leaks returns the enforcements that were granted at least olderThan ago and hold a slot without need. Either the execution
// has ended or does not exist; the transactions of this package never leave that behind. Or the next attempt is overdue by at
// least olderThan; then the queue has not started it.
func (q *Queues) Leaks(ctx context.Context, olderThan time.Duration) ([]attune.Leak, error) {
	leaks, err := collect(ctx, q.db.pool, scanLeak, leaksSQL, olderThan)
	return leaks, wrap("find leaked slots", err)
}

func scanLeak(row pgx.CollectableRow) (attune.Leak, error) {
	var l attune.Leak
	err := row.Scan(&l.Queue, &l.Enforcement, &l.Sequence, &l.GrantedAt, &l.Execution, &l.Status)
	return l, err
}

// countedQueues counts every queue like statsColumns, and marks stalled queues. A queue counts as idle from the last event
// after which it could have granted: the latest grant, the arrival of the first ticket in line, a freed slot or a changed limit
// (freed_at), or the expiry of a manual limit.
const countedQueues = `
WITH counted AS MATERIALIZED (
	SELECT q.id, q.key, q.mode, q.policy, COALESCE(` + overrideInForce + `, q.concurrency_limit) AS in_force, q.freed_at,
		CASE WHEN q.override_until <= clock_timestamp() THEN q.override_until END AS ran_out_at,
		(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'granted') AS active,
		(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued') AS waiting,
		(SELECT g.requested_at FROM grants g WHERE g.queue_id = q.id ORDER BY g.number DESC LIMIT 1) AS last_grant_at,
		(SELECT e.queued_at FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued'
			ORDER BY e.sequence LIMIT 1) AS oldest_waiting
	FROM queues q WHERE q.policy_revision > 0
), judged AS (
	SELECT c.*, CASE WHEN c.mode <> 'paused' AND c.waiting > 0 AND c.active < c.in_force
		AND GREATEST(c.last_grant_at, c.oldest_waiting, c.freed_at, c.ran_out_at) <= clock_timestamp() - $1::interval
		THEN ` + hasRoom + ` ELSE false END AS stalled
	FROM counted c
)`

// hasRoom reports whether the first enforcement of some lane of queue c has room in its lane and for its action. Unless lanes pass
// each other, only the first of the line counts.
const hasRoom = `EXISTS (
	SELECT FROM (
		SELECT DISTINCT ON (e.lane) e.lane, e.action_id, e.sequence FROM enforcements e
		WHERE e.queue_id = c.id AND e.status = 'queued' ORDER BY e.lane, e.sequence
	) h
		LEFT JOIN LATERAL (SELECT p FROM json_array_elements(c.policy -> 'actions') p
			WHERE (p ->> 'action')::bigint = h.action_id) p ON true
		LEFT JOIN lanes l ON l.queue_id = c.id AND l.number = h.lane
	WHERE (c.policy ->> 'across' = 'skip' OR h.sequence = (
			SELECT min(w.sequence) FROM enforcements w WHERE w.queue_id = c.id AND w.status = 'queued'))
		AND COALESCE((SELECT count(*) FROM enforcements a WHERE a.queue_id = c.id AND a.status = 'granted' AND a.action_id = h.action_id)
			< (p.p ->> 'limit')::integer, true)
		AND COALESCE((SELECT count(*) FROM enforcements a WHERE a.queue_id = c.id AND a.status = 'granted' AND a.lane = h.lane)
			< COALESCE(` + laneOverrideInForce + `, (p.p ->> 'limit_per_key')::integer), true))`

const stallsSQL = countedQueues + `
SELECT key, in_force, active, waiting, last_grant_at, oldest_waiting FROM judged WHERE stalled ORDER BY key`

// Stalls returns the stalled queues. A queue is stalled if it is not paused, an enforcement waits that has room in the queue, in its
// lane and for its action, and the queue has granted nothing for at least idle.
func (q *Queues) Stalls(ctx context.Context, idle time.Duration) ([]attune.Stall, error) {
	stalls, err := collect(ctx, q.db.pool, scanStall, stallsSQL, idle)
	return stalls, wrap("find stalled queues", err)
}

func scanStall(row pgx.CollectableRow) (attune.Stall, error) {
	var s attune.Stall
	err := row.Scan(&s.Queue, &s.Limit, &s.Active, &s.Waiting, &s.LastGrantAt, &s.OldestWaiting)
	return s, err
}

// unadmittedSQL skips enforcements whose messages are still in the outbox: the relay will publish them.
const unadmittedSQL = `
SELECT q.key, count(*), min(e.id), min(e.created_at) FROM enforcements e JOIN queues q ON q.id = e.queue_id
WHERE e.status = 'created' AND e.created_at <= clock_timestamp() - $1::interval
	AND NOT EXISTS (SELECT FROM outbox o
		WHERE o.routing_key = 'enforcement.created' AND (o.body ->> 'enforcement_id')::bigint = e.id)
GROUP BY q.key ORDER BY q.key`

// Unadmitted counts, per queue, the enforcements that were recorded at least olderThan ago, have not reached their queue, and
// have no message in the outbox. Queues without such enforcements are left out.
func (q *Queues) Unadmitted(ctx context.Context, olderThan time.Duration) ([]attune.Unadmitted, error) {
	unadmitted, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.Unadmitted], unadmittedSQL, olderThan)
	return unadmitted, wrap("find enforcements that have not reached their queues", err)
}

const overdueSQL = `
SELECT q.key, x.enforcement_id, x.id, x.attempt, x.status, x.worker, x.pool,
	COALESCE(x.started_at, x.requested_at) AS since, x.timeout_ms, x.cancel_requested_at IS NOT NULL
FROM executions x JOIN queues q ON q.id = x.queue_id
WHERE x.status = 'running' AND x.started_at <= clock_timestamp() - x.timeout_ms * interval '1 millisecond' - $1::interval
	OR x.status = 'requested' AND x.requested_at <= clock_timestamp() - $2::interval
ORDER BY since, x.id`

// Overdue returns two kinds of executions, longest first: executions that have run for their timeout plus at least grace,
// although workers end a process at its timeout; and executions that no worker has claimed for at least untaken.
func (q *Queues) Overdue(ctx context.Context, grace, untaken time.Duration) ([]attune.Overdue, error) {
	overdue, err := collect(ctx, q.db.pool, scanOverdue, overdueSQL, grace, untaken)
	return overdue, wrap("find overdue executions", err)
}

func scanOverdue(row pgx.CollectableRow) (attune.Overdue, error) {
	var o attune.Overdue
	var timeoutMS int64
	err := row.Scan(&o.Queue, &o.Enforcement, &o.Execution, &o.Attempt, &o.Status, &o.Worker, &o.Pool, &o.Since,
		&timeoutMS, &o.CancelRequested)
	o.Timeout = fromMilliseconds(timeoutMS)
	return o, err
}

const manualOverridesSQL = `
WITH set AS (SELECT q.id, q.key, q.mode, ` + overrideInForce + ` AS override, q.override_until FROM queues q)
SELECT s.key, s.mode, s.override, s.override_until,
	COALESCE(m.principal, ''), COALESCE(m.auth_method, ''), COALESCE(m.on_behalf_of, ''), m.at, COALESCE(m.note, ''),
	COALESCE(l.principal, ''), COALESCE(l.auth_method, ''), COALESCE(l.on_behalf_of, ''), l.at, COALESCE(l.note, '')
FROM set s
	LEFT JOIN LATERAL (SELECT c.* FROM queue_changes c
		WHERE c.queue_id = s.id AND c.kind = 'mode' ORDER BY c.number DESC LIMIT 1) m ON true
	LEFT JOIN LATERAL (SELECT c.* FROM queue_changes c
		WHERE c.queue_id = s.id AND c.kind = 'limit' ORDER BY c.number DESC LIMIT 1) l ON true
WHERE s.mode <> 'open' OR s.override IS NOT NULL ORDER BY s.key`

// ManualOverrides returns the queues that are not open or have a manual limit, each with the change that set it.
func (q *Queues) ManualOverrides(ctx context.Context) ([]attune.ManualOverride, error) {
	set, err := collect(ctx, q.db.pool, scanManualOverride, manualOverridesSQL)
	return set, wrap("find queues with manual overrides", err)
}

func scanManualOverride(row pgx.CollectableRow) (attune.ManualOverride, error) {
	var o attune.ManualOverride
	var limit *int
	var until, modeAt, limitAt *time.Time
	mode, override := attune.QueueChange{Kind: attune.ChangeMode}, attune.QueueChange{Kind: attune.ChangeLimit}
	err := row.Scan(&o.Queue, &o.Mode, &limit, &until,
		&mode.Principal.Name, &mode.Principal.Method, &mode.OnBehalfOf, &modeAt, &mode.Note,
		&override.Principal.Name, &override.Principal.Method, &override.OnBehalfOf, &limitAt, &override.Note)
	o.Override = overrideOf(limit, until)
	if o.Mode != attune.QueueOpen && modeAt != nil {
		mode.At, o.ModeBy = *modeAt, &mode
	}
	if o.Override != nil && limitAt != nil {
		override.At, o.LimitBy = *limitAt, &override
	}
	return o, err
}

const parkedSQL = `
SELECT q.key, count(*), min(e.id) FROM enforcements e JOIN queues q ON q.id = e.queue_id
WHERE e.status = 'parked' GROUP BY q.key ORDER BY q.key`

// Parked counts parked enforcements per queue. Queues without parked enforcements are left out.
func (q *Queues) Parked(ctx context.Context) ([]attune.ParkedCount, error) {
	parked, err := collect(ctx, q.db.pool, pgx.RowToStructByPos[attune.ParkedCount], parkedSQL)
	return parked, wrap("count parked enforcements", err)
}
