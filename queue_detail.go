package attune

import "time"

// QueueDetail is one queue in detail, according to its rows. All fields are read at one instant.
type QueueDetail struct {
	At       time.Time // the instant, by the database's clock
	Stats    QueueStats
	Override *LimitOverride // the manual limit; nil when the policy's limit is in force
	Policy   QueuePolicy    // the effective policy that the queue last received
	Holders  []SlotHolder   // in the order of their grants, up to [MaxSlotHolders]
	Waiting  []Waiter       // the first enforcements in line, up to the number that the caller asked for
	Parked   int64          // parked enforcements: they hold no slot and do not wait in line
	Actions  []ActionStats  // of a shared queue, in the order of their references; nil for any other queue
	Latest   []LoggedGrant  // the latest [EstimateGrants] grants, without attempts and outcomes, newest first
	// LongestLane is how many enforcements wait in the longest lane; 0 without lanes.
	LongestLane int64
	Released    Releases
}

// MaxSlotHolders bounds the holders of a [QueueDetail].
const MaxSlotHolders = 500

// SlotHolder is an enforcement that holds a slot, with its execution. All times but GrantedAt are by the database's clock.
type SlotHolder struct {
	Enforcement     EnforcementID
	Action          Ref
	Lane            int32 // see [Ticket]
	LaneName        LaneName
	Sequence        int64
	GrantNumber     int64
	GrantedAt       time.Time   // by the queue's clock
	HeldSince       time.Time   // when the slot began to count as active, before the first attempt
	Execution       ExecutionID // 0 when no execution exists, which is a [Leak]
	Attempt         int         // from 1; 0 without an execution
	Status          ExecutionStatus
	Worker          string // empty before a worker has claimed the attempt
	Pool            string
	RequestedAt     *time.Time // when the attempt was requested
	StartedAt       *time.Time // when a worker claimed the attempt; nil before
	LeaseUntil      *time.Time // when the lease expires unless the worker renews it; nil unless running
	Timeout         Duration   // of the attempt, from StartedAt
	CancelRequested *time.Time
	AttemptStatus   ExecutionStatus // how the last attempt ended; empty unless retrying
	RetryAt         *time.Time      // when the next attempt may start; nil unless retrying
}

// Waiter is an enforcement that waits in its queue.
type Waiter struct {
	Enforcement EnforcementID
	Action      Ref
	Lane        int32 // see [Ticket]
	LaneName    LaneName
	Sequence    int64
	QueuedAt    time.Time // by the database's clock
	Attempt     int       // the attempt that the enforcement waits for, from 1
}

// ActionStats counts the enforcements of one action in a shared queue.
type ActionStats struct {
	Action   ActionID
	Ref      Ref
	Joined   bool       // the policy of the action names the queue; otherwise it has left, and only what it had there remains
	Waiting  int64      // enforcements in line
	Active   int64      // slots held
	OldestAt *time.Time // when the first of those in line was admitted; nil while none waits
}

// LaneStats counts the enforcements of one lane of a queue.
type LaneStats struct {
	Number   int32 // in the queue, from 1
	Name     LaneName
	Action   Ref        // of a lane from [ActionLane]; empty for any other
	Waiting  int64      // enforcements in line
	Active   int64      // slots held
	Granted  int64      // grants so far: see [LoggedGrant]
	Head     int64      // sequence of the first enforcement in line; 0 while none waits
	OldestAt *time.Time // when that enforcement was admitted; nil while none waits
	Limit    *int       // the manual limit of the lane; nil without one
	Until    *time.Time // when the manual limit ends; nil without a limit or an end
}

// LanePage asks for one page of the lanes of a queue: first the lanes in which an enforcement waits, in the order of their
// heads, and then the other lanes in the order of their numbers.
type LanePage struct {
	Head   int64 // start after the lane with this head; 0 without
	Number int32 // start after the lane with this number, among the lanes in which no enforcement waits; 0 without
	Limit  int   // see [Page]
}

// Next asks for the page after the lane.
func (s LaneStats) Next(limit int) LanePage {
	if s.Head > 0 {
		return LanePage{Head: s.Head, Limit: limit}
	}
	return LanePage{Number: s.Number, Limit: limit}
}

// Releases counts the released slots of a queue.
type Releases struct {
	LastMinute, LastFiveMinutes, LastHour int64 // slots released in that time
	// P50 and P95 are percentiles of the time for which a slot was held. They come from the latest Sample releases.
	P50, P95 time.Duration
	Sample   int64
	Since    *time.Time // time of the first release in the sample, by the database's clock; nil without a sample
}

// QueueGauge is the fill of a queue, for metrics.
type QueueGauge struct {
	Queue      QueueKey
	Limit      int           // the limit in force
	Active     int64         // slots held
	Waiting    int64         // enforcements in line
	OldestWait time.Duration // wait of the first enforcement in line; 0 while the line is empty
	Stalled    bool          // see [Stall]
}
