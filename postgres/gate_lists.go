package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Gates reads what was used of rates and quotas, and deletes what is too old to matter.
type Gates struct {
	db     *DB
	sweeps steadyClock
}

// NewGates returns the rates and quotas of a database.
func NewGates(db *DB) *Gates { return &Gates{db: db} }

// gatesOfScope selects the limiters or counts g of a [attune.GateFilter].
const gatesOfScope = `($3::text = '' OR g.scope = $3 AND g.ref = $4)`

const limitersSQL = `
SELECT g.id, g.scope, g.ref, g.name, g.key, g.last_n, g.last_at FROM limiters g
WHERE g.last_n > 0 AND ($1::bigint = 0 OR g.id < $1) AND ` + gatesOfScope + ` ORDER BY g.id DESC LIMIT $2::bigint`

// Limiters returns a page of the logs of rates, the newest log first. A log that was idle for longer than any window may be missing.
func (g *Gates) Limiters(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.Limiter, error) {
	return list(ctx, g.db, "list limiters", page, func(row pgx.CollectableRow) (attune.Limiter, error) {
		l := attune.Limiter{GateID: attune.GateID{Kind: attune.GateRate}}
		var key attune.LaneName
		err := row.Scan(&l.ID, &l.Scope, &l.Ref, &l.Name, &key, &l.LastUnit, &l.LastAt)
		l.Key = keyText(key)
		return l, err
	}, limitersSQL, filter.Scope, filter.Ref)
}

const chargeSelect = `SELECT c.id, c.limiter_id, c.n, c.units, c.at, c.rate_limit, c.window_ms FROM limiter_log c`

const limiterLogSQL = chargeSelect + `
WHERE c.limiter_id = $3 AND ($1::bigint = 0 OR c.n < $1) ORDER BY c.n DESC LIMIT $2::bigint`

// LimiterLog returns a page of the charges of a limiter, newest first, paged by the last unit. Charges that no window can contain are
// deleted. An unknown limiter has none.
func (g *Gates) LimiterLog(ctx context.Context, limiter int64, page attune.Page) ([]attune.LimiterCharge, error) {
	return list(ctx, g.db, "list charges of limiter", page, scanCharge, limiterLogSQL, limiter)
}

const limiterChargesSQL = chargeSelect + ` JOIN limiters g ON g.id = c.limiter_id
WHERE ($1::bigint = 0 OR c.id < $1) AND ` + gatesOfScope + ` ORDER BY c.id DESC LIMIT $2::bigint`

// LimiterCharges returns a page of the charges of all limiters that filter selects, newest first, paged by the id of the charge.
func (g *Gates) LimiterCharges(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.LimiterCharge, error) {
	return list(ctx, g.db, "list charges of limiters", page, scanCharge, limiterChargesSQL, filter.Scope, filter.Ref)
}

func scanCharge(row pgx.CollectableRow) (attune.LimiterCharge, error) {
	var c attune.LimiterCharge
	var windowMS int64
	err := row.Scan(&c.ID, &c.Limiter, &c.Last, &c.Units, &c.At, &c.Limit, &windowMS)
	c.Window = fromMilliseconds(windowMS)
	return c, err
}

const quotaUsageSQL = `
SELECT g.id, g.scope, g.ref, g.name, g.key, g.period, g.timezone, g.starts_at, g.ends_at, g.used, g.most_limit, g.updated_at
FROM quota_usage g
WHERE g.most_limit > 0 AND ($1::bigint = 0 OR g.id < $1) AND ` + gatesOfScope + ` ORDER BY g.id DESC LIMIT $2::bigint`

// QuotaUsage returns a page of the counts of quotas, newest first. The counts of periods that ended long ago, or without use, are deleted.
func (g *Gates) QuotaUsage(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.QuotaUsage, error) {
	return list(ctx, g.db, "list usage of quotas", page, func(row pgx.CollectableRow) (attune.QuotaUsage, error) {
		u := attune.QuotaUsage{GateID: attune.GateID{Kind: attune.GateQuota}}
		var key attune.LaneName
		err := row.Scan(&u.ID, &u.Scope, &u.Ref, &u.Name, &key, &u.Period, &u.Timezone, &u.StartsAt, &u.EndsAt, &u.Used, &u.MostLimit,
			&u.UpdatedAt)
		u.Key = keyText(key)
		return u, err
	}, quotaUsageSQL, filter.Scope, filter.Ref)
}
