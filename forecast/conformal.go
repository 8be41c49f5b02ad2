package forecast

import (
	"cmp"
	"math"
	"slices"
)

// tail is the share of the waits that may end before the interval, and likewise after it. It is a little less than 5 %, because a
// quantile of few values is uncertain, which takes from the coverage.
const tail = 0.048

// How many independent waits the priors count as: that of the scores (standard normal, and wider by priorWidth over the number of
// independent waits), and that of the check (as if the interval needed no correction).
const (
	priorScores = 16.0
	priorWidth  = 10.0
	priorCheck  = 5.0
)

// scored is the score of one recorded wait, and the times between which it was not known.
type scored struct {
	at, until, z float64
}

// distribution is the scores, mixed with the prior.
type distribution struct {
	sorted []float64
	prior  float64 // the weight of the prior; each score has 1
	width  float64 // of the prior
}

func newDistribution(scores []scored, each float64) distribution {
	d := distribution{prior: priorScores * each, width: math.Sqrt(1 + priorWidth*each/float64(len(scores)))}
	for _, s := range scores {
		d.sorted = append(d.sorted, s.z)
	}
	slices.Sort(d.sorted)
	return d
}

// share returns the share of the distribution up to a score.
func (d *distribution) share(z float64) float64 {
	i, _ := slices.BinarySearch(d.sorted, z)
	return (d.prior*normal(z/d.width) + float64(i)) / (d.prior + float64(len(d.sorted)))
}

// quantile returns a quantile. It lies within 12 standard deviations.
func (d *distribution) quantile(share float64) float64 {
	return bisect(-12, 12, func(z float64) bool { return d.share(z) < share })
}

// add adds a score.
func (d *distribution) add(z float64) {
	i, _ := slices.BinarySearch(d.sorted, z)
	d.sorted = slices.Insert(d.sorted, i, z)
}

// tails returns the shares with which nine of ten recorded waits would have been inside of the interval, and the share of the middle.
// Each wait is judged by those that had ended before.
func tails(scores []scored, each float64) (low, middle, high float64) {
	known := newDistribution(scores, each)
	known.sorted = nil
	byEnd, byStart := slices.Clone(scores), slices.Clone(scores)
	slices.SortFunc(byEnd, func(a, b scored) int { return cmp.Compare(a.until, b.until) })
	slices.SortFunc(byStart, func(a, b scored) int { return cmp.Compare(a.at, b.at) })
	var shares []float64
	for _, s := range byStart {
		for len(byEnd) > 0 && byEnd[0].until <= s.at {
			known.add(byEnd[0].z)
			byEnd = byEnd[1:]
		}
		if len(known.sorted) >= MinWaits {
			shares = append(shares, known.share(s.z))
		}
	}
	slices.Sort(shares)
	prior, all := priorCheck*each, float64(len(shares))
	quantile := func(share float64) float64 {
		return bisect(0, 1, func(u float64) bool {
			i, _ := slices.BinarySearch(shares, u)
			return (prior*u+float64(i))/(prior+all) < share
		})
	}
	return quantile(tail), quantile(0.5), quantile(1 - tail)
}
