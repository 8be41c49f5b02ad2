package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// leadLock is the advisory lock of the relay.
const leadLock int64 = 0x61747475_6e650002

// leadTiming are the intervals and timeouts of a relay's session.
type leadTiming struct {
	retry          time.Duration // between two tries to get the lock
	maxWait        time.Duration // the longest wait for a notification; then the relay reads the outbox anyway
	pingInterval   time.Duration // between two pings of the connection, also while notifications arrive
	replyTimeout   time.Duration // for one reply of the server
	sessionTimeout time.Duration // when the server ends an idle session, which frees the lock; above pingInterval + replyTimeout
}

func defaultLeadTiming() leadTiming {
	return leadTiming{
		retry: time.Second, maxWait: 5 * time.Second, pingInterval: 5 * time.Second, replyTimeout: 5 * time.Second,
		sessionTimeout: 15 * time.Second,
	}
}

// Lead runs lead while this session is the only relay of the outbox. It waits until it holds the relay's lock, on a connection
// of its own, and gives the lock back when lead returns. lead calls wait to wait for new rows. wait returns at once if rows
// were added since the last call, otherwise when rows are added, or after 5 s; it returns an error when lead must end.
//
// When the connection is lost, Lead cancels the context of lead, because another session can then become the relay. Both
// sessions can overlap for a moment, so publishing is at least once. Lead returns the error of lead, or
// [attune.CodeUnavailable] for a lost connection. The caller calls Lead again to compete for the lock again.
//
// A lost connection delays the rows by 20 s at most. This end pings the connection every 5 s and waits 5 s for the reply. The
// server ends a session that is idle for 15 s, which frees the lock, even if a proxy keeps the connection of a lost client
// open. Then another session gets the lock and reads the outbox.
//
// Waiting sessions try to get the lock once a second. A statement that blocks on the lock would keep vacuum from removing dead
// rows as long as another session leads.
func (o *Outbox) Lead(
	ctx context.Context, lead func(ctx context.Context, wait func(context.Context) error) error,
) error {
	conn, err := o.session(ctx, o.timing.sessionTimeout)
	if err != nil {
		return err
	}
	defer o.disconnect(ctx, conn)
	if err := o.acquire(ctx, conn); err != nil {
		return wrap("become the relay of the outbox", err)
	}
	leading, end := context.WithCancelCause(ctx)
	notifier := &notifier{conn: conn, timing: o.timing, pending: make(chan struct{}, 1)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		end(notifier.listen(leading))
	}()
	err = lead(leading, func(ctx context.Context) error { return notifier.wait(ctx, leading) })
	end(context.Canceled)
	<-stopped
	if pgconn.Timeout(context.Cause(leading)) {
		o.db.pool.Reset() // most likely the connections of the pool are lost as well
	}
	if lost := context.Cause(leading); ctx.Err() == nil && !errors.Is(lost, context.Canceled) &&
		(err == nil || errors.Is(err, context.Canceled)) {
		return lost
	}
	return err
}

// idleSessionTimeout is when the server ends an idle session that holds a lock.
const idleSessionTimeout = time.Minute

// connect opens a connection for a session that holds a lock and sends a statement at least twice a minute.
func (o *Outbox) connect(ctx context.Context) (*pgx.Conn, error) {
	return o.session(ctx, idleSessionTimeout)
}

// session opens a connection outside the pool. The server ends it when the client is lost or idle for idleTimeout, which frees
// its locks.
func (o *Outbox) session(ctx context.Context, idleTimeout time.Duration) (*pgx.Conn, error) {
	config := o.db.pool.Config().ConnConfig
	config.Tracer = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(config, err)
	}
	err = within(ctx, o.timing.replyTimeout, func(ctx context.Context) error { return o.setTimeouts(ctx, conn, idleTimeout) })
	if err != nil {
		o.disconnect(ctx, conn)
		return nil, wrap("prepare a session that holds a lock", err)
	}
	return conn, nil
}

// setSQL skips settings that the server does not know.
const setSQL = `
SELECT set_config(s.name, w.value, false)
FROM unnest($1::text[], $2::text[]) AS w (name, value) JOIN pg_settings s ON s.name = w.name`

// setTimeouts makes the server end the session of a lost client. Keepalives detect a lost machine or network; the idle timeout
// detects a lost client behind a proxy. If the server refuses a setting, the session works without all of them.
func (o *Outbox) setTimeouts(ctx context.Context, conn *pgx.Conn, idleTimeout time.Duration) error {
	names := []string{
		"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
		"client_connection_check_interval", "idle_session_timeout",
	}
	values := []string{"10", "5", "3", "15s", "5s", strconv.FormatInt(idleTimeout.Milliseconds(), 10)}
	_, err := conn.Exec(ctx, setSQL, names, values)
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		o.db.logger.WarnContext(ctx, "PostgreSQL refuses the timeouts of a session that holds a lock: if the connection is lost "+
			"without being closed, the session keeps its lock", "error", failure)
		return nil
	}
	return err
}

// disconnect closes the connection, even after ctx has ended: the server then frees the lock at once.
func (o *Outbox) disconnect(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.timing.replyTimeout)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		o.db.logger.Warn("cannot close the connection of a session that holds a lock", "error", err)
	}
}

const (
	tryLeadSQL      = `SELECT pg_try_advisory_lock($1)`
	listenOutboxSQL = `LISTEN ` + outboxChannel
)

// acquire waits until this session holds the relay's lock and receives notifications.
func (o *Outbox) acquire(ctx context.Context, conn *pgx.Conn) error {
	return o.untilAcquired(ctx, func() (bool, error) { return o.tryLead(ctx, conn) })
}

// untilAcquired tries to get a lock, at once and after each pause.
func (o *Outbox) untilAcquired(ctx context.Context, try func() (acquired bool, err error)) error {
	for {
		acquired, err := try()
		if err != nil || acquired {
			return err
		}
		select {
		case <-time.After(o.timing.retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryLead tries once to get the lock. If it succeeds, it subscribes to notifications.
func (o *Outbox) tryLead(ctx context.Context, conn *pgx.Conn) (acquired bool, err error) {
	err = within(ctx, o.timing.replyTimeout, func(ctx context.Context) (err error) {
		if acquired, err = one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, leadLock); err != nil || !acquired {
			return err
		}
		_, err = conn.Exec(ctx, listenOutboxSQL)
		return err
	})
	return acquired, err
}

// notifier receives notifications about new outbox rows.
type notifier struct {
	conn    *pgx.Conn // used by listen only
	timing  leadTiming
	pending chan struct{} // written by listen, read by wait; one element stands for any number of notifications
}

// listen receives notifications until ctx ends or the connection is lost, and returns that error. It pings the connection also
// while notifications arrive, because they show only that the server reaches this end.
func (n *notifier) listen(ctx context.Context) error {
	for due := time.Now().Add(n.timing.pingInterval); ; {
		err := within(ctx, time.Until(due), func(ctx context.Context) error {
			_, err := n.conn.WaitForNotification(ctx)
			return err
		})
		switch {
		case err == nil:
			n.notify()
		case pgconn.Timeout(err):
			err = nil
		}
		if err == nil && !time.Now().Before(due) {
			err = within(ctx, n.timing.replyTimeout, n.conn.Ping)
			due = time.Now().Add(n.timing.pingInterval)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return wrap("listen to the outbox", err)
		}
	}
}

func (n *notifier) notify() {
	select {
	case n.pending <- struct{}{}:
	default:
	}
}

// wait returns after a notification or after maxWait. It returns an error when ctx or leading ends.
func (n *notifier) wait(ctx, leading context.Context) error {
	select {
	case <-n.pending:
		return nil
	case <-time.After(n.timing.maxWait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-leading.Done():
		return context.Cause(leading)
	}
}

// within runs do with a timeout.
func within(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}
