package attune

import "time"

// BoundName names what of a queue refuses a newcomer: a field of its policy, or its mode.
type BoundName string

// The bounds of a queue.
const (
	BoundMaxQueued       BoundName = "max_queued"
	BoundMaxQueuedPerKey BoundName = "max_queued_per_key"
	BoundDraining        BoundName = "draining" // the queue accepts nothing until it is resumed

	// The bounds that make a queue busy, for a newcomer with [BusySkip].
	BoundLimit       BoundName = "limit" // of the queue
	BoundActionLimit BoundName = "action_limit"
	BoundLimitPerKey BoundName = "limit_per_key"
	BoundRate        BoundName = "rate"   // of starts
	BoundPaused      BoundName = "paused" // the queue grants nothing until it is resumed
	BoundLine        BoundName = "line"   // other tickets come first
)

// Bound is a bound of a queue at the moment at which it refused a ticket.
//
// Stored in Temporal's history: part of a [Settlement].
type Bound struct {
	Name  BoundName `json:"name"`
	Limit int       `json:"limit"` // what the bound allows; 0 for a mode, and for other tickets that come first
	// Count is the tickets that wait without the refused one: in the queue, or in the lane for [BoundMaxQueuedPerKey]. For a
	// limit, it is the slots that are held at its level; for a rate, the starts in the window.
	Count   int       `json:"count"`
	Window  Duration  `json:"window,omitempty"`  // of a rate
	OpensAt time.Time `json:"opens_at,omitzero"` // when a rate allows the next start
}

// PerKey reports whether the bound is one of a lane.
func (b BoundName) PerKey() bool { return b == BoundMaxQueuedPerKey || b == BoundLimitPerKey }

// Refusal returns the bound as the refusal of an enforcement by a queue, without the key: that is the lane of the enforcement.
func (b Bound) Refusal(queue QueueKey) GateRefusal {
	refusal := GateRefusal{
		GateID: GateID{Kind: GateQueue, Scope: "queue", Ref: string(queue), Name: string(b.Name)},
		Limit:  b.Limit, Count: int64(b.Count), Cost: 1,
	}
	if b.Window > 0 {
		refusal.Window = &b.Window
	}
	if !b.OpensAt.IsZero() {
		refusal.RetryAt = &b.OpensAt
	}
	return refusal
}
