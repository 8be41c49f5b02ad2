package attune

import (
	"math"
	"slices"
	"time"
)

// Estimate is how long a waiting enforcement will probably go on waiting. The range holds nine times out of ten as long as
// the queue goes on as it did lately. A change of the limit, or work that suddenly takes longer, makes the estimate wrong.
type Estimate struct {
	Low    time.Duration
	Likely time.Duration
	High   time.Duration
}

// EstimateGrants is how many of the latest grants of a queue an estimate is made from: enough for a mean, few enough to follow
// a change.
const EstimateGrants = 60

// minEstimateSamples is how many turnovers an estimate needs at least.
const minEstimateSamples = 5

// ninetyPercent is the number of standard deviations to each side that hold nine cases out of ten.
const ninetyPercent = 1.645

// EstimateWait estimates the wait of the enforcement at position (1 is next) from the times between the latest releases of a
// queue that was busy all along. The margin has two parts: the variance of the sum of as many turnovers as there are
// positions, and the uncertainty of the mean of the samples. ok is false for a position below 1 and for fewer than 5 samples.
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

// Turnovers are the times between consecutive releases while the queue had a line: the next grant to be released was queued
// or requested before the release. grants may come in any order; grants that still hold their slots are skipped.
func Turnovers(grants []LoggedGrant) []time.Duration {
	released := slices.DeleteFunc(slices.Clone(grants), func(g LoggedGrant) bool { return g.ReleasedAt == nil })
	slices.SortFunc(released, func(a, b LoggedGrant) int { return a.ReleasedAt.Compare(*b.ReleasedAt) })
	var turnovers []time.Duration
	for i := 1; i < len(released); i++ {
		before, after := released[i-1], released[i]
		if after.RequestedAt.After(*before.ReleasedAt) && after.EnqueuedAt.After(*before.ReleasedAt) {
			continue // the line was empty in between: the queue was idle
		}
		turnovers = append(turnovers, after.ReleasedAt.Sub(*before.ReleasedAt))
	}
	return turnovers
}
