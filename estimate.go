package attune

import (
	"math"
	"slices"
	"time"
)

// Estimate is the probable remaining wait of an enforcement in its queue. While the queue releases slots at its recent rate,
// nine of ten waits are within Low and High. A new limit, or executions that take longer than before, make it wrong.
type Estimate struct {
	Low    time.Duration
	Likely time.Duration
	High   time.Duration
}

// EstimateGrants is the number of latest grants of a queue that an estimate uses. It is enough for a mean, and few enough to
// follow a change.
const EstimateGrants = 60

// minEstimateSamples is the least number of turnovers that an estimate needs.
const minEstimateSamples = 5

// ninetyPercent is the quantile of the normal distribution: nine of ten values are within so many standard deviations.
const ninetyPercent = 1.645

// EstimateWait estimates the wait of the enforcement at position, where position 1 is the next to be granted. turnovers are the
// times between the latest releases of the queue: see [Turnovers]. The margin has two parts: the variance of the sum of
// position turnovers, and the uncertainty of the mean of the samples. ok is false for a position below 1 and for fewer than 5
// turnovers.
func EstimateWait(position int64, turnovers []time.Duration) (estimate Estimate, ok bool) {
	if position < 1 || len(turnovers) < minEstimateSamples {
		return Estimate{}, false
	}
	n, p := float64(len(turnovers)), float64(position)
	mean, variance := 0.0, 0.0
	for _, t := range turnovers {
		mean += t.Seconds() / n
	}
	for _, t := range turnovers {
		variance += (t.Seconds() - mean) * (t.Seconds() - mean) / (n - 1)
	}
	likely := p * mean
	margin := ninetyPercent * math.Sqrt(variance*(p+p*p/n))
	seconds := func(s float64) time.Duration {
		return time.Duration(max(s, 0) * float64(time.Second)).Round(time.Millisecond)
	}
	return Estimate{Low: seconds(likely - margin), Likely: seconds(likely), High: seconds(likely + margin)}, true
}

// Turnovers returns the times between consecutive releases of a queue, in the order of the releases. It skips the times in
// which the queue was idle: the grant that is released next was queued and requested only after the release before. grants may
// be in any order; grants that still hold their slots are skipped.
func Turnovers(grants []LoggedGrant) []time.Duration {
	released := slices.DeleteFunc(slices.Clone(grants), func(g LoggedGrant) bool { return g.ReleasedAt == nil })
	slices.SortFunc(released, func(a, b LoggedGrant) int { return a.ReleasedAt.Compare(*b.ReleasedAt) })
	var turnovers []time.Duration
	for i := 1; i < len(released); i++ {
		before, after := released[i-1], released[i]
		if after.RequestedAt.After(*before.ReleasedAt) && after.EnqueuedAt.After(*before.ReleasedAt) {
			continue // the queue was idle between the two releases
		}
		turnovers = append(turnovers, after.ReleasedAt.Sub(*before.ReleasedAt))
	}
	return turnovers
}
