package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CheckVersion exports checkVersion.
var CheckVersion = checkVersion

// MaxConns returns the maximum size of the pool.
func (db *DB) MaxConns() int32 { return db.pool.Config().MaxConns }

// WithTiming returns the outbox with other intervals: between tries to lead, the longest wait for a notification, and between
// pings of the connection. The reply timeout is long enough for a busy machine.
func (o *Outbox) WithTiming(retry, maxWait, pingInterval time.Duration) *Outbox {
	return &Outbox{db: o.db, timing: leadTiming{
		retry: retry, maxWait: maxWait, pingInterval: pingInterval, replyTimeout: time.Minute, sessionTimeout: time.Hour,
	}}
}

// Session opens the connection of a relay.
func (o *Outbox) Session(ctx context.Context) (*pgx.Conn, error) {
	return o.session(ctx, o.timing.sessionTimeout)
}

// Conn returns a connection of the pool.
func (db *DB) Conn(ctx context.Context) (*pgxpool.Conn, error) { return db.pool.Acquire(ctx) }

// TotalConns returns the current number of connections in the pool.
func (db *DB) TotalConns() int32 { return db.pool.Stat().TotalConns() }

// WithStatementTimeout returns the configuration with another statement timeout.
func (c Config) WithStatementTimeout(limit time.Duration) Config {
	c.statementTimeout = limit
	return c
}

// SteadyClock is the clock of a sweep.
type SteadyClock struct{ steadyClock }

// At returns the time of the sweep for a time of the database and one of the process.
func (c *SteadyClock) At(database, local time.Time) time.Time { return c.at(database, local) }
