package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// The sweep deletes, up to $1 rows of each table, what is too old at the time $2. It skips what an admission has locked.
const (
	// sweepChargesSQL deletes the oldest units of limiters that were idle for longer than any window.
	sweepChargesSQL = `
WITH idle AS (
	SELECT id FROM limiters WHERE last_at < $2::timestamptz - interval '25 hours' ORDER BY last_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
DELETE FROM limiter_log g USING (
	SELECT o.limiter_id, o.n FROM idle JOIN limiter_log o ON o.limiter_id = idle.id ORDER BY o.limiter_id, o.n LIMIT $1
) old WHERE g.limiter_id = old.limiter_id AND g.n = old.n`

	sweepLimitersSQL = `
DELETE FROM limiters WHERE id IN (
	SELECT l.id FROM limiters l
	WHERE l.last_at < $2::timestamptz - interval '25 hours' AND NOT EXISTS (SELECT FROM limiter_log g WHERE g.limiter_id = l.id)
	ORDER BY l.last_at LIMIT $1 FOR UPDATE SKIP LOCKED
)`

	// sweepUsageSQL deletes a count without use soon after its period: no enforcement can give units back.
	sweepUsageSQL = `
DELETE FROM quota_usage WHERE id IN (
	SELECT id FROM quota_usage
	WHERE ends_at < $2::timestamptz - interval '400 days' OR used = 0 AND ends_at < $2::timestamptz - interval '1 hour'
	ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED
)`
)

// Sweep deletes what is too old to matter, up to limit rows of each table, and returns how many rows it deleted: the logs of rates that
// were idle for longer than any window, the counts of quotas whose periods ended more than 400 days ago, and those without use whose
// periods have ended. The units of a period that ended 400 days ago cannot be given back any more.
//
// A clock of the database that jumps ahead ages nothing: Sweep believes it only as far as time has passed in this process since the first
// Sweep. So a log that can still be inside a window when the clock is right again stays, unless the process starts while the clock
// is wrong.
func (g *Gates) Sweep(ctx context.Context, limit int) (int64, error) {
	clock, err := one(ctx, g.db.pool, pgx.RowTo[time.Time], clockSQL)
	if err != nil {
		return 0, wrap("read the clock", err)
	}
	now := g.sweeps.at(clock, time.Now())
	var deleted int64
	for _, sql := range []string{sweepChargesSQL, sweepLimitersSQL, sweepUsageSQL} {
		tag, err := g.db.pool.Exec(ctx, sql, limit, now)
		if err != nil {
			return deleted, wrap("delete old counts of rates and quotas", err)
		}
		deleted += tag.RowsAffected()
	}
	return deleted, nil
}

// steadyClock follows the database's clock as far as this process has seen time pass.
type steadyClock struct {
	mu    sync.Mutex
	first time.Time // the database's clock at the first reading; guarded by mu
	since time.Time // the process's monotonic clock then; guarded by mu
}

// at returns the earlier of the database's clock and of its first reading plus the time that has passed since. local has a monotonic
// reading.
func (c *steadyClock) at(database, local time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() {
		c.first, c.since = database, local
	}
	if passed := c.first.Add(local.Sub(c.since)); passed.Before(database) {
		return passed
	}
	return database
}
