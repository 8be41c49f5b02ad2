package postgres

import "time"

// CheckVersion is checkVersion.
var CheckVersion = checkVersion

// MaxConns is how many connections the pool may have.
func (db *DB) MaxConns() int32 { return db.pool.Config().MaxConns }

// WithTiming returns the outbox with shorter waits: between tries to lead, for a notification, and before the connection
// is tested. A test of the connection has all the time that a busy machine may need.
func (o *Outbox) WithTiming(retry, patience, probe time.Duration) *Outbox {
	return &Outbox{db: o.db, timing: leadTiming{retry: retry, patience: patience, probe: probe, answer: time.Minute}}
}
