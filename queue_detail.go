package attune

import "time"

// QueueDetail is one queue in detail, as its rows tell it. All of it is of one instant.
type QueueDetail struct {
	At       time.Time // the instant, by the database's clock
	Stats    QueueStats
	Override *LimitOverride // the limit set by hand, while it is in force
	Policy   QueuePolicy    // in force, as the queue was last told
	Holders  []SlotHolder   // in the order of their grants, up to [MaxSlotHolders]
	Waiting  []Waiter       // the first in line, as many as were asked for
	Parked   int64          // those that wait for a person, and neither hold a slot nor stand in line
	Latest   []LoggedGrant  // the latest [EstimateGrants] grants, newest first
	Released Releases
}

// MaxSlotHolders bounds the holders of a [QueueDetail].
const MaxSlotHolders = 500

// SlotHolder is an enforcement that holds a slot, and the execution that it holds it for. Its times are by the database's
// clock, but for GrantedAt.
type SlotHolder struct {
	Enforcement     EnforcementID
	Sequence        int64
	GrantNumber     int64
	GrantedAt       time.Time   // the queue's clock
	HeldSince       time.Time   // from here on the slot counts as active, over all attempts
	Execution       ExecutionID // 0: there is none, which is a leak
	Attempt         int         // from 1; 0 without an execution
	Status          ExecutionStatus
	Worker          string // empty before one has claimed it
	Pool            string
	RequestedAt     *time.Time // of the attempt
	StartedAt       *time.Time // of the attempt; nil before a worker has claimed it
	LeaseUntil      *time.Time // of the attempt, while it runs: when it counts as lost unless its worker renews it
	Timeout         Duration   // of the attempt, from StartedAt
	CancelRequested *time.Time
	AttemptStatus   ExecutionStatus // how the attempt has ended, while it is retrying
	RetryAt         *time.Time      // when the next one may start, while it is retrying
}

// Waiter is an enforcement that waits in its queue.
type Waiter struct {
	Enforcement EnforcementID
	Sequence    int64
	QueuedAt    time.Time // the database's clock
	Attempt     int       // the attempt that the enforcement waits for, from 1
}

// Releases is what the log of grants says about slots that were given back.
type Releases struct {
	LastMinute, LastFiveMinutes, LastHour int64 // given back in that time
	// P50 and P95 are how long the latest slots were held: Sample of them, given back since Since.
	P50, P95 time.Duration
	Sample   int64
	Since    *time.Time // the database's clock; nil without a sample
}

// QueueGauge is how full a queue is, and whether it does its work.
type QueueGauge struct {
	Queue      QueueKey
	Limit      int // in force
	Active     int64
	Waiting    int64
	OldestWait time.Duration // of the first in line; 0 while the line is empty
	Stalled    bool          // a [Stall]
}
