package attune

import (
	"encoding/json"
	"time"
)

// Enforcement is one match of one rule to one event: the decision that an action must run. A rule and an event have at most one
// enforcement, and an enforcement has at most one execution.
type Enforcement struct {
	ID         EnforcementID     `json:"id"`
	Event      EventID           `json:"event_id"`
	Rule       Ref               `json:"rule,omitempty"` // empty for a direct run
	Action     Ref               `json:"action"`
	ActionID   ActionID          `json:"action_id"`
	Parameters json.RawMessage   `json:"parameters"`
	Status     EnforcementStatus `json:"status"`
	Reason     Reason            `json:"reason,omitempty"` // why the enforcement was rejected, cancelled or expired
	Detail     string            `json:"detail,omitempty"` // the reason in words, for people
	// Queue is chosen when the event is recorded, and never changes. It is empty for an enforcement that was rejected at once.
	Queue    QueueKey `json:"queue,omitempty"`
	LaneName LaneName `json:"-"`                  // chosen with the queue
	Lane     int32    `json:"lane,omitempty"`     // number of the lane: see [Ticket]; 0 before admission
	Sequence int64    `json:"sequence,omitempty"` // place in the queue, from 1; 0 before admission
	// Charges are what the enforcement has used of the quotas, until it gives the units back.
	Charges []QuotaCharge `json:"charges,omitempty"`
	// Units are what the enforcement was charged at rates.
	Units   []RateCharge `json:"units,omitempty"`
	Refusal *GateRefusal `json:"refusal,omitempty"` // of an enforcement that a rate or a quota refused
	// GrantNumber counts the grants of the queue, from 1, in the order in which the queue decided them. In that order the
	// sequences of the granted tickets rise, or with [AcrossSkip] those of each lane. 0 before the grant.
	GrantNumber int64      `json:"grant_number,omitempty"`
	Author      *Author    `json:"author,omitempty"` // who requested a direct run; nil for the match of a rule
	CreatedAt   time.Time  `json:"created_at"`
	QueuedAt    *time.Time `json:"queued_at,omitempty"`
	GrantedAt   *time.Time `json:"granted_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

// EnforcementStatus is the state of an enforcement:
//
//	created ─► queued ─► granted ─► executed
//	   └─────────┴─► rejected | cancelled | expired
//
// A granted enforcement holds a slot of its queue. An executed enforcement has an execution that has ended, with any outcome.
// A failed attempt with attempts left moves the enforcement from granted back to queued, or to parked: the policy decides.
// A person moves a parked enforcement to queued (retry) or to executed (give up).
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

// EnforcementStatuses lists every status, in the order in which an enforcement can reach them.
func EnforcementStatuses() []EnforcementStatus {
	return []EnforcementStatus{
		EnforcementCreated, EnforcementQueued, EnforcementGranted, EnforcementParked, EnforcementExecuted,
		EnforcementRejected, EnforcementCancelled, EnforcementExpired,
	}
}

// Terminal reports whether the enforcement keeps this status for ever.
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
	ReasonKeyInvalid         Reason = "key_invalid"          // the key of the policy has no text for this event, and thus no lane
	ReasonGateInvalid        Reason = "gate_invalid"         // the key or the cost of a rate or quota failed for this event
	ReasonRateLimited        Reason = "rate_limited"         // a rate was used up: see [GateRefusal]
	ReasonQuotaExceeded      Reason = "quota_exceeded"       // a quota was used up: see [GateRefusal]
	ReasonActionDisabled     Reason = "action_disabled"      // the action's pack no longer declares the action
	ReasonQueueFull          Reason = "queue_full"           // the line reached max_queued, with overflow "reject"
	ReasonDroppedOldest      Reason = "dropped_oldest"       // the line reached max_queued, with overflow "drop_oldest"
	ReasonKeyQueueFull       Reason = "key_queue_full"       // the lane reached max_queued_per_key, with overflow "reject"
	ReasonBusy               Reason = "busy"                 // the enforcement could not start at once, with when_busy "skip"
	ReasonReplaced           Reason = "replaced"             // a later enforcement of its lane came, with when_busy "replace"
	ReasonQueueDraining      Reason = "queue_draining"       // the queue drains: it accepts no tickets until a person resumes it
	ReasonQueueTimeout       Reason = "queue_timeout"        // the enforcement waited longer than queue_timeout
	ReasonCancelled          Reason = "cancelled"            // a caller cancelled the enforcement or the execution
	ReasonExitCode           Reason = "exit_code"            // the process exited with a code other than 0
	ReasonSignal             Reason = "signal"               // a signal killed the process, and the worker did not send it
	ReasonTimeout            Reason = "timeout"              // the worker ended the process after the action's timeout
	ReasonExecutableNotFound Reason = "executable_not_found" // the worker has no such pack, file or program
	ReasonStart              Reason = "start"                // the worker could not start the process
	ReasonEnvNotAllowed      Reason = "env_not_allowed"      // the worker does not allow the pack a variable that the action asks for
	ReasonSecretUnavailable  Reason = "secret_unavailable"   // a secret that the action needs is missing, not granted or not decryptable
	ReasonLimits             Reason = "limits_unavailable"   // the worker cannot enforce the action's limits
	ReasonOutOfMemory        Reason = "out_of_memory"        // the processes used more memory than the action's limits allow
	ReasonActionMismatch     Reason = "action_mismatch"      // the worker's packs have no such action, or another version of it
	ReasonWorkerLost         Reason = "worker_lost"          // the lease expired: the worker did not renew it
	ReasonWorkerStopped      Reason = "worker_stopped"       // the worker was shut down and the grace period ended
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonCriteriaFailed, ReasonParametersInvalid, ReasonKeyInvalid, ReasonGateInvalid, ReasonRateLimited, ReasonQuotaExceeded,
		ReasonActionDisabled, ReasonQueueFull, ReasonDroppedOldest,
		ReasonKeyQueueFull, ReasonBusy, ReasonReplaced, ReasonQueueDraining,
		ReasonQueueTimeout, ReasonCancelled, ReasonExitCode, ReasonSignal, ReasonTimeout, ReasonExecutableNotFound, ReasonStart,
		ReasonEnvNotAllowed, ReasonActionMismatch, ReasonSecretUnavailable, ReasonLimits, ReasonOutOfMemory, ReasonWorkerLost,
		ReasonWorkerStopped,
	}
}
