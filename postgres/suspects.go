package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Leak is a slot that is held without an execution that could give it back.
type Leak struct {
	Queue       attune.QueueKey
	Enforcement attune.EnforcementID
	Sequence    int64
	GrantedAt   time.Time
	Execution   attune.ExecutionID     // 0: there is none
	Status      attune.ExecutionStatus // how the execution ended; empty: there is none
}

const leaksSQL = `
SELECT e.queue_key, e.id, e.sequence, e.granted_at, COALESCE(x.id, 0), COALESCE(x.status, '')
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.status = 'granted' AND (x.id IS NULL OR x.finished_at IS NOT NULL)
	AND e.granted_at <= clock_timestamp() - $1::interval
ORDER BY e.queue_key, e.grant_number`

// Leaks returns the enforcements that were granted at least olderThan ago, and still count as holding a slot although
// their execution has ended or was never made. The transactions of this package leave none behind.
func (q *Queues) Leaks(ctx context.Context, olderThan time.Duration) ([]Leak, error) {
	leaks, err := collect(ctx, q.db.pool, scanLeak, leaksSQL, olderThan)
	return leaks, wrap("look for leaks", err)
}

func scanLeak(row pgx.CollectableRow) (Leak, error) {
	var l Leak
	err := row.Scan(&l.Queue, &l.Enforcement, &l.Sequence, &l.GrantedAt, &l.Execution, &l.Status)
	return l, err
}

// Stall is a queue that could let somebody run and does not.
type Stall struct {
	Queue         attune.QueueKey
	Limit         int // in force
	Active        int64
	Waiting       int64
	LastGrantAt   *time.Time // by the database's clock; nil: it never granted anything
	OldestWaiting time.Time  // when the first in line was accepted
}

// stallsSQL counts like statsColumns. The time in which a queue has done nothing begins with the last thing after which
// it could have granted: a grant before, the arrival of the first in line, a slot or limit that became free (freed_at),
// or the end of a limit set by hand.
const stallsSQL = `
WITH busy AS (
	SELECT q.key, COALESCE(` + overrideInForce + `, q.concurrency_limit) AS in_force, q.freed_at,
		CASE WHEN q.override_until <= clock_timestamp() THEN q.override_until END AS ran_out_at,
		(SELECT count(*) FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'granted') AS active,
		(SELECT count(*) FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'queued') AS waiting,
		(SELECT g.requested_at FROM grants g WHERE g.queue_key = q.key ORDER BY g.number DESC LIMIT 1) AS last_grant_at,
		(SELECT e.queued_at FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'queued'
			ORDER BY e.sequence LIMIT 1) AS oldest_waiting
	FROM queues q WHERE q.mode <> 'paused'
)
SELECT key, in_force, active, waiting, last_grant_at, oldest_waiting FROM busy
WHERE waiting > 0 AND active < in_force
	AND GREATEST(last_grant_at, oldest_waiting, freed_at, ran_out_at) <= clock_timestamp() - $1::interval
ORDER BY key`

// Stalls returns the queues that for at least idle have had somebody waiting and a slot free, are not paused, and have
// granted nothing.
func (q *Queues) Stalls(ctx context.Context, idle time.Duration) ([]Stall, error) {
	stalls, err := collect(ctx, q.db.pool, scanStall, stallsSQL, idle)
	return stalls, wrap("look for stalled queues", err)
}

func scanStall(row pgx.CollectableRow) (Stall, error) {
	var s Stall
	err := row.Scan(&s.Queue, &s.Limit, &s.Active, &s.Waiting, &s.LastGrantAt, &s.OldestWaiting)
	return s, err
}
