package api

import (
	"fmt"
	"strconv"
	"time"

	"github.com/attune-go/attune"
)

// The levels of an [Obstacle].
const (
	heldByPause  = "pause"
	heldByQueue  = "queue"
	heldByAction = "action"
	heldByLane   = "lane"
	heldByRate   = "rate"
	heldByRetry  = "retry"
)

// Obstacle is one thing that keeps an enforcement waiting: a level whose slots are held or at which others come first, a rate, the pause
// of the queue, or the delay of a retry.
type Obstacle struct {
	Level   string           `json:"level" enum:"pause,queue,action,lane,rate,retry" doc:"What holds it"`
	Limit   *int             `json:"limit,omitempty" doc:"Slots of the level, or starts in the window of the rate"`
	Active  *int64           `json:"active,omitempty" doc:"Slots held at the level, or starts in the window"`
	Until   *time.Time       `json:"until,omitempty" doc:"When a manual limit ends; absent for any other limit, and for one that stays"`
	Action  attune.Ref       `json:"action_ref,omitempty" doc:"The action of the level or of the rate; absent for those of the queue"`
	Key     *string          `json:"key,omitempty" doc:"Of a lane: text of the key's value"`
	Rate    string           `json:"rate,omitempty" doc:"Name of the rate"`
	Window  *attune.Duration `json:"window,omitempty" doc:"Window of the rate"`
	OpensAt *time.Time       `json:"opens_at,omitempty" doc:"When the rate allows the next start, or the next attempt may start"`
	Holders []WaitHolder     `json:"holders,omitempty" doc:"The first holders at the level, up to 10; active counts all of them"`
	Ahead   int64            `json:"ahead" doc:"How many enforcements of the level come first"`
	InFront []WaitInFront    `json:"in_front,omitempty" doc:"The nearest of those that come first, up to 10"`
}

// WaitHolder is an enforcement that holds a slot for which another one waits.
type WaitHolder struct {
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Action      attune.Ref             `json:"action_ref"`
	Key         *string                `json:"key,omitempty" doc:"Text of the key's value; absent without lanes"`
	HeldSince   time.Time              `json:"held_since"`
	Execution   attune.ExecutionID     `json:"execution_id,omitempty"`
	Status      attune.ExecutionStatus `json:"status,omitempty"`
	Worker      string                 `json:"worker,omitempty"`
	RetryAt     *time.Time             `json:"retry_at,omitempty" doc:"Earliest start of the next attempt, for which it keeps the slot"`
}

// WaitInFront is an enforcement that comes first.
type WaitInFront struct {
	Enforcement attune.EnforcementID `json:"enforcement_id"`
	Action      attune.Ref           `json:"action_ref"`
	Key         *string              `json:"key,omitempty" doc:"Text of the key's value; absent without lanes"`
	Sequence    int64                `json:"sequence"`
	QueuedAt    time.Time            `json:"queued_at"`
}

// full reports whether a level has no room.
func (o Obstacle) full() bool {
	return o.Limit != nil && o.Active != nil && *o.Active >= int64(*o.Limit)
}

// sentence says the obstacle in a sentence of its own. It is empty for what the sentence about the line says.
func (o Obstacle) sentence() string {
	switch {
	case o.Level == heldByAction:
		return fmt.Sprintf(" %d of %d slots of the action %s are held.", *o.Active, *o.Limit, o.Action)
	case o.Level == heldByLane && o.full():
		return fmt.Sprintf(" %d of %d slots of the key %s are held.", *o.Active, *o.Limit, laneWords(o.Key))
	case o.Level == heldByLane:
		return fmt.Sprintf(" In the lane of the key %s, %d come first.", laneWords(o.Key), o.Ahead)
	case o.Level == heldByRate:
		return fmt.Sprintf(" The rate %s allows the next start at %s.", o.Rate, attune.FormatTime(*o.OpensAt))
	default:
		return ""
	}
}

func laneWords(key *string) string {
	if key == nil {
		return "(none)"
	}
	return strconv.Quote(attune.EscapeText(*key))
}
