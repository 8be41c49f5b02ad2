package attune

import (
	"cmp"
	"time"
)

// Ticket is a place of an accepted enforcement in its queue. An enforcement has one place at a time; a retry that goes to the
// back has a new one.
type Ticket struct {
	Enforcement EnforcementID `json:"id"`
	Sequence    int64         `json:"seq"` // from 1, dense per queue
	EnqueuedAt  time.Time     `json:"at"`  // millisecond precision; never before that of a lower sequence
	// Attempt is the fence of the execution that the ticket asks for, from 1; 0 is the first, too.
	Attempt int `json:"attempt,omitempty"`
	// Lane is the part of the queue that the ticket waits in. A queue without lanes has only lane 0.
	Lane int32 `json:"lane,omitempty"`
}

// Same reports whether two tickets are the same place of the same enforcement.
func (t Ticket) Same(other Ticket) bool {
	return t.Enforcement == other.Enforcement && t.Sequence == other.Sequence
}

// Compare puts the tickets of a queue into the order of their places.
func (t Ticket) Compare(other Ticket) int { return cmp.Compare(t.Sequence, other.Sequence) }

// Grant is the queue's permission for one ticket to run: a slot. A retry that keeps its slot keeps its grant, and asks for the
// next attempt under it.
type Grant struct {
	Ticket
	// Generation counts how often the queue was rebuilt from its rows. A grant of an earlier generation allows nothing any
	// more: the queue that decided it is gone.
	Generation int64     `json:"gen,omitempty"`
	Number     int64     `json:"n"`                   // counts the grants of the queue, from 1
	GrantedAt  time.Time `json:"granted_at"`          // the queue's clock
	NotBefore  time.Time `json:"not_before,omitzero"` // when the attempt may start; zero: at once
	Limit      int       `json:"limit"`               // in force when it was decided
	Revision   int64     `json:"revision"`            // of the policy in force when it was decided
}

// Retry asks for the next attempt of a ticket that keeps its slot.
type Retry struct {
	Ticket              // Attempt is the next one, 2 or more
	NotBefore time.Time `json:"not_before"`
}

// Settlement is the end of a ticket that never ran: decided by its queue, recorded in its row.
type Settlement struct {
	Ticket
	Status EnforcementStatus `json:"status"` // rejected, cancelled or expired
	Reason Reason            `json:"reason"`
}

// Admission is the outcome of accepting enforcements: what to signal to one queue.
type Admission struct {
	Queue   QueueKey
	Policy  QueuePolicy
	Tickets []Ticket // in sequence order; also those accepted earlier that still wait, so a redelivery repeats the signal
}

// QueueStatus is how a queue is set and how full it is, as the queue itself says.
type QueueStatus struct {
	Queue    QueueKey       `json:"queue"`
	Mode     QueueMode      `json:"mode"`
	Limit    int            `json:"limit"`              // in force: the override's, or the policy's
	Override *LimitOverride `json:"override,omitempty"` // the limit set by hand
	Active   int            `json:"active"`             // slots held
	Waiting  int            `json:"waiting"`
	Changes  int64          `json:"changes"` // changes made by hand so far; the last of them may not be recorded yet
}

// LoggedGrant is one grant of a queue, as it was recorded.
type LoggedGrant struct {
	Grant
	RequestedAt time.Time  `json:"requested_at"`          // the database's clock: from here on it counts as active
	ReleasedAt  *time.Time `json:"released_at,omitempty"` // the database's clock; nil while it holds its slot
	// Outcome is the status of the execution that the grant allowed.
	Outcome ExecutionStatus `json:"outcome"`
}

// QueueSnapshot is a queue as the rows tell it: what a queue that has lost its state starts from.
type QueueSnapshot struct {
	Policy       QueuePolicy `json:"policy"`
	Generation   int64       `json:"generation"`    // that of the queue that starts from here
	LastSequence int64       `json:"last_sequence"` // the highest sequence assigned so far
	LastGrant    int64       `json:"last_grant"`    // the highest grant number recorded so far
	LastChange   int64       `json:"last_change"`   // the highest number of a change by hand recorded so far
	Mode         QueueMode   `json:"mode"`
	// Override is the limit set by hand, if there is one.
	Override *LimitOverride `json:"override,omitempty"`
	Holders  []Grant        `json:"holders,omitempty"`
	Waiting  []Ticket       `json:"waiting,omitempty"` // in sequence order
}

// QueueStats counts a queue at one instant. Every number comes from the same snapshot of the rows, so
//
//	TotalEnqueued = QueueLength + ActiveCount + TotalCompleted + TotalDropped
//
// holds in every answer.
type QueueStats struct {
	ID               QueueID    `json:"id,omitempty"` // 0 before the first use
	Queue            QueueKey   `json:"queue"`
	ActionID         ActionID   `json:"action_id"` // the action that owns the queue
	Action           Ref        `json:"action_ref"`
	QueueLength      int64      `json:"queue_length"`   // accepted and waiting
	ActiveCount      int64      `json:"active_count"`   // granted, execution not ended
	MaxConcurrent    int        `json:"max_concurrent"` // the limit in force
	Mode             QueueMode  `json:"mode"`
	OldestEnqueuedAt *time.Time `json:"oldest_enqueued_at"`
	TotalEnqueued    int64      `json:"total_enqueued"`
	TotalCompleted   int64      `json:"total_completed"` // slots given back, whatever the outcome
	TotalDropped     int64      `json:"total_dropped"`   // accepted, then rejected, cancelled or expired while waiting
	LastUpdated      *time.Time `json:"last_updated"`
}
