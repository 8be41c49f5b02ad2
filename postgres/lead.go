package postgres

import (
	"context"
	"errors"
	"strconv"
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
	probe    time.Duration // between two tests of the connection, however many notifications come
	answer   time.Duration // how long one answer of the server may take
	silence  time.Duration // after which the server ends the session, and with it the lead; more than probe + answer
}

func defaultLeadTiming() leadTiming {
	return leadTiming{
		retry: time.Second, patience: 5 * time.Second, probe: 5 * time.Second, answer: 5 * time.Second, silence: 15 * time.Second,
	}
}

// Lead runs lead while this session is the only relay of the outbox: it waits until it holds the relay's lock, on a
// connection of its own, and gives the lock back when lead returns. In lead, wait returns when rows may have been added,
// after 5 s at the latest, and immediately if that happened since the last wait; it fails when lead must end.
//
// The context of lead is cancelled when the connection is lost, because another session may then be the relay. The two
// can overlap for a moment, so publishing is at least once. Lead returns what lead returned, or the loss of the
// connection as [attune.CodeUnavailable]; calling it again competes for the lock again.
//
// No connection is trusted for long. This end tests it every 5 s and gives it 5 s to answer; the server ends a session that it
// has not heard from for 15 s, also when a proxy in between still answers for a client that is gone. So a connection that
// is silent without being closed keeps the rows waiting for 20 s at most: until the server has freed the lock, until
// another session, or this one anew, has asked for it, and until that has read the outbox.
//
// Sessions that wait ask for the lock once a second instead of blocking on it: a blocked statement would keep vacuum from
// removing dead rows for as long as another session leads.
func (o *Outbox) Lead(
	ctx context.Context, lead func(ctx context.Context, wait func(context.Context) error) error,
) error {
	conn, err := o.session(ctx, o.timing.silence)
	if err != nil {
		return err
	}
	defer o.disconnect(ctx, conn)
	if err := o.acquire(ctx, conn); err != nil {
		return wrap("become the relay of the outbox", err)
	}
	leading, end := context.WithCancelCause(ctx)
	notifier := &notifier{conn: conn, timing: o.timing, heard: make(chan struct{}, 1)}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		end(notifier.listen(leading))
	}()
	err = lead(leading, func(ctx context.Context) error { return notifier.wait(ctx, leading) })
	end(context.Canceled)
	<-stopped
	if pgconn.Timeout(context.Cause(leading)) {
		o.db.pool.Reset() // its connections are as silent, most likely
	}
	if lost := context.Cause(leading); ctx.Err() == nil && !errors.Is(lost, context.Canceled) &&
		(err == nil || errors.Is(err, context.Canceled)) {
		return lost
	}
	return err
}

// abandonedLock is when the server ends a session that holds a lock and has said nothing since.
const abandonedLock = time.Minute

// connect opens a connection of its own for a session that holds a lock and is heard from at least twice a minute.
func (o *Outbox) connect(ctx context.Context) (*pgx.Conn, error) {
	return o.session(ctx, abandonedLock)
}

// session opens a connection that the server ends when its client is gone, which frees the locks of the session.
func (o *Outbox) session(ctx context.Context, silence time.Duration) (*pgx.Conn, error) {
	config := o.db.pool.Config().ConnConfig
	config.Tracer = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(config, err)
	}
	err = within(ctx, o.timing.answer, func(ctx context.Context) error { return o.endWhenGone(ctx, conn, silence) })
	if err != nil {
		o.disconnect(ctx, conn)
		return nil, wrap("prepare a session that holds a lock", err)
	}
	return conn, nil
}

// setSQL leaves out settings that the server does not know.
const setSQL = `
SELECT set_config(s.name, w.value, false)
FROM unnest($1::text[], $2::text[]) AS w (name, value) JOIN pg_settings s ON s.name = w.name`

// endWhenGone has the server watch its end of the connection. Keepalives notice a machine or a network that is gone, and the
// timeout of an idle session notices what a proxy hides. A server that refuses a setting does without all of them.
func (o *Outbox) endWhenGone(ctx context.Context, conn *pgx.Conn, silence time.Duration) error {
	names := []string{
		"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout",
		"client_connection_check_interval", "idle_session_timeout",
	}
	values := []string{"10", "5", "3", "15s", "5s", strconv.FormatInt(silence.Milliseconds(), 10)}
	_, err := conn.Exec(ctx, setSQL, names, values)
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		o.db.logger.WarnContext(ctx, "PostgreSQL refuses to watch its end of a connection that holds a lock: if the connection "+
			"is lost without being closed, the lock stays", "error", refusal)
		return nil
	}
	return err
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
		acquired, err := o.tryLead(ctx, conn)
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

// tryLead asks for the lock once, and listens if it gets it.
func (o *Outbox) tryLead(ctx context.Context, conn *pgx.Conn) (acquired bool, err error) {
	err = within(ctx, o.timing.answer, func(ctx context.Context) (err error) {
		if acquired, err = one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, leadLock); err != nil || !acquired {
			return err
		}
		_, err = conn.Exec(ctx, listenOutboxSQL)
		return err
	})
	return acquired, err
}

// notifier hears of rows that were added to the outbox. It alone uses its connection.
type notifier struct {
	conn   *pgx.Conn
	timing leadTiming
	heard  chan struct{} // holds at most one notification: however many there were, there is one thing to do
}

// listen passes notifications on until ctx ends, or until the connection is lost, which is what it then returns. The connection
// is tested all the time, also while notifications come: they say that the server reaches this end, not that this end reaches
// the server.
func (n *notifier) listen(ctx context.Context) error {
	for due := time.Now().Add(n.timing.probe); ; {
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
			err = within(ctx, n.timing.answer, n.conn.Ping)
			due = time.Now().Add(n.timing.probe)
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
	case n.heard <- struct{}{}:
	default:
	}
}

// wait returns after a notification or after a while; it fails when ctx or the lead ends.
func (n *notifier) wait(ctx, leading context.Context) error {
	select {
	case <-n.heard:
		return nil
	case <-time.After(n.timing.patience):
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
