package api

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
)

// Estimate is a range that the rest of the wait is in nine times out of ten, as long as the queue goes on as it did lately.
type Estimate struct {
	Low    attune.Duration `json:"low"`
	Likely attune.Duration `json:"likely"`
	High   attune.Duration `json:"high"`
}

// explainWait says where a waiting enforcement stands, why it waits, and how much longer it probably will.
func (s *Server) explainWait(ctx context.Context, e *Enforcement) error {
	position, err := s.deps.Enforcements.Position(ctx, e.ID)
	if err != nil || position == 0 {
		return err // granted a moment ago
	}
	stats, err := s.deps.Queues.Stats(ctx, e.Queue)
	if err != nil {
		return err
	}
	e.Position, e.Why = position, why(position, stats)
	if x := e.Execution; x != nil && x.Status == attune.ExecutionRetrying {
		e.Why = fmt.Sprintf("It is back in the line after attempt %d %s. %s", x.Attempt, howEnded(x.AttemptStatus), e.Why)
	}
	if !moves(stats) {
		return nil
	}
	grants, err := s.deps.Queues.Grants(ctx, e.Queue, attune.Page{Limit: attune.EstimateGrants})
	if err != nil {
		return err
	}
	e.Estimate = estimate(position, stats, grants)
	return nil
}

// moves reports whether a queue grants at all.
func moves(stats attune.QueueStats) bool {
	return stats.Mode != attune.QueuePaused && stats.MaxConcurrent > 0
}

// estimate is the time until the ticket at a position is granted; nil when the queue does not move or too little is known.
func estimate(position int64, stats attune.QueueStats, latest []attune.LoggedGrant) *Estimate {
	if !moves(stats) {
		return nil
	}
	estimate, ok := attune.EstimateWait(position, attune.Turnovers(latest))
	if !ok {
		return nil
	}
	return &Estimate{
		Low: attune.Duration(estimate.Low), Likely: attune.Duration(estimate.Likely), High: attune.Duration(estimate.High),
	}
}

// whyBetween says why an enforcement waits that is between two attempts and not in the line; nothing if it is not.
func whyBetween(status attune.EnforcementStatus, x *ExecutionRef) string {
	switch {
	case x == nil || x.Status != attune.ExecutionRetrying:
		return ""
	case status == attune.EnforcementParked:
		return fmt.Sprintf("It is parked after attempt %d %s, until somebody retries or cancels it.", x.Attempt, howEnded(x.AttemptStatus))
	case x.RetryAt == nil:
		return ""
	default:
		return fmt.Sprintf("It keeps its slot after attempt %d %s, until the next attempt at %s.",
			x.Attempt, howEnded(x.AttemptStatus), clock(*x.RetryAt))
	}
}

func why(position int64, stats attune.QueueStats) string {
	front := "It is next"
	if position > 1 {
		front = fmt.Sprintf("%d wait in front of it", position-1)
	}
	switch {
	case stats.Mode == attune.QueuePaused:
		return front + ", and the queue is paused: nobody is granted before it is resumed."
	case stats.MaxConcurrent == 0:
		return front + ", and the limit is 0: nobody is granted before it is raised."
	case stats.ActiveCount >= int64(stats.MaxConcurrent):
		return fmt.Sprintf("%s, and %d of %d slots are held.", front, stats.ActiveCount, stats.MaxConcurrent)
	default:
		return fmt.Sprintf("%s; %d of %d slots are held, and grants are on their way.", front, stats.ActiveCount, stats.MaxConcurrent)
	}
}
