package api

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
)

// Estimate is the estimated rest of a wait. If the queue keeps its recent pace, the wait ends between Low and High in nine of
// ten cases.
type Estimate struct {
	Low    attune.Duration `json:"low"`
	Likely attune.Duration `json:"likely"`
	High   attune.Duration `json:"high"`
}

// explainWait sets the position, the reason and the estimate of a waiting enforcement.
func (s *Server) explainWait(ctx context.Context, e *Enforcement) error {
	position, err := s.deps.Enforcements.Position(ctx, e.ID)
	if err != nil || position == 0 {
		return err // position 0: the enforcement was granted since it was read
	}
	stats, err := s.deps.Queues.Stats(ctx, e.Queue)
	if err != nil {
		return err
	}
	e.Position, e.Why = position, why(position, stats)
	if x := e.Execution; x != nil && x.Status == attune.ExecutionRetrying {
		e.Why = fmt.Sprintf("Attempt %d %s, and it is back in the line. %s", x.Attempt, howEnded(x.AttemptStatus), e.Why)
	}
	if !canGrant(stats) {
		return nil
	}
	grants, err := s.deps.Queues.Grants(ctx, e.Queue, attune.Page{Limit: attune.EstimateGrants})
	if err != nil {
		return err
	}
	e.Estimate = estimate(position, stats, grants)
	return nil
}

// canGrant reports whether a queue can grant tickets: it is not paused, and its limit is above 0.
func canGrant(stats attune.QueueStats) bool {
	return stats.Mode != attune.QueuePaused && stats.MaxConcurrent > 0
}

// estimate returns the estimated time until the ticket at a position is granted. It is nil when the queue cannot grant or has
// too few recent grants.
func estimate(position int64, stats attune.QueueStats, latest []attune.LoggedGrant) *Estimate {
	if !canGrant(stats) {
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

// whyRetrying says why an enforcement waits between two attempts outside of the line. It is empty for any other enforcement.
func whyRetrying(status attune.EnforcementStatus, x *ExecutionRef) string {
	switch {
	case x == nil || x.Status != attune.ExecutionRetrying:
		return ""
	case status == attune.EnforcementParked:
		return fmt.Sprintf("Attempt %d %s. It is parked until a person retries or cancels it.", x.Attempt, howEnded(x.AttemptStatus))
	case x.RetryAt == nil:
		return ""
	default:
		return fmt.Sprintf("Attempt %d %s. It keeps its slot for the next attempt, which starts at %s or later.",
			x.Attempt, howEnded(x.AttemptStatus), attune.FormatTime(*x.RetryAt))
	}
}

// why says why an enforcement at a position of the line has no grant yet.
func why(position int64, stats attune.QueueStats) string {
	place := "It is next in line"
	if position > 1 {
		place = fmt.Sprintf("It is number %d in line", position)
	}
	switch {
	case stats.Mode == attune.QueuePaused:
		return place + ". The queue is paused: it grants nothing until it is resumed."
	case stats.MaxConcurrent == 0:
		return place + ". The limit is 0: the queue grants nothing until the limit is raised."
	case stats.ActiveCount >= int64(stats.MaxConcurrent):
		return fmt.Sprintf("%s. %d of %d slots are held.", place, stats.ActiveCount, stats.MaxConcurrent)
	default:
		return fmt.Sprintf("%s. %d of %d slots are held, and the next grant is on its way.", place, stats.ActiveCount, stats.MaxConcurrent)
	}
}
