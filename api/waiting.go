package api

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
)

// WaitReader reads what waiting enforcements wait for.
type WaitReader interface {
	// Waiting returns what a waiting enforcement of a queue waits for, at one instant. The position of an enforcement that does not wait
	// is 0.
	Waiting(ctx context.Context, key attune.QueueKey, id attune.EnforcementID) (attune.Wait, error)
}

// explainWait sets the position, the reasons and the estimate of a waiting enforcement.
func (s *Server) explainWait(ctx context.Context, e *Enforcement) error {
	wait, err := s.deps.Queues.Waiting(ctx, e.Queue, e.ID)
	if err != nil || wait.Position() == 0 {
		return err // position 0: the enforcement was granted since it was read
	}
	e.Position, e.HeldBy = wait.Position(), heldBy(wait)
	e.Why = why(wait, e.HeldBy)
	if x := e.Execution; x != nil && x.Status == attune.ExecutionRetrying {
		e.Why = fmt.Sprintf("Attempt %d %s, and it is back in the line. %s", x.Attempt, howEnded(x.AttemptStatus), e.Why)
	}
	e.Estimate, e.NoEstimate = estimateOf(wait)
	return nil
}

// whyRetrying says why an enforcement waits between two attempts outside of the line. It is empty for any other enforcement.
func whyRetrying(status attune.EnforcementStatus, x *ExecutionRef) (string, []Obstacle) {
	switch {
	case x == nil || x.Status != attune.ExecutionRetrying:
		return "", nil
	case status == attune.EnforcementParked:
		return fmt.Sprintf("Attempt %d %s. It is parked until a person retries or cancels it.", x.Attempt, howEnded(x.AttemptStatus)),
			[]Obstacle{{Level: heldByRetry}}
	case x.RetryAt == nil:
		return "", nil
	default:
		return fmt.Sprintf("Attempt %d %s. It keeps its slot for the next attempt, which starts at %s or later.",
			x.Attempt, howEnded(x.AttemptStatus), attune.FormatTime(*x.RetryAt)), []Obstacle{{Level: heldByRetry, OpensAt: x.RetryAt}}
	}
}

// why says why an enforcement has no grant yet.
func why(w attune.Wait, obstacles []Obstacle) string {
	place := "It is next in line"
	if position := w.Position(); position > 1 {
		place = fmt.Sprintf("It is number %d in line", position)
	}
	active, limit := w.Queue.Active, w.Limit()
	switch {
	case w.Mode == attune.QueuePaused:
		place += ". The queue is paused: it grants nothing until it is resumed."
	case limit == 0:
		place += ". The limit is 0: the queue grants nothing until the limit is raised."
	case active < int64(limit) && !blocked(obstacles):
		return place + fmt.Sprintf(". %d of %d slots are held, and the next grant is on its way.", active, limit)
	default:
		place += fmt.Sprintf(". %d of %d slots are held.", active, limit)
	}
	for _, o := range obstacles {
		place += o.sentence()
	}
	return place
}

// blocked reports whether an obstacle is more than the tickets in front.
func blocked(obstacles []Obstacle) bool {
	for _, o := range obstacles {
		if o.OpensAt != nil || o.full() {
			return true
		}
	}
	return false
}
