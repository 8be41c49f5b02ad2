package attune

import "time"

// Stall is a queue that could grant a waiting enforcement and does not.
type Stall struct {
	Queue         QueueKey
	Limit         int // in force
	Active        int64
	Waiting       int64
	LastGrantAt   *time.Time // by the database's clock; nil: it never granted anything
	OldestWaiting time.Time  // when the first in line was accepted, by the database's clock
}

// Leak is a slot that is held without an execution that could give it back: there is none, it has ended, or its next attempt
// was due and has not been requested.
type Leak struct {
	Queue       QueueKey
	Enforcement EnforcementID
	Sequence    int64
	GrantedAt   time.Time       // the queue's clock
	Execution   ExecutionID     // 0: there is none
	Status      ExecutionStatus // how the execution ended, or retrying; empty: there is none
}

// Overdue is an execution that a worker should have claimed, or ended, before now.
type Overdue struct {
	Queue           QueueKey
	Enforcement     EnforcementID
	Execution       ExecutionID
	Attempt         int             // from 1
	Status          ExecutionStatus // requested or running
	Worker          string          // empty: none has claimed it
	Pool            string
	Since           time.Time // when it was requested, or started, by the database's clock
	Timeout         Duration
	CancelRequested bool
}

// ManualOverride is a queue whose limit a person has set by hand, or whose mode a person has set to something else than open.
type ManualOverride struct {
	Queue    QueueKey
	Mode     QueueMode
	ModeBy   *QueueChange   // the change that led there; nil: the queue is open
	Override *LimitOverride // nil: the policy's limit is in force
	LimitBy  *QueueChange   // the change that led there; nil like Override
}

// ParkedCount is how many enforcements of a queue wait for a person.
type ParkedCount struct {
	Queue  QueueKey
	Count  int64
	Oldest EnforcementID // the enforcement that was recorded first
}

// OutboxBacklog is what waits to be published.
type OutboxBacklog struct {
	Rows   int64
	Oldest time.Duration // how long the oldest has waited; 0 without rows
}

// DatabaseSchema is what a database server is, and how far its tables have been migrated.
type DatabaseSchema struct {
	Server  string // the version of the server
	Version int64  // of the tables; 0 before the first migration
	Newest  int64  // that this attune knows
}
