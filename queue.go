package attune

import (
	"cmp"
	"time"
)

// Ticket is one place of one enforcement in its queue. An enforcement has one ticket at a time. A retry that goes to the back
// of the line gets a new ticket.
//
// Stored in Temporal's history: in signals, in activity inputs and results, and in the carried state of a queue.
type Ticket struct {
	Enforcement EnforcementID `json:"id"`
	Sequence    int64         `json:"seq"` // from 1, dense per queue
	EnqueuedAt  time.Time     `json:"at"`  // millisecond precision; never before EnqueuedAt of a lower sequence
	// Attempt is the attempt that the ticket asks for, from 1; 0 means the first attempt, too.
	Attempt int `json:"attempt,omitempty"`
	// Lane is the part of the queue in which the ticket waits. A queue without lanes has only lane 0.
	Lane int32 `json:"lane,omitempty"`
	// Action is the action that the ticket asks for. It can be 0 in a queue whose actions have no limits of their own.
	Action ActionID `json:"action,omitempty"`
}

// Same reports whether two tickets have the same enforcement and the same sequence.
func (t Ticket) Same(other Ticket) bool {
	return t.Enforcement == other.Enforcement && t.Sequence == other.Sequence
}

// Compare orders the tickets of a queue by sequence.
func (t Ticket) Compare(other Ticket) int { return cmp.Compare(t.Sequence, other.Sequence) }

// Grant is the queue's permission for one ticket to run: it gives the ticket a slot. A retry that keeps its slot keeps its
// grant, too.
//
// Stored in Temporal's history: in signals, in workflow and activity inputs, and in the carried state of a queue.
type Grant struct {
	Ticket
	// Generation counts how often the queue was rebuilt from its rows. A grant of an earlier generation allows nothing.
	Generation int64     `json:"gen,omitempty"`
	Number     int64     `json:"n"`                   // counts the grants of the queue, from 1
	GrantedAt  time.Time `json:"granted_at"`          // by the queue's clock
	NotBefore  time.Time `json:"not_before,omitzero"` // when the attempt may start; zero means at once
	Limit      int       `json:"limit"`               // limit in force at the time of the decision
	Revision   int64     `json:"revision"`            // revision of the policy in force at the time of the decision
	// StartedAt is when the queue let the attempt start, by its clock, in a queue with rates of starts; otherwise zero.
	StartedAt time.Time `json:"started_at,omitzero"`
	// Freed are the tickets whose slots the queue had seen become free since its previous grant, by sequence, in the order in which
	// the queue saw them. A queue learns of a release later than the row does; so a check from the rows knows which releases the
	// decision could take into account.
	Freed []int64 `json:"freed,omitempty"`
	// Changes is how many manual changes the queue had made before the decision. They say which manual limits were in force.
	Changes int64 `json:"changes,omitempty"`
}

// Retry asks for the next attempt of a ticket that keeps its slot.
//
// Stored in Temporal's history: in signals.
type Retry struct {
	Ticket              // with the number of the next attempt, 2 or more
	NotBefore time.Time `json:"not_before"`
}

// Settlement is the end of a ticket without a grant. The queue decides it, and the enforcement's row records it.
//
// Stored in Temporal's history: in activity inputs, and in the carried state of a queue.
type Settlement struct {
	Ticket
	Status EnforcementStatus `json:"status"` // rejected, cancelled or expired
	Reason Reason            `json:"reason"`
	Bound  *Bound            `json:"bound,omitempty"` // of a rejected ticket: what refused it
}

// Admission is the signal for one queue after enforcements were admitted.
type Admission struct {
	Queue  QueueKey
	Policy QueuePolicy
	// Tickets are in sequence order. Waiting tickets that an earlier delivery admitted are included: a redelivery repeats the
	// signal.
	Tickets []Ticket
}

// QueueStatus is the mode, limit and fill of a queue, as its workflow reports them.
//
// Stored in Temporal's history: in the result of an update.
type QueueStatus struct {
	Queue    QueueKey       `json:"queue"`
	Mode     QueueMode      `json:"mode"`
	Limit    int            `json:"limit"`              // in force: the manual limit or the policy's
	Override *LimitOverride `json:"override,omitempty"` // the manual limit; nil when the policy's limit is in force
	Active   int            `json:"active"`             // slots held
	Waiting  int            `json:"waiting"`            // tickets in line
	Changes  int64          `json:"changes"`            // number of manual changes; the latest may not be recorded in the database yet
}

// LoggedGrant is the database's record of one grant.
type LoggedGrant struct {
	Grant
	RequestedAt time.Time  `json:"requested_at"`          // by the database's clock; from then on the grant counts as active
	ReleasedAt  *time.Time `json:"released_at,omitempty"` // by the database's clock; nil while the grant holds its slot
	// Outcome is the status of the execution that the grant allowed.
	Outcome ExecutionStatus `json:"outcome"`
}

// QueueSnapshot is the state of a queue according to its rows. A queue workflow without carried state starts from it.
//
// Stored in Temporal's history: in the result of an activity.
type QueueSnapshot struct {
	Policy       QueuePolicy `json:"policy"`
	Generation   int64       `json:"generation"`    // generation of the rebuilt queue
	LastSequence int64       `json:"last_sequence"` // highest assigned sequence
	// Accepted is the highest sequence that an earlier workflow of the queue has accepted. The waiting tickets up to it keep their
	// places. The bounds of the policy apply to the waiting tickets above it: they are newcomers.
	Accepted   int64          `json:"accepted,omitempty"`
	LastGrant  int64          `json:"last_grant"`  // highest recorded grant number
	LastChange int64          `json:"last_change"` // highest recorded number of a manual change
	Mode       QueueMode      `json:"mode"`
	Override   *LimitOverride `json:"override,omitempty"`    // the manual limit; nil when the policy's limit is in force
	LaneLimits []LaneLimit    `json:"lane_limits,omitempty"` // in the order of the lanes
	Holders    []Grant        `json:"holders,omitempty"`
	Waiting    []Ticket       `json:"waiting,omitempty"` // in sequence order
	Starts     []ActionStarts `json:"starts,omitempty"`  // the latest starts that its rates of starts count
}

// ActionStarts are times at which attempts of one action started, in milliseconds of Unix time by the queue's clock, in order.
//
// Stored in Temporal's history: part of a [QueueSnapshot].
type ActionStarts struct {
	Action ActionID `json:"action"`
	At     []int64  `json:"at"`
}

// QueueStats counts the enforcements of a queue at one instant. Every number comes from the same snapshot of the rows, so
//
//	TotalEnqueued = QueueLength + ActiveCount + TotalCompleted + TotalDropped
//
// holds in every answer.
type QueueStats struct {
	ID               QueueID    `json:"id,omitempty"` // 0 before the first enforcement of the queue
	Queue            QueueKey   `json:"queue"`
	Shared           bool       `json:"shared,omitempty"` // a pack declares the queue; then no action owns it
	ActionID         ActionID   `json:"action_id"`        // the action that owns the queue; 0 for a shared queue
	Action           Ref        `json:"action_ref"`       // empty for a shared queue
	QueueLength      int64      `json:"queue_length"`     // admitted and waiting
	ActiveCount      int64      `json:"active_count"`     // granted, execution not ended
	MaxConcurrent    int        `json:"max_concurrent"`   // the limit in force
	Mode             QueueMode  `json:"mode"`
	OldestEnqueuedAt *time.Time `json:"oldest_enqueued_at"`
	TotalEnqueued    int64      `json:"total_enqueued"`
	TotalCompleted   int64      `json:"total_completed"` // slots released, whatever the outcome
	TotalDropped     int64      `json:"total_dropped"`   // admitted, then rejected, cancelled or expired while waiting
	LastUpdated      *time.Time `json:"last_updated"`
}
