package attune

import (
	"fmt"
	"time"
)

// QueueMode says what a queue does with new and with waiting tickets.
type QueueMode string

// The modes of a queue.
const (
	QueueOpen     QueueMode = "open"     // accepts tickets and grants them
	QueuePaused   QueueMode = "paused"   // accepts tickets and grants none
	QueueDraining QueueMode = "draining" // grants waiting tickets and rejects new ones
)

// LimitOverride is a manual limit: a limit set by a person. It replaces the policy's limit until it expires or a person clears it.
//
// Stored in Temporal's history: in updates, and in the carried state of a queue.
type LimitOverride struct {
	Limit int       `json:"limit"`          // 0 to [MaxLimit]
	Until time.Time `json:"until,omitzero"` // in whole seconds; zero means until a person clears it
}

// String returns the text that [QueueChange] records in From and To: "5 by hand until 2030-01-02T03:04:05Z".
func (o *LimitOverride) String() string {
	if o.Until.IsZero() {
		return fmt.Sprintf("%d by hand", o.Limit)
	}
	return fmt.Sprintf("%d by hand until %s", o.Limit, FormatTime(o.Until))
}

// QueueChangeKind says what a manual change of a queue changes.
type QueueChangeKind string

// The manual changes of a queue: its mode, its limit, the cancel of a waiting ticket, or the limit of a lane.
const (
	ChangeMode      QueueChangeKind = "mode"
	ChangeLimit     QueueChangeKind = "limit"
	ChangeCancel    QueueChangeKind = "cancel"
	ChangeLaneLimit QueueChangeKind = "lane_limit"
)

// MaxLaneLimits bounds the lanes of a queue that have a manual limit at the same time.
const MaxLaneLimits = 1_000

// LaneLimit is the manual limit of one lane. It replaces the limit per key of every action whose tickets wait in the lane.
//
// Stored in Temporal's history: in the result of an activity, and in the carried state of a queue.
type LaneLimit struct {
	Lane int32 `json:"lane"` // from 1
	LimitOverride
}

// LaneControl is the manual limit of one lane after a change.
//
// Stored in Temporal's history: part of a [QueueControl].
type LaneControl struct {
	Lane     int32          `json:"lane"`
	Change   int64          `json:"n"`                  // the number of the change
	Override *LimitOverride `json:"override,omitempty"` // nil: none
}

// MaxRequestID bounds the id of a [ChangeRequest], in bytes.
const MaxRequestID = 200

// ChangeRequest asks a queue for one manual change.
//
// Stored in Temporal's history: in the argument of an update.
type ChangeRequest struct {
	// ID identifies the request, in 1 to [MaxRequestID] bytes. A queue makes the change of a request once, however often
	// the request arrives.
	ID string `json:"id"`
	Author
	Kind QueueChangeKind `json:"kind"`

	Mode   QueueMode      `json:"mode,omitempty"`  // for [ChangeMode]
	Limit  *LimitOverride `json:"limit,omitempty"` // for [ChangeLimit] and [ChangeLaneLimit]; nil clears the manual limit
	Lane   int32          `json:"lane,omitempty"`  // for [ChangeLaneLimit]: the number of the lane, from 1
	Ticket Ticket         `json:"ticket,omitzero"` // for [ChangeCancel]: the enforcement and the sequence
}

// Validate returns a [CodeInvalid] error for a request that a queue refuses in every state.
func (r ChangeRequest) Validate() error {
	if r.ID == "" {
		return Errorf(CodeInvalid, "id: the id of the request is missing: use 1 to %d bytes", MaxRequestID)
	}
	if err := CheckText("id", r.ID, MaxRequestID); err != nil {
		return err
	}
	if err := r.Author.Validate(); err != nil {
		return err
	}
	switch r.Kind {
	case ChangeMode:
		return r.Mode.Validate()
	case ChangeLimit:
		return r.Limit.Validate()
	case ChangeCancel:
		return r.Ticket.Validate()
	case ChangeLaneLimit:
		if r.Lane < 1 {
			return Errorf(CodeInvalid, "lane %d: use the number of a lane, from 1", r.Lane)
		}
		return r.Limit.Validate()
	default:
		return r.Kind.Validate()
	}
}

// Validate returns a [CodeInvalid] error for an unknown kind.
func (k QueueChangeKind) Validate() error {
	switch k {
	case ChangeMode, ChangeLimit, ChangeCancel, ChangeLaneLimit:
		return nil
	default:
		return Errorf(CodeInvalid, "kind %s: use %q, %q, %q or %q",
			quotePrefix(string(k)), ChangeMode, ChangeLimit, ChangeCancel, ChangeLaneLimit)
	}
}

// Validate returns a [CodeInvalid] error for a ticket that no queue can have.
func (t Ticket) Validate() error {
	switch {
	case t.Enforcement < 1:
		return Errorf(CodeInvalid, "ticket: enforcement %d: use the id of an enforcement, from 1", t.Enforcement)
	case t.Sequence < 1:
		return Errorf(CodeInvalid, "ticket: sequence %d: use the sequence of enforcement %d, from 1", t.Sequence, t.Enforcement)
	case t.Lane < 0:
		return Errorf(CodeInvalid, "ticket: lane %d: use a lane from 0", t.Lane)
	case t.Attempt < 0:
		return Errorf(CodeInvalid, "ticket: attempt %d: use an attempt from 0", t.Attempt)
	}
	return nil
}

// Validate returns a [CodeInvalid] error for an unknown mode.
func (m QueueMode) Validate() error {
	switch m {
	case QueueOpen, QueuePaused, QueueDraining:
		return nil
	default:
		return Errorf(CodeInvalid, "mode %s: use %q, %q or %q", quotePrefix(string(m)), QueueOpen, QueuePaused, QueueDraining)
	}
}

// Validate returns a [CodeInvalid] error for a limit out of range, or an end that cannot be stored. A nil manual limit is valid.
func (o *LimitOverride) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.Limit < 0 || o.Limit > MaxLimit:
		return Errorf(CodeInvalid, "limit %d: use 0 (grants none) to %d", o.Limit, MaxLimit)
	default:
		return CheckTime("until", o.Until)
	}
}

// QueueChange is one manual change of a queue. Its record is kept for ever.
//
// From and To are modes, limits in words (see [LimitOverride.String]; "by policy" for a lane without a manual limit), or statuses of an
// enforcement. To of a cancel that came
// too late is the status that the enforcement had.
//
// Stored in Temporal's history: in activity inputs, and in the carried state of a queue.
type QueueChange struct {
	Number  int64     `json:"n"`          // counts the manual changes of a queue, from 1
	Request string    `json:"request_id"` // id of the [ChangeRequest]
	At      time.Time `json:"at"`         // by the queue's clock
	Author
	Kind        QueueChangeKind `json:"kind"`
	From        string          `json:"from"`
	To          string          `json:"to"`
	Enforcement EnforcementID   `json:"enforcement_id,omitempty"` // for [ChangeCancel]
	Lane        int32           `json:"lane,omitempty"`           // for [ChangeLaneLimit]
}

// QueueControl is the mode and the manual limit of a queue, with the changes that set them.
//
// Stored in Temporal's history: in activity inputs.
type QueueControl struct {
	Generation int64          `json:"generation,omitempty"` // generation of the queue: see [Grant]
	Mode       QueueMode      `json:"mode"`
	Override   *LimitOverride `json:"override,omitempty"`
	Lanes      []LaneControl  `json:"lanes,omitempty"` // the lanes whose limits changed, each once, after the changes
	Changes    []QueueChange  `json:"changes"`         // in number order
}

// QueueDecisions is what the rows must record of a queue's decisions: tickets that end without a grant, and manual changes.
//
// Stored in Temporal's history: in activity inputs.
type QueueDecisions struct {
	Settlements []Settlement `json:"settlements,omitempty"` // in the order of the decisions
	Control     QueueControl `json:"control"`
}
