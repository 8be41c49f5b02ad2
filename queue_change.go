package attune

import (
	"fmt"
	"time"
)

// QueueMode says what a queue does with arriving and with waiting tickets.
type QueueMode string

// The modes of a queue.
const (
	QueueOpen     QueueMode = "open"     // accepts tickets and grants them
	QueuePaused   QueueMode = "paused"   // accepts tickets and grants none
	QueueDraining QueueMode = "draining" // grants waiting tickets and rejects new ones
)

// LimitOverride is a limit set by hand. It is in force instead of the policy's limit until it runs out.
type LimitOverride struct {
	Limit int       `json:"limit"`          // 0 to [MaxLimit]
	Until time.Time `json:"until,omitzero"` // in whole seconds; zero: until a person clears it
}

// String is the limit in words, as [QueueChange] has it in From and To: "5 by hand until 2030-01-02T03:04:05Z".
func (o *LimitOverride) String() string {
	if o.Until.IsZero() {
		return fmt.Sprintf("%d by hand", o.Limit)
	}
	return fmt.Sprintf("%d by hand until %s", o.Limit, o.Until.UTC().Format(time.RFC3339))
}

// QueueChangeKind says what a change of a queue by hand is about.
type QueueChangeKind string

// What can be changed by hand.
const (
	ChangeMode   QueueChangeKind = "mode"
	ChangeLimit  QueueChangeKind = "limit"
	ChangeCancel QueueChangeKind = "cancel"
)

// MaxRequestID bounds the id of a [ChangeRequest], in bytes.
const MaxRequestID = 200

// ChangeRequest asks a queue for one change by hand.
type ChangeRequest struct {
	// ID identifies the request, in 1 to [MaxRequestID] bytes. A queue makes the change of a request once, however often
	// the request arrives.
	ID string `json:"id"`
	Author
	Kind QueueChangeKind `json:"kind"`

	Mode   QueueMode      `json:"mode,omitempty"`  // for [ChangeMode]
	Limit  *LimitOverride `json:"limit,omitempty"` // for [ChangeLimit]; nil gives the limit back to the policy
	Ticket Ticket         `json:"ticket,omitzero"` // for [ChangeCancel]: its enforcement and its sequence
}

// Validate returns a [CodeInvalid] error for a request that no queue can carry out, whatever state it is in.
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
		return nil
	default:
		return Errorf(CodeInvalid, "kind %s: use %q, %q or %q", quotePrefix(string(r.Kind)), ChangeMode, ChangeLimit, ChangeCancel)
	}
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

// Validate returns a [CodeInvalid] error for a limit out of range. No override is valid.
func (o *LimitOverride) Validate() error {
	if o != nil && (o.Limit < 0 || o.Limit > MaxLimit) {
		return Errorf(CodeInvalid, "limit %d: use 0 (grants none) to %d", o.Limit, MaxLimit)
	}
	return nil
}

// QueueChange is one change of a queue by hand, as it was made. Its record is kept for ever.
type QueueChange struct {
	Number  int64     `json:"n"`          // counts the changes of a queue, from 1
	Request string    `json:"request_id"` // the id of the [ChangeRequest]
	At      time.Time `json:"at"`         // the queue's clock
	Author
	Kind        QueueChangeKind `json:"kind"`
	From        string          `json:"from"`                     // a mode, a limit in words, or the status of an enforcement
	To          string          `json:"to"`                       // likewise; of a late cancel, the status that the enforcement had
	Enforcement EnforcementID   `json:"enforcement_id,omitempty"` // of a cancel
}

// QueueControl is how a queue is set by hand, with the changes that led there.
type QueueControl struct {
	// Generation is that of the queue that was set so: see [Grant].
	Generation int64 `json:"generation,omitempty"`

	Mode     QueueMode      `json:"mode"`
	Override *LimitOverride `json:"override,omitempty"`
	Changes  []QueueChange  `json:"changes"` // in number order
}

// QueueDecisions is what a queue has decided and its rows must say: tickets that end without a grant, and changes by hand.
type QueueDecisions struct {
	Settlements []Settlement `json:"settlements,omitempty"` // in the order of the decisions
	Control     QueueControl `json:"control"`
}
