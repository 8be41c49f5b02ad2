package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

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
