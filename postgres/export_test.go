package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CheckVersion is checkVersion.
var CheckVersion = checkVersion

// MaxConns is how many connections the pool may have.
func (db *DB) MaxConns() int32 { return db.pool.Config().MaxConns }

// WithTiming returns the outbox with shorter waits: between tries to lead, for a notification, and before the connection
// is tested. A test of the connection has all the time that a busy machine may need.
func (o *Outbox) WithTiming(retry, patience, probe time.Duration) *Outbox {
	return &Outbox{db: o.db, timing: leadTiming{
		retry: retry, patience: patience, probe: probe, answer: time.Minute, silence: time.Hour,
	}}
}

// Session opens the connection of a relay.
func (o *Outbox) Session(ctx context.Context) (*pgx.Conn, error) {
	return o.session(ctx, o.timing.silence)
}

// Conn returns a connection of the pool.
func (db *DB) Conn(ctx context.Context) (*pgxpool.Conn, error) { return db.pool.Acquire(ctx) }

// TotalConns is how many connections the pool has now.
func (db *DB) TotalConns() int32 { return db.pool.Stat().TotalConns() }

// WithStatementLimit returns the configuration with another limit for one statement.
func (c Config) WithStatementLimit(limit time.Duration) Config {
	c.statementLimit = limit
	return c
}
