package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/attune-go/attune"
)

// Config says where the database is and how it is used.
type Config struct {
	// URL is a connection URL or keyword/value string as libpq reads it, including pgxpool's pool_ settings.
	URL string
	// MaxConns is the maximum size of the pool. With 0, pool_max_conns of the URL applies, or else 16. A process with all roles
	// needs no more than 16, and six such processes fit into PostgreSQL's default max_connections of 100. [Outbox.Lead] uses
	// one more connection outside the pool.
	MaxConns int32
	// Logger receives problems that no call returns as an error; nil discards them.
	Logger *slog.Logger
	// Tracer traces every statement; nil traces nothing.
	Tracer pgx.QueryTracer

	statementTimeout time.Duration // set by tests; 0 means the constant statementTimeout
}

const (
	defaultMaxConns = 16
	// connectTimeout applies when the URL has no connect_timeout.
	connectTimeout = 5 * time.Second
	// idleTransactionTimeout is when the server ends an idle transaction. Until then a lost client can hold a queue's lock.
	idleTransactionTimeout = 60 * time.Second
)

// DB is a pool of connections. The types of this package use it; each handles one noun, such as [Events] or [Queues].
type DB struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
}

// Open connects to a database and pings it. It does not migrate: see [Migrate].
//
// A malformed URL is [attune.CodeInvalid]. A database that is unreachable or refuses the connection is
// [attune.CodeUnavailable]; the error names host and port, and never the password.
func Open(ctx context.Context, config Config) (*DB, error) {
	settings, err := config.pool()
	if err != nil {
		return nil, err
	}
	db := &DB{logger: config.Logger}
	if db.logger == nil {
		db.logger = slog.New(slog.DiscardHandler)
	}
	settings.ShouldPing = db.pingIdle
	if db.pool, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	if err := db.pool.Ping(ctx); err != nil {
		db.pool.Close()
		return nil, connectError(settings.ConnConfig, err)
	}
	return db, nil
}

// pool returns the configuration of the pool.
func (c Config) pool() (*pgxpool.Config, error) {
	url, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, urlError()
	}
	settings, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, urlError()
	}
	switch _, bounded := url.RuntimeParams["pool_max_conns"]; {
	case c.MaxConns > 0:
		settings.MaxConns = c.MaxConns
	case !bounded:
		settings.MaxConns = defaultMaxConns
	}
	conn := settings.ConnConfig
	conn.Tracer = withTimeout(cmp.Or(c.statementTimeout, statementTimeout), c.Tracer)
	prepareConnConfig(conn)
	conn.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleTransactionTimeout.Milliseconds(), 10)
	settings.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		readTimesAsUTC(conn)
		return nil
	}
	return settings, nil
}

// prepareConnConfig adds the settings of every attune connection that the URL leaves open.
func prepareConnConfig(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = (&net.Dialer{KeepAliveConfig: keepAlive()}).DialContext
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "attune"
	}
}

// readTimesAsUTC makes times from the database print the same on every machine.
func readTimesAsUTC(conn *pgx.Conn) {
	types := conn.TypeMap()
	types.RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
}

// Close ends the pool. It waits for the connections in use.
func (db *DB) Close() { db.pool.Close() }

// Ping returns an error if the database does not reply.
func (db *DB) Ping(ctx context.Context) error { return wrap("ping the database", db.pool.Ping(ctx)) }

// inTx runs do in one transaction. It wraps errors with the name of the operation.
func (db *DB) inTx(ctx context.Context, operation string, do func(pgx.Tx) error) error {
	return wrap(operation, pgx.BeginFunc(ctx, db.pool, do))
}

// send runs independent statements in one transaction and one round trip: PostgreSQL treats a pipelined batch as one
// transaction. It wraps errors like inTx.
func (db *DB) send(ctx context.Context, operation string, batch *pgx.Batch) error {
	return wrap(operation, db.pool.SendBatch(ctx, batch).Close())
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// collect runs a query and returns its rows. It does not wrap errors.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// list runs the query of a page. The first two parameters of the query are "before" and the limit.
//
// Lists have optional filters ("$3 = 0 OR column = $3"). PostgreSQL plans each query for its actual values, so each filter can
// use its index; a generic plan could use none. Planning costs a millisecond.
func list[T any](
	ctx context.Context, db *DB, operation string, page attune.Page, scan pgx.RowToFunc[T], sql string, filters ...any,
) ([]T, error) {
	page = page.Normalize()
	args := append([]any{pgx.QueryExecModeCacheDescribe, page.Before, page.Limit}, filters...)
	rows, err := collect(ctx, db.pool, scan, sql, args...)
	return rows, wrap(operation, err)
}

// address returns the host and port of a database, or its socket.
func address(config *pgx.ConnConfig) string {
	if len(config.Host) > 0 && config.Host[0] == '/' {
		return config.Host
	}
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

// one runs a query that returns exactly one row. It does not wrap errors.
func one[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

const (
	// pingAfter is how long a connection may be idle before the pool pings it.
	pingAfter = time.Second
	// pingTimeout bounds that ping.
	pingTimeout = 5 * time.Second
	// statementTimeout bounds one statement including its reply. The slowest statements of attune take a second or two. A
	// statement that waits longer for a lock fails, and its caller tries again.
	statementTimeout = 30 * time.Second
)

// keepAlive detects a vanished server within half a minute. A proxy can reply in place of the server; then only the timeouts
// above help.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// pingIdle is pgxpool's ShouldPing. It pings an idle connection itself. Without a reply, the other idle connections are most
// likely lost as well, so the pool drops all of them at once.
//
// The ping continues when ctx ends, because an interrupted ping breaks the connection.
func (db *DB) pingIdle(ctx context.Context, candidate pgxpool.ShouldPingParams) bool {
	if candidate.IdleDuration < pingAfter {
		return false
	}
	err := within(context.WithoutCancel(ctx), pingTimeout, candidate.Conn.Ping)
	if pgconn.Timeout(err) {
		db.logger.WarnContext(ctx, "the database does not reply on an idle connection: the pool replaces its idle connections",
			"after", pingTimeout)
		_ = candidate.Conn.PgConn().Conn().Close() // an orderly close would wait for a reply and keep its place in the pool
		db.pool.Reset()
	}
	return err != nil // the pool then pings the closed connection and discards it
}

// timeoutTracer gives every statement a deadline.
type timeoutTracer struct{ timeout time.Duration }

// withTimeout returns a tracer that gives every statement a deadline and then calls next. next may be nil.
func withTimeout(timeout time.Duration, next pgx.QueryTracer) pgx.QueryTracer {
	if next == nil {
		return timeoutTracer{timeout}
	}
	return multitracer.New(timeoutTracer{timeout}, next)
}

// cancelKey is the context key of the function that stops a statement's timer.
type cancelKey struct{}

func (t timeoutTracer) start(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	return context.WithValue(ctx, cancelKey{}, cancel)
}

func (timeoutTracer) stop(ctx context.Context) {
	if cancel, ok := ctx.Value(cancelKey{}).(context.CancelFunc); ok {
		cancel()
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (t timeoutTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return t.start(ctx)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (t timeoutTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	t.stop(ctx)
}

// TraceBatchStart implements [pgx.BatchTracer]. The deadline covers the whole batch.
func (t timeoutTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.start(ctx)
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (timeoutTracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements [pgx.BatchTracer].
func (t timeoutTracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	t.stop(ctx)
}
