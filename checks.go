package attune

import "time"

// Stall is a queue that has a free slot and a waiting enforcement, and does not grant it.
type Stall struct {
	Queue         QueueKey
	Limit         int        // the limit in force
	Active        int64      // slots held
	Waiting       int64      // enforcements in line
	LastGrantAt   *time.Time // by the database's clock; nil before the first grant of the queue
	OldestWaiting time.Time  // when the first enforcement in line was admitted, by the database's clock
}

// Leak is a held slot that no execution will give back: the execution does not exist, has ended, or has a next attempt that is
// overdue and was not requested.
type Leak struct {
	Queue       QueueKey
	Enforcement EnforcementID
	Sequence    int64
	GrantedAt   time.Time       // by the queue's clock
	Execution   ExecutionID     // 0 when no execution exists
	Status      ExecutionStatus // a terminal status or retrying; empty when no execution exists
}

// Unadmitted counts the enforcements of a queue that were recorded and have not reached their queue, although the outbox has
// published their messages.
type Unadmitted struct {
	Queue  QueueKey
	Count  int64
	Oldest EnforcementID // the enforcement that was recorded first
	Since  time.Time     // when it was recorded, by the database's clock
}

// Overdue is an execution that waits too long for a worker to claim it, or runs longer than its timeout allows.
type Overdue struct {
	Queue           QueueKey
	Enforcement     EnforcementID
	Execution       ExecutionID
	Attempt         int             // from 1
	Status          ExecutionStatus // requested or running
	Worker          string          // empty before a worker has claimed the attempt
	Pool            string
	Since           time.Time // when the attempt was requested or, once claimed, started; by the database's clock
	Timeout         Duration  // of one attempt
	CancelRequested bool
}

// ManualOverride is a queue that a person has paused or set to drain, or whose limit a person has set.
type ManualOverride struct {
	Queue    QueueKey
	Mode     QueueMode
	ModeBy   *QueueChange   // the change that set Mode; nil when the queue is open
	Override *LimitOverride // nil when the policy's limit is in force
	LimitBy  *QueueChange   // the change that set Override; nil when Override is nil
}

// ParkedCount is the number of parked enforcements of a queue.
type ParkedCount struct {
	Queue  QueueKey
	Count  int64
	Oldest EnforcementID // the enforcement that was recorded first
}

// OutboxBacklog counts the outbox rows that are not yet published.
type OutboxBacklog struct {
	Rows   int64
	Oldest time.Duration // age of the oldest row; 0 without rows
}

// DatabaseSchema says which version the database server has, and which version its tables have.
type DatabaseSchema struct {
	Server  string // version of the database server
	Version int64  // version of the tables; 0 before the first migration
	Newest  int64  // newest version of the tables that this program knows
}
