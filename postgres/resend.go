package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const unclaimedSQL = `
SELECT x.pool, count(*) FROM executions x
WHERE x.status = 'requested' AND x.requested_at <= clock_timestamp() - $1::interval GROUP BY x.pool`

// Unclaimed returns, by pool, how many attempts have waited for a claim for at least age.
func (x *Executions) Unclaimed(ctx context.Context, age time.Duration) (map[string]int, error) {
	waiting := make(map[string]int)
	_, err := collect(ctx, x.db.pool, func(row pgx.CollectableRow) (struct{}, error) {
		var pool string
		var n int
		err := row.Scan(&pool, &n)
		waiting[pool] = n
		return struct{}{}, err
	}, unclaimedSQL, age)
	return waiting, wrap("count unclaimed executions", err)
}

// resendSQL skips locked rows: a claim, a cancel or another process is about to change them.
const resendSQL = `
WITH due AS (
	SELECT id FROM executions
	WHERE status = 'requested' AND pool = $1 AND requested_at <= clock_timestamp() - $2::interval
		AND (resent_at IS NULL OR resent_at <= clock_timestamp() - $2::interval)
	ORDER BY requested_at, id LIMIT $3::bigint FOR NO KEY UPDATE SKIP LOCKED
), resent AS (
	UPDATE executions x SET resent_at = clock_timestamp() FROM due WHERE x.id = due.id AND x.status = 'requested'
	RETURNING x.id, x.attempt, x.pool, x.enforcement_id, x.action_id, x.requested_at
)
SELECT (SELECT id::text FROM installation), r.id, r.enforcement_id, a.ref, r.attempt, r.pool
FROM resent r JOIN actions a ON a.id = r.action_id ORDER BY r.requested_at, r.id`

// Resend records that the requests of attempts are published again, and returns them: of up to limit attempts of a pool, oldest first,
// that have waited for a claim for at least age. It returns no attempt twice within age, whichever process asks.
func (x *Executions) Resend(
	ctx context.Context, pool string, age time.Duration, limit int,
) ([]attune.ExecutionRequestedMessage, error) {
	requests, err := collect(ctx, x.db.pool, func(row pgx.CollectableRow) (m attune.ExecutionRequestedMessage, err error) {
		err = row.Scan(&m.Installation, &m.Execution, &m.Enforcement, &m.Action, &m.Attempt, &m.Pool)
		return m, err
	}, resendSQL, pool, age, limit)
	return requests, wrap("send requests of executions again", err)
}
