package worker

import (
	"fmt"
	"sync"

	"github.com/attune-go/attune/worker/supervise"
)

// ownLimits are the resource limits of the worker at its start. Every process of its user can change those that it has.
type ownLimits struct {
	limits  *supervise.Limits // nil: unknown
	lowered sync.Once         // the log says that a hard limit was lowered
}

// read must be called before the worker runs an action.
func (o *ownLimits) read() (err error) {
	if o.limits, err = supervise.ReadLimits(); err != nil {
		return fmt.Errorf("read the resource limits: %w", err)
	}
	return nil
}

// restoreLimits gives the worker the limits that it had at its start, as far as it may.
func (s *supervisors) restoreLimits() {
	if err := s.own.limits.Restore(); err != nil {
		s.own.lowered.Do(func() {
			s.logger().Error("another process of the worker's user has lowered a hard limit of the worker: restart the worker, and run "+
				"its actions as a user of their own (worker.action_user)", "error", err)
		})
	}
}
