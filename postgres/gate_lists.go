package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Gates reads what was used of rates and quotas, and deletes what is too old to matter.
type Gates struct{ db *DB }

// NewGates returns the rates and quotas of a database.
func NewGates(db *DB) *Gates { return &Gates{db: db} }

const limitersSQL = `
SELECT l.id, l.scope, l.ref, l.name, l.key, l.last_n, l.last_at FROM limiters l
WHERE l.last_n > 0 AND ($1::bigint = 0 OR l.id < $1) ORDER BY l.id DESC LIMIT $2::bigint`

// Limiters returns a page of the logs of rates, the newest log first. A log that was idle for longer than any window may be missing.
func (g *Gates) Limiters(ctx context.Context, page attune.Page) ([]attune.Limiter, error) {
	return list(ctx, g.db, "list limiters", page, func(row pgx.CollectableRow) (attune.Limiter, error) {
		l := attune.Limiter{GateID: attune.GateID{Kind: attune.GateRate}}
		var key attune.LaneName
		err := row.Scan(&l.ID, &l.Scope, &l.Ref, &l.Name, &key, &l.LastUnit, &l.LastAt)
		l.Key = keyText(key)
		return l, err
	}, limitersSQL)
}

const limiterLogSQL = `
SELECT g.n, g.units, g.at, g.rate_limit, g.window_ms FROM limiter_log g
WHERE g.limiter_id = $3 AND ($1::bigint = 0 OR g.n < $1) ORDER BY g.n DESC LIMIT $2::bigint`

// LimiterLog returns a page of the charges of a limiter, newest first, paged by the last unit. Charges that no window can contain are
// deleted. An unknown limiter has none.
func (g *Gates) LimiterLog(ctx context.Context, limiter int64, page attune.Page) ([]attune.LimiterCharge, error) {
	return list(ctx, g.db, "list charges of limiter", page, func(row pgx.CollectableRow) (attune.LimiterCharge, error) {
		var c attune.LimiterCharge
		var windowMS int64
		err := row.Scan(&c.Last, &c.Units, &c.At, &c.Limit, &windowMS)
		c.Window = fromMilliseconds(windowMS)
		return c, err
	}, limiterLogSQL, limiter)
}

const quotaUsageSQL = `
SELECT q.id, q.scope, q.ref, q.name, q.key, q.period, q.timezone, q.starts_at, q.ends_at, q.used, q.most_limit, q.updated_at
FROM quota_usage q WHERE q.most_limit > 0 AND ($1::bigint = 0 OR q.id < $1) ORDER BY q.id DESC LIMIT $2::bigint`

// QuotaUsage returns a page of the counts of quotas, newest first. The counts of periods that ended long ago are deleted.
func (g *Gates) QuotaUsage(ctx context.Context, page attune.Page) ([]attune.QuotaUsage, error) {
	return list(ctx, g.db, "list usage of quotas", page, func(row pgx.CollectableRow) (attune.QuotaUsage, error) {
		u := attune.QuotaUsage{GateID: attune.GateID{Kind: attune.GateQuota}}
		var key attune.LaneName
		err := row.Scan(&u.ID, &u.Scope, &u.Ref, &u.Name, &key, &u.Period, &u.Timezone, &u.StartsAt, &u.EndsAt, &u.Used, &u.Limit,
			&u.UpdatedAt)
		u.Key = keyText(key)
		return u, err
	}, quotaUsageSQL)
}

// sweepSQL deletes, up to $1 rows of each table: charges of limiters that were idle for longer than any window, limiters without
// charges, and counts of periods that ended more than 400 days ago. It skips what an admission has locked.
const (
	sweepChargesSQL = `
WITH idle AS (
	SELECT id FROM limiters WHERE last_at < now() - interval '25 hours' ORDER BY last_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM limiter_log g USING (
	SELECT o.limiter_id, o.n FROM idle JOIN limiter_log o ON o.limiter_id = idle.id ORDER BY o.limiter_id, o.n LIMIT $1
) old WHERE g.limiter_id = old.limiter_id AND g.n = old.n`

	sweepLimitersSQL = `
DELETE FROM limiters WHERE id IN (
	SELECT l.id FROM limiters l
	WHERE l.last_at < now() - interval '25 hours' AND NOT EXISTS (SELECT FROM limiter_log g WHERE g.limiter_id = l.id)
	ORDER BY l.last_at LIMIT $1 FOR UPDATE SKIP LOCKED
)`

	sweepUsageSQL = `
DELETE FROM quota_usage WHERE id IN (
	SELECT id FROM quota_usage WHERE ends_at < now() - interval '400 days' ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED
)`
)

// Sweep deletes what is too old to matter, up to limit rows of each table, and returns how many rows it deleted: the logs of rates that
// were idle for longer than any window, and the counts of quotas whose periods ended more than 400 days ago. The units of such a
// period cannot be given back any more.
func (g *Gates) Sweep(ctx context.Context, limit int) (int64, error) {
	var deleted int64
	for _, sql := range []string{sweepChargesSQL, sweepLimitersSQL, sweepUsageSQL} {
		tag, err := g.db.pool.Exec(ctx, sql, limit)
		if err != nil {
			return deleted, wrap("delete old counts of rates and quotas", err)
		}
		deleted += tag.RowsAffected()
	}
	return deleted, nil
}
