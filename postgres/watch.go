package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Reading is one measurement of all queues.
type Reading struct {
	Queues []attune.QueueGauge // with Stalled as defined by [Queues.Stalls]
	Leaked int64               // leaked slots in all queues, as defined by [Queues.Leaks]
}

const gaugesSQL = countedQueues + `
SELECT key, in_force, active, waiting,
	COALESCE(extract(epoch FROM clock_timestamp() - oldest_waiting), 0)::double precision, stalled
FROM judged ORDER BY key`

const countLeaksSQL = `SELECT count(*)` + fromLeaked

// watchLock is the advisory lock of the watching process.
const watchLock int64 = 0x61747475_6e650003

// readingTimeout bounds one reading, so that metrics add little load to a slow database.
const readingTimeout = 10 * time.Second

// Watch reads all queues at the given interval and passes each reading to observe, until ctx ends. Among the processes that
// call Watch, only the holder of an advisory lock reads; each of the others tries to get the lock at the same interval. A queue
// counts as stalled, and a slot as leaked, after threshold.
//
// When a reading fails or the lock is lost, Watch passes nil to observe: the previous reading is no longer valid. Readings use
// the connection that holds the lock, so a process without the lock cannot read.
func (q *Queues) Watch(ctx context.Context, interval, threshold time.Duration, observe func(*Reading)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if err := q.watch(ctx, interval, threshold, observe); err != nil && ctx.Err() == nil {
			q.db.logger.WarnContext(ctx, "cannot read the queues for metrics", "error", err)
		}
		observe(nil)
		timer.Reset(interval)
	}
}

// watch returns nil when another process holds the lock or ctx ends, and an error when a reading fails. Its connection is
// outside the pool, like the relay's. The server ends the connection when this machine is lost, which frees the lock.
func (q *Queues) watch(ctx context.Context, interval, threshold time.Duration, observe func(*Reading)) error {
	outbox := NewOutbox(q.db)
	conn, err := outbox.connect(ctx)
	if err != nil {
		return err
	}
	defer outbox.disconnect(ctx, conn)
	acquired, err := one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, watchLock)
	if err != nil || !acquired {
		return wrap("acquire the lock for reading metrics", err)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		var reading *Reading
		err := within(ctx, readingTimeout, func(ctx context.Context) (err error) {
			reading, err = readGauges(ctx, conn, threshold)
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

func readGauges(ctx context.Context, q querier, threshold time.Duration) (*Reading, error) {
	queues, err := collect(ctx, q, scanGauge, gaugesSQL, threshold)
	if err != nil {
		return nil, err
	}
	leaked, err := one(ctx, q, pgx.RowTo[int64], countLeaksSQL, threshold)
	return &Reading{Queues: queues, Leaked: leaked}, err
}

func scanGauge(row pgx.CollectableRow) (attune.QueueGauge, error) {
	var g attune.QueueGauge
	var oldest float64
	err := row.Scan(&g.Queue, &g.Limit, &g.Active, &g.Waiting, &oldest, &g.Stalled)
	g.OldestWait = max(0, seconds(oldest))
	return g, err
}
