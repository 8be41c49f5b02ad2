package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Reading is every queue, and how many slots are leaked in all of them.
type Reading struct {
	Queues []attune.QueueGauge // stalled as [Queues.Stalls] has it
	Leaked int64               // as [Queues.Leaks] has it
}

const gaugesSQL = countedQueues + `
SELECT key, in_force, active, waiting,
	COALESCE(extract(epoch FROM clock_timestamp() - oldest_waiting), 0)::double precision, stalled
FROM judged ORDER BY key`

const countLeaksSQL = `SELECT count(*)` + leaked

// watchLock is the advisory lock of the one that watches.
const watchLock int64 = 0x61747475_6e650003

// watchPatience bounds one reading: a database that takes longer has other worries.
const watchPatience = 10 * time.Second

// Watch hands a reading of all queues to observe, every so often, while this process is the only one that does, until ctx
// ends. However many processes watch, the database is read by one of them; the others ask for its place as often. Queues
// count as stalled, and slots as leaked, after patience.
//
// When a reading fails or the place is lost, observe gets nil: what it was told last is true no longer. The readings are
// made on the connection that holds the lock, so whoever reads has the place.
func (q *Queues) Watch(ctx context.Context, every, patience time.Duration, observe func(*Reading)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if err := q.watch(ctx, every, patience, observe); err != nil && ctx.Err() == nil {
			q.db.logger.WarnContext(ctx, "the queues could not be read for metrics", "error", err)
		}
		observe(nil)
		timer.Reset(every)
	}
}

// watch returns nil when another process watches, and otherwise when it cannot go on. Its connection is like that of the
// relay: outside the pool, and ended by the server when this machine is gone, which frees the lock.
func (q *Queues) watch(ctx context.Context, every, patience time.Duration, observe func(*Reading)) error {
	outbox := NewOutbox(q.db)
	conn, err := outbox.connect(ctx)
	if err != nil {
		return err
	}
	defer outbox.disconnect(ctx, conn)
	acquired, err := one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, watchLock)
	if err != nil || !acquired {
		return wrap("ask to be the one that watches", err)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		var reading *Reading
		err := within(ctx, watchPatience, func(ctx context.Context) (err error) {
			reading, err = readGauges(ctx, conn, patience)
			return err
		})
		if err != nil {
			return wrap("read the queues", err)
		}
		observe(reading)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func readGauges(ctx context.Context, q querier, patience time.Duration) (*Reading, error) {
	queues, err := collect(ctx, q, scanGauge, gaugesSQL, patience)
	if err != nil {
		return nil, err
	}
	leaked, err := one(ctx, q, pgx.RowTo[int64], countLeaksSQL, patience)
	return &Reading{Queues: queues, Leaked: leaked}, err
}

func scanGauge(row pgx.CollectableRow) (attune.QueueGauge, error) {
	var g attune.QueueGauge
	var oldest float64
	err := row.Scan(&g.Queue, &g.Limit, &g.Active, &g.Waiting, &oldest, &g.Stalled)
	g.OldestWait = max(0, seconds(oldest))
	return g, err
}
