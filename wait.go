package attune

import "time"

// EstimateGrants is the number of latest grants of a queue that an estimate uses. They cover several busy times of most queues, and
// few of them are older than a change that matters.
const EstimateGrants = 600

// MaxWaitList bounds each list of a [Wait]: holders at a level, and tickets in front.
const MaxWaitList = 10

// Wait is one waiting enforcement and what it waits for, according to the rows. All fields are read at one instant.
type Wait struct {
	At        time.Time // the instant, by the database's clock
	Ticket    Ticket
	LaneName  LaneName
	ActionRef Ref            // of the ticket's action
	Policy    QueuePolicy    // that the queue last received
	Mode      QueueMode      // of the queue
	Override  *LimitOverride // the manual limit of the queue; nil when the policy's limit is in force
	// LaneOverride is the manual limit of the lane; nil when the policy's limit is in force.
	LaneOverride *LimitOverride

	Queue, Action, Lane LevelCount // at each level that the ticket belongs to
	// First counts the tickets in front that the queue can grant first, if lanes may pass each other: of each lane no more than one more
	// than there are in front in the own lane.
	First   int64
	Holders []WaitHolder // in the order of their grants: up to [MaxWaitList] of the queue, of the action, and of the lane
	InFront []Waiter     // nearest first: up to [MaxWaitList] of the queue, of the action, and of the lane
	Starts  []ActionStarts
	Latest  []LoggedGrant // the latest [EstimateGrants] grants, without attempts and outcomes, newest first
}

// LevelCount counts what is in front of a ticket, and the slots held, at one level of its queue.
type LevelCount struct{ Ahead, Active int64 }

// WaitHolder is an enforcement that holds a slot for which another one waits.
type WaitHolder struct {
	Enforcement EnforcementID
	ActionID    ActionID
	Action      Ref
	Lane        int32 // see [Ticket]
	LaneName    LaneName
	HeldSince   time.Time // by the database's clock
	Execution   ExecutionID
	Status      ExecutionStatus // of the execution
	Worker      string          // that runs it; empty before a worker has claimed the attempt
	RetryAt     *time.Time
}

// Position is the position in the line: 1 is next, and 0 means that the enforcement does not wait.
func (w Wait) Position() int64 {
	if w.Ticket.Sequence == 0 {
		return 0
	}
	return w.Queue.Ahead + 1
}

// Limit returns the limit in force of the queue.
func (w Wait) Limit() int {
	if w.Override != nil {
		return w.Override.Limit
	}
	return w.Policy.Limit
}

// LaneLimit returns the limit in force of the lane; nil without one.
func (w Wait) LaneLimit() *int {
	switch {
	case w.Ticket.Lane == 0:
		return nil
	case w.LaneOverride != nil:
		return &w.LaneOverride.Limit
	default:
		return w.Policy.Of(w.Ticket.Action).LimitPerKey
	}
}
