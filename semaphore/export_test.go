package semaphore

import (
	"math"

	"github.com/attune-go/attune"
)

// Undelivered returns up to n undelivered grants, tentative ones included, in grant order.
func (s *State) Undelivered(n int) []attune.Grant { return s.undelivered(n, math.MaxInt64) }
