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
	// MaxConns bounds the pool. 0 leaves it to pool_max_conns of the URL, or else to 16: enough for a process with all
	// roles, and six of them stay under PostgreSQL's usual max_connections of 100. [Outbox.Lead] has a connection of its
	// own, outside the pool.
	MaxConns int32
	// Logger gets what is not an error of a caller; nil discards it.
	Logger *slog.Logger
	// Tracer sees every statement; nil traces nothing.
	Tracer pgx.QueryTracer

	statementLimit time.Duration // of tests; 0: statementLimit
}

const (
	defaultMaxConns = 16
	// connectTimeout applies where the URL has no connect_timeout.
	connectTimeout = 5 * time.Second
	// abandonedTransaction is when the server ends a transaction whose client has gone silent: until then it may hold a
	// queue's lock.
	abandonedTransaction = 60 * time.Second
)

// DB is a pool of connections. The types of this package that answer for one noun each are made from it.
type DB struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
}

// Open connects to a database and checks that it answers. It does not migrate: see [Migrate].
//
// A malformed URL is [attune.CodeInvalid]. A database that cannot be reached or refuses the connection is
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
	settings.ShouldPing = db.replaceSilent
	if db.pool, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	if err := db.pool.Ping(ctx); err != nil {
		db.pool.Close()
		return nil, connectError(settings.ConnConfig, err)
	}
	return db, nil
}

// pool is the configuration of the pool.
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
	conn.Tracer = withClock(cmp.Or(c.statementLimit, statementLimit), c.Tracer)
	prepareConnConfig(conn)
	conn.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(abandonedTransaction.Milliseconds(), 10)
	settings.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		readTimesAsUTC(conn)
		return nil
	}
	return settings, nil
}

// prepareConnConfig fills in what every connection of attune has and the URL did not say.
func prepareConnConfig(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = (&net.Dialer{KeepAliveConfig: keepAlive()}).DialContext
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "attune"
	}
}

// readTimesAsUTC makes the times that come from the database print alike on every machine.
func readTimesAsUTC(conn *pgx.Conn) {
	types := conn.TypeMap()
	types.RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
}

// Close ends the pool. It waits for the connections in use.
func (db *DB) Close() { db.pool.Close() }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return wrap("ping the database", db.pool.Ping(ctx)) }

// inTx runs do in one transaction. What it returns is wrapped with what was being done.
func (db *DB) inTx(ctx context.Context, what string, do func(pgx.Tx) error) error {
	return wrap(what, pgx.BeginFunc(ctx, db.pool, do))
}

// send runs statements that need nothing from each other in one transaction and one round trip: statements that are sent
// together are one transaction to PostgreSQL. Errors are wrapped like those of inTx.
func (db *DB) send(ctx context.Context, what string, batch *pgx.Batch) error {
	return wrap(what, db.pool.SendBatch(ctx, batch).Close())
}

// querier is what a pool and a transaction share.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// collect runs a query and returns its rows. Errors are not wrapped yet.
func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// list runs the query of a page, whose two first parameters are "before" and the limit.
//
// Lists have optional filters ("$3 = ” OR column = $3"). They are planned for their values every time, which costs a
// millisecond and lets each filter use its index; a plan made once for all values could use none.
func list[T any](
	ctx context.Context, db *DB, what string, page attune.Page, scan pgx.RowToFunc[T], sql string, filters ...any,
) ([]T, error) {
	page = page.Normalize()
	args := append([]any{pgx.QueryExecModeCacheDescribe, page.Before, page.Limit}, filters...)
	rows, err := collect(ctx, db.pool, scan, sql, args...)
	return rows, wrap(what, err)
}

// address is the host and port of a database, or its socket.
func address(config *pgx.ConnConfig) string {
	if len(config.Host) > 0 && config.Host[0] == '/' {
		return config.Host
	}
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

// one runs a query that returns one row.
func one[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

const (
	// idlePing is how long a connection may rest in the pool and still be used without a question.
	idlePing = time.Second
	// pingLimit is how long the server may take to answer that question.
	pingLimit = 5 * time.Second
	// statementLimit is how long one statement may take, its answer included. The longest that attune sends takes a second or
	// two; one that waits for a lock does so for abandonedTransaction at most, and callers try again.
	statementLimit = 30 * time.Second
)

// keepAlive ends a connection whose server has vanished without a word within half a minute. It does not help where a proxy
// answers for the server: limits on what may take how long do.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// replaceSilent is pgxpool's ShouldPing: it asks a connection that has rested for a while itself. When no answer comes, the
// connections beside it are as silent, most likely, so the pool drops all that rest instead of asking one after the other.
//
// The question goes on when ctx ends: a connection whose question is broken off is lost.
func (db *DB) replaceSilent(ctx context.Context, candidate pgxpool.ShouldPingParams) bool {
	if candidate.IdleDuration < idlePing {
		return false
	}
	err := within(context.WithoutCancel(ctx), pingLimit, candidate.Conn.Ping)
	if pgconn.Timeout(err) {
		db.logger.WarnContext(ctx, "the database is silent on a connection, the pool opens new ones", "after", pingLimit)
		_ = candidate.Conn.PgConn().Conn().Close() // a goodbye would wait for an answer, too, and keep a place in the pool
		db.pool.Reset()
	}
	return err != nil // then the connection is closed, and the pool finds that out by asking once more
}

// clock gives every statement a deadline, and hands the statement on to what else traces it.
type clock struct{ limit time.Duration }

// withClock returns a tracer that gives statements a deadline. next may be nil.
func withClock(limit time.Duration, next pgx.QueryTracer) pgx.QueryTracer {
	if next == nil {
		return clock{limit}
	}
	return multitracer.New(clock{limit}, next)
}

type stopKey struct{}

func (c clock) start(ctx context.Context) context.Context {
	ctx, stop := context.WithTimeout(ctx, c.limit)
	return context.WithValue(ctx, stopKey{}, stop)
}

func (clock) stop(ctx context.Context) {
	if stop, ok := ctx.Value(stopKey{}).(context.CancelFunc); ok {
		stop()
	}
}

// TraceQueryStart implements [pgx.QueryTracer].
func (c clock) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return c.start(ctx)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (c clock) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { c.stop(ctx) }

// TraceBatchStart implements [pgx.BatchTracer]. The deadline is for the whole batch.
func (c clock) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return c.start(ctx)
}

// TraceBatchQuery implements [pgx.BatchTracer].
func (clock) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements [pgx.BatchTracer].
func (c clock) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { c.stop(ctx) }
