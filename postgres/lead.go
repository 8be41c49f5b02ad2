package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// leadLock is the advisory lock that the one relay holds.
const leadLock int64 = 0x61747475_6e650002

// leadTiming says how long the relay waits for what.
type leadTiming struct {
	retry    time.Duration // between two tries to get the lock
	patience time.Duration // the longest wait for a notification: rows are found after it even if one is lost
	probe    time.Duration // silence after which the connection is tested
	answer   time.Duration // how long a test or a goodbye may take
}

func defaultLeadTiming() leadTiming {
	return leadTiming{retry: time.Second, patience: 5 * time.Second, probe: 5 * time.Second, answer: 5 * time.Second}
}

// Lead runs lead while this session is the only relay of the outbox: it waits until it holds the relay's lock, on a
// connection of its own, and gives the lock back when lead returns. In lead, wait returns when rows may have been added,
// after 5 s at the latest, and immediately if that happened since the last wait; it fails when lead must end.
//
// The context of lead is cancelled when the connection is lost, because another session may then be the relay. The two
// can overlap for a moment, so publishing is at least once. Lead returns what lead returned, or the loss of the
// connection as [attune.CodeUnavailable]; calling it again competes for the lock again.
//
// Sessions that wait ask for the lock once a second instead of blocking on it: a blocked statement would keep vacuum from
// removing dead rows for as long as another session leads.
func (o *Outbox) Lead(
	ctx context.Context, lead func(ctx context.Context, wait func(context.Context) error) error,
) error {
	conn, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer o.disconnect(ctx, conn)
	if err := o.acquire(ctx, conn); err != nil {
		return wrap("become the relay of the outbox", err)
	}
	leading, end := context.WithCancelCause(ctx)
	bell := &bell{conn: conn, timing: o.timing, rung: make(chan struct{}, 1)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		end(bell.listen(leading))
	}()
	err = lead(leading, func(ctx context.Context) error { return bell.wait(ctx, leading) })
	end(context.Canceled)
	<-stopped
	if lost := context.Cause(leading); ctx.Err() == nil && !errors.Is(lost, context.Canceled) &&
		(err == nil || errors.Is(err, context.Canceled)) {
		return lost
	}
	return err
}

// connect opens the relay's own connection. The server ends it when this machine is gone, which frees the lock.
func (o *Outbox) connect(ctx context.Context) (*pgx.Conn, error) {
	config := o.db.pool.Config().ConnConfig
	config.Tracer = nil
	config.RuntimeParams["tcp_keepalives_idle"] = "10"
	config.RuntimeParams["tcp_keepalives_interval"] = "5"
	config.RuntimeParams["tcp_keepalives_count"] = "3"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(config, err)
	}
	return conn, nil
}

// disconnect says goodbye, also when ctx has ended: the lock is free as soon as the server hears it.
func (o *Outbox) disconnect(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.timing.answer)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		o.db.logger.Warn("close the relay's connection", "error", err)
	}
}

const (
	tryLeadSQL      = `SELECT pg_try_advisory_lock($1)`
	listenOutboxSQL = `LISTEN ` + outboxChannel
)

// acquire returns when this session holds the relay's lock and listens.
func (o *Outbox) acquire(ctx context.Context, conn *pgx.Conn) error {
	for {
		acquired, err := one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, leadLock)
		if err != nil {
			return err
		}
		if acquired {
			_, err := conn.Exec(ctx, listenOutboxSQL)
			return err
		}
		select {
		case <-time.After(o.timing.retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bell rings when rows were added to the outbox. It alone uses its connection.
type bell struct {
	conn   *pgx.Conn
	timing leadTiming
	rung   chan struct{} // holds at most one ring: however many there were, there is one thing to do
}

// listen rings until ctx ends, or until the connection is lost, which is what it then returns. A server that vanished
// without a word is noticed by testing the connection after a silence.
func (b *bell) listen(ctx context.Context) error {
	for {
		err := within(ctx, b.timing.probe, func(ctx context.Context) error {
			_, err := b.conn.WaitForNotification(ctx)
			return err
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err == nil:
			select {
			case b.rung <- struct{}{}:
			default:
			}
			continue
		case pgconn.Timeout(err):
			err = within(ctx, b.timing.answer, b.conn.Ping)
		}
		if err != nil && ctx.Err() == nil {
			return wrap("listen to the outbox", err)
		}
	}
}

// wait returns when the bell rings or after a while; it fails when ctx or the lead ends.
func (b *bell) wait(ctx, leading context.Context) error {
	select {
	case <-b.rung:
		return nil
	case <-time.After(b.timing.patience):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-leading.Done():
		return context.Cause(leading)
	}
}

// within runs do with a deadline of its own.
func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}
