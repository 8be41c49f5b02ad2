package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// InspectAfter is how long a holder keeps its slot before it is inspected, and the interval of further inspections. So a lost
// release blocks a slot for about five minutes at most, and a long run costs one inspection per interval.
const InspectAfter = 5 * time.Minute

// SetInspectAfter replaces [InspectAfter] for later grants.
func (s *State) SetInspectAfter(d time.Duration) { s.inspectAfter = d }

// InspectAt returns the earliest time at which [State.Suspects] returns a grant, or false without a holder.
func (s *State) InspectAt() (time.Time, bool) {
	if len(s.holders) == 0 {
		return time.Time{}, false
	}
	next := slices.MinFunc(s.holders, func(a, b Holder) int { return a.InspectAt.Compare(b.InspectAt) })
	return next.InspectAt, true
}

// Suspects returns the grants of the holders that are due for inspection, and schedules the next inspection of each. The caller
// inspects their rows and calls [State.Inspected].
func (s *State) Suspects(now time.Time) []attune.Grant {
	var grants []attune.Grant
	for i := range s.holders {
		if holder := &s.holders[i]; !holder.InspectAt.After(now) {
			holder.InspectAt = precise(now.Add(s.inspectAfter))
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// Inspected applies the rows of suspects. The slots of ended tickets become free. The grants of tickets whose rows still wait
// are delivered again. The other suspects keep their slots: they run or wait for their next attempt.
func (s *State) Inspected(now time.Time, ended, waiting []attune.Ticket) {
	for _, ticket := range ended {
		if s.dropHolder(ticket) {
			s.counters.Completed++
			s.counters.Recovered++
		}
	}
	for _, ticket := range waiting {
		s.redeliver(ticket)
	}
	s.proceed(now)
}
