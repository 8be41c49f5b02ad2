package attune

import (
	"encoding/json"
	"time"
)

// Enforcement is one match of one rule to one event. There is at most one per rule and event, and at most one
// execution per enforcement.
type Enforcement struct {
	ID         EnforcementID     `json:"id"`
	Event      EventID           `json:"event_id"`
	Rule       Ref               `json:"rule,omitempty"` // empty for a direct run
	Action     Ref               `json:"action"`
	ActionID   ActionID          `json:"action_id"`
	Parameters json.RawMessage   `json:"parameters"`
	Status     EnforcementStatus `json:"status"`
	Reason     Reason            `json:"reason,omitempty"` // why it was rejected, cancelled or expired
	Detail     string            `json:"detail,omitempty"` // the reason for a person
	// Queue is chosen when the event is recorded, and kept. It is empty when the enforcement was rejected before that.
	Queue    QueueKey `json:"queue,omitempty"`
	Lane     int32    `json:"lane,omitempty"`     // of the queue: see [Ticket]
	Sequence int64    `json:"sequence,omitempty"` // place in the queue, from 1; 0 before acceptance
	// GrantNumber counts the grants of the queue from 1, in the order the queue decided them: sorted by it, the
	// sequences of a queue rise. 0 before the grant.
	GrantNumber int64      `json:"grant_number,omitempty"`
	Author      *Author    `json:"author,omitempty"` // of a direct run: who asked for it; nil when a rule decided
	CreatedAt   time.Time  `json:"created_at"`
	QueuedAt    *time.Time `json:"queued_at,omitempty"`
	GrantedAt   *time.Time `json:"granted_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

// EnforcementStatus is where an enforcement stands:
//
//	created ─► queued ─► granted ─► executed
//	   └─────────┴─► rejected | cancelled | expired
//
// granted means it holds a slot of its queue; executed means its execution has ended, whatever the outcome. An attempt that
// has failed and is to be tried again leads from granted back to queued, or to parked: then a person leads it back to
// queued, or to executed.
type EnforcementStatus string

// The statuses of an enforcement.
const (
	EnforcementCreated   EnforcementStatus = "created"
	EnforcementQueued    EnforcementStatus = "queued"
	EnforcementGranted   EnforcementStatus = "granted"
	EnforcementParked    EnforcementStatus = "parked"
	EnforcementExecuted  EnforcementStatus = "executed"
	EnforcementRejected  EnforcementStatus = "rejected"
	EnforcementCancelled EnforcementStatus = "cancelled"
	EnforcementExpired   EnforcementStatus = "expired"
)

// EnforcementStatuses lists every status, in the order of a life.
func EnforcementStatuses() []EnforcementStatus {
	return []EnforcementStatus{
		EnforcementCreated, EnforcementQueued, EnforcementGranted, EnforcementParked, EnforcementExecuted,
		EnforcementRejected, EnforcementCancelled, EnforcementExpired,
	}
}

// Terminal reports whether no further change can follow.
func (s EnforcementStatus) Terminal() bool {
	switch s {
	case EnforcementExecuted, EnforcementRejected, EnforcementCancelled, EnforcementExpired:
		return true
	default:
		return false
	}
}

// Reason is a code that says why an enforcement or execution ended the way it did.
type Reason string

// The reasons.
const (
	ReasonCriteriaFailed     Reason = "criteria_failed"      // the rule's criteria could not be evaluated for this event
	ReasonParametersInvalid  Reason = "parameters_invalid"   // a template failed, or the action's schema refuses the result
	ReasonActionDisabled     Reason = "action_disabled"      // the action is no longer declared by its pack
	ReasonQueueFull          Reason = "queue_full"           // max_queued reached, overflow "reject"
	ReasonDroppedOldest      Reason = "dropped_oldest"       // max_queued reached, overflow "drop_oldest"
	ReasonQueueDraining      Reason = "queue_draining"       // the queue accepts no tickets until it is resumed
	ReasonQueueTimeout       Reason = "queue_timeout"        // waited longer than queue_timeout
	ReasonCancelled          Reason = "cancelled"            // a caller cancelled it
	ReasonExitCode           Reason = "exit_code"            // the process ended with a code other than 0
	ReasonSignal             Reason = "signal"               // the process was killed by a signal that was not ours
	ReasonTimeout            Reason = "timeout"              // the process was ended because its time was up
	ReasonExecutableNotFound Reason = "executable_not_found" // the worker has no such pack, file or program
	ReasonStart              Reason = "start"                // the process could not be started
	ReasonWorkerLost         Reason = "worker_lost"          // its worker was not heard from for as long as its lease
	ReasonWorkerStopped      Reason = "worker_stopped"       // the worker was told to stop and the grace period ended
)
