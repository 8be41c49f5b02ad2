package semaphore

import (
	"time"

	"github.com/attune-go/attune"
)

// Level is where a limit or a rate stands.
type Level string

// The levels of a queue, from the widest.
const (
	LevelQueue  Level = "queue"
	LevelAction Level = "action"
	LevelLane   Level = "lane"
)

// ObstacleKind says what an obstacle is.
type ObstacleKind string

// The kinds of obstacles.
const (
	ObstaclePaused ObstacleKind = "paused" // the queue is paused
	ObstacleGap    ObstacleKind = "gap"    // a ticket in front has not arrived
	ObstacleLimit  ObstacleKind = "limit"  // as many holders as the limit allows, at a level
	ObstacleRate   ObstacleKind = "rate"   // as many starts as the rates allow, at a level
	ObstacleAhead  ObstacleKind = "ahead"  // another ticket comes first, in the lane or in the line
)

// Obstacle is one reason why a waiting ticket is not granted.
//
// Stored in Temporal's history: part of the result of an update.
type Obstacle struct {
	Kind    ObstacleKind    `json:"kind"`
	Level   Level           `json:"level"`
	Limit   int             `json:"limit,omitempty"`         // of an [ObstacleLimit], and of the rate of an [ObstacleRate]
	Holders int             `json:"holders,omitempty"`       // of an [ObstacleLimit]: slots held at the level
	Rate    string          `json:"rate,omitempty"`          // of an [ObstacleRate]: name of the rate of the level that opens last
	Window  attune.Duration `json:"window,omitempty"`        // of the rate
	OpensAt time.Time       `json:"opens_at,omitzero"`       // of an [ObstacleRate]: when the rates of the level allow the next start
	Ahead   int64           `json:"ahead_sequence,omitzero"` // of an [ObstacleAhead]: the sequence that comes first
}

// bound returns the obstacle as the bound that makes a queue busy.
func (o Obstacle) bound() attune.Bound {
	switch o.Kind {
	case ObstaclePaused:
		return attune.Bound{Name: attune.BoundPaused}
	case ObstacleRate:
		return attune.Bound{Name: attune.BoundRate, Limit: o.Limit, Count: o.Limit, Window: o.Window, OpensAt: o.OpensAt}
	case ObstacleLimit:
		names := map[Level]attune.BoundName{
			LevelQueue: attune.BoundLimit, LevelAction: attune.BoundActionLimit, LevelLane: attune.BoundLimitPerKey,
		}
		return attune.Bound{Name: names[o.Level], Limit: o.Limit, Count: o.Holders}
	default:
		return attune.Bound{Name: attune.BoundLine}
	}
}

// Obstacles returns everything that keeps a waiting ticket from its grant, the widest level first. A ticket without an obstacle
// waits for the tickets that the queue grants before it in the same turn. A ticket that does not wait has none.
func (s *State) Obstacles(ticket attune.Ticket) (all []Obstacle) {
	early := placeIn(s.early, ticket)
	index := s.line.find(ticket)
	if early < 0 && index < 0 {
		return nil
	}
	if early >= 0 {
		ticket = s.early[early]
	} else {
		ticket = s.line.waiters[index].Ticket
	}
	if s.mode == attune.QueuePaused {
		all = append(all, Obstacle{Kind: ObstaclePaused, Level: LevelQueue})
	}
	if early >= 0 {
		all = append(all, Obstacle{Kind: ObstacleGap, Level: LevelQueue})
	}
	all = append(all, s.limitsReached(ticket)...)
	all = append(all, s.ratesUsedUp(ticket)...)
	return append(all, s.ahead(ticket)...)
}

func (s *State) limitsReached(ticket attune.Ticket) (all []Obstacle) {
	reached := func(level Level, limit *int, holders int) {
		if limit != nil && holders >= *limit {
			all = append(all, Obstacle{Kind: ObstacleLimit, Level: level, Limit: *limit, Holders: holders})
		}
	}
	limits := s.limits(ticket)
	reached(LevelQueue, new(s.Limit()), len(s.holders))
	reached(LevelAction, limits.Limit, s.line.levels.holdersOfAction(ticket.Action))
	reached(LevelLane, s.line.levels.limitOfLane(ticket.Lane, ticket.Action), s.line.levels.holdersOfLane(ticket.Lane))
	return all
}

func (s *State) ratesUsedUp(ticket attune.Ticket) (all []Obstacle) {
	if !s.queueOpen() {
		all = append(all, s.usedUp(LevelQueue, wholeQueue))
	}
	if ticket.Action != wholeQueue && s.line.levels.closed[ticket.Action] {
		all = append(all, s.usedUp(LevelAction, ticket.Action))
	}
	return all
}

// usedUp returns the rate that closes an action, or the queue, the longest.
func (s *State) usedUp(level Level, action attune.ActionID) Obstacle {
	rate, at := s.lastToOpen(action)
	return Obstacle{Kind: ObstacleRate, Level: level, Rate: rate.Name, Limit: rate.Limit, Window: rate.Window, OpensAt: at}
}

func (s *State) ahead(ticket attune.Ticket) []Obstacle {
	level, first := LevelLane, ticket
	for other := range s.line.inLane(ticket.Lane) {
		first = other
		break
	}
	if s.policy.Across != attune.AcrossSkip && s.line.length > 0 {
		level, first = LevelQueue, s.line.waiters[s.line.first].Ticket
	}
	if first.Sequence >= ticket.Sequence {
		return nil
	}
	return []Obstacle{{Kind: ObstacleAhead, Level: level, Ahead: first.Sequence}}
}
