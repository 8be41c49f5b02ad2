// Package forecast estimates how long an enforcement waits until it is granted, from the latest grants of its queue. It is a pure
// function of the recorded rows.
//
// # Method
//
// A rough prediction says: every ticket in front needs a mean hold, and so many run at once as the limit allows. It is made for
// the asked wait, and for the recorded waits of the latest grants, each with what was known at a moment of that wait. The
// quotients of the recorded waits and their predictions show how wrong the prediction usually is. The interval is the prediction
// times the quantiles of these quotients, taken from the waits that are the most like the asked one. This is conformal prediction.
//
// Run times change. So the mean hold follows the latest releases, and holders that hold for longer than it raise it.
//
// # Limits
//
// A change that no recorded wait shows, such as a new limit, makes the first estimates after it wrong. A pause is not foreseen.
package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Bounds of the sample.
const (
	Grants    = 600 // the latest grants of a queue that an estimate uses
	MinGrants = 20  // without so many waits there is no estimate
)

const (
	tail    = 0.062 // the share of the quotients beyond each end: a little more than 5 %, because the sample is small and smoothed
	similar = 0.7   // the difference of the logarithms of two predictions that halves the weight of a wait
	memory  = 3     // half-life of the mean hold, in releases
	floor   = 0.05  // the least predicted wait, in mean holds
)

// Spot is a place in the line.
type Spot struct {
	Ahead     int // tickets in front, in the whole line
	InLane    int // tickets in front, in the lane
	Lane      int32
	Limit     int  // of the queue
	LaneLimit *int // of the lane; nil: bounded by the queue only
}

// Wait estimates the rest of the wait at a spot. grants are the latest grants of the queue, up to [Grants], in any order. It returns
// [attune.CodeNotFound] and the reason if there are too few.
func Wait(now time.Time, spot Spot, grants []attune.LoggedGrant) (attune.Estimate, error) {
	l := newLog(grants)
	waits := l.waits(spot)
	if len(waits) < MinGrants {
		return attune.Estimate{}, attune.Errorf(attune.CodeNotFound,
			"only %d of the latest grants had waited: an estimate needs %d", len(waits), MinGrants)
	}
	predicted := l.predict(now, spot, l.activity(now))
	low, high := quantiles(waits, math.Log(predicted))
	return attune.Estimate{
		Low: seconds(predicted * math.Exp(low)), Likely: seconds(predicted * math.Exp(middle(waits))), High: seconds(predicted * math.Exp(high)),
	}, nil
}

func seconds(s float64) time.Duration {
	return time.Duration(min(s, math.MaxInt64/2/float64(time.Second)) * float64(time.Second)).Round(time.Millisecond)
}

// wait is a recorded wait: the logarithms of the prediction that was possible at one moment, and of the quotient of the rest of the
// wait and that prediction.
type wait struct {
	predicted, quotient float64
}

// log is the latest grants of a queue.
type log struct {
	grants   []attune.LoggedGrant // by the time of the decision
	ends     []time.Time          // of the holds, ascending
	holds    []float64            // the weighted mean of the holds after each end, in seconds
	earliest time.Time            // of the grants
}

func newLog(grants []attune.LoggedGrant) *log {
	l := &log{grants: slices.Clone(grants)}
	slices.SortFunc(l.grants, func(a, b attune.LoggedGrant) int {
		return cmp.Or(a.GrantedAt.Compare(b.GrantedAt), cmp.Compare(a.Number, b.Number))
	})
	if len(l.grants) > 0 {
		l.earliest = l.grants[0].GrantedAt
	}
	ended := slices.DeleteFunc(slices.Clone(l.grants), func(g attune.LoggedGrant) bool { return g.ReleasedAt == nil })
	slices.SortFunc(ended, func(a, b attune.LoggedGrant) int { return a.ReleasedAt.Compare(*b.ReleasedAt) })
	mean, weight, keep := 0.0, 0.0, math.Pow(0.5, 1.0/memory)
	for _, grant := range ended {
		weight = weight*keep + 1
		mean += (max(0, grant.ReleasedAt.Sub(grant.GrantedAt).Seconds()) - mean) / weight
		l.ends, l.holds = append(l.ends, *grant.ReleasedAt), append(l.holds, mean)
	}
	return l
}

// activity is what a queue was doing at one time.
type activity struct {
	held int     // slots
	ages float64 // the sum of the times for which the slots had been held, in seconds
	over float64 // the sum of what these times exceeded the mean hold, in seconds
}

// holdAt returns the mean hold before a time, in seconds; 0 without one.
func (l *log) holdAt(t time.Time) float64 {
	n, _ := slices.BinarySearchFunc(l.ends, t, time.Time.Compare)
	if n == 0 {
		return 0
	}
	return l.holds[n-1]
}

func (l *log) activity(t time.Time) (a activity) {
	mean := l.holdAt(t)
	for i := range l.grants {
		grant := &l.grants[i]
		if grant.GrantedAt.After(t) {
			break
		}
		if grant.ReleasedAt == nil || grant.ReleasedAt.After(t) {
			age := t.Sub(grant.GrantedAt).Seconds()
			a.held++
			a.ages += age
			a.over += max(0, age-mean)
		}
	}
	return a
}

// predict returns the rough prediction of the rest of the wait at a spot, in seconds. Slots that are held for longer than the mean show
// that the holds have become longer.
func (l *log) predict(t time.Time, spot Spot, a activity) float64 {
	hold := l.holdAt(t)
	if a.held > 0 {
		hold += a.over / (float64(a.held) + 1)
	}
	predicted := float64(spot.Ahead+1) * hold / float64(max(spot.Limit, 1))
	if spot.LaneLimit != nil {
		predicted = max(predicted, float64(spot.InLane+1)*hold/float64(max(*spot.LaneLimit, 1)))
	}
	return max(predicted, floor*hold, 0.001)
}

// waits returns the recorded waits. Each is seen at a moment that its number chooses.
func (l *log) waits(spot Spot) []wait {
	const golden = 0.6180339887498949
	var waits []wait
	for i, grant := range l.grants {
		from := grant.EnqueuedAt
		if from.Before(l.earliest) {
			from = l.earliest
		}
		_, part := math.Modf(float64(grant.Number) * golden)
		at := from.Add(time.Duration(part * float64(grant.GrantedAt.Sub(from))))
		if len(l.ends) == 0 || !at.After(l.ends[0]) || !grant.GrantedAt.After(at) {
			continue
		}
		seen := Spot{Limit: grant.Limit, LaneLimit: spot.LaneLimit}
		for j := i - 1; j >= 0 && l.grants[j].GrantedAt.After(at); j-- {
			if other := &l.grants[j]; other.Sequence < grant.Sequence {
				seen.Ahead++
				if other.Lane == grant.Lane {
					seen.InLane++
				}
			}
		}
		predicted := l.predict(at, seen, l.activity(at))
		rest := max(grant.GrantedAt.Sub(at).Seconds(), 0.001)
		waits = append(waits, wait{math.Log(predicted), math.Log(rest / predicted)})
	}
	return waits
}

// likeness is the weight of a wait for another prediction.
func (w wait) likeness(predicted float64) float64 {
	distance := (w.predicted - predicted) / similar
	return 1 / (1 + distance*distance)
}

// quantiles returns quantiles of the quotients, weighted by how much the waits are like one with a prediction.
func quantiles(waits []wait, predicted float64) (low, high float64) {
	sorted := slices.Clone(waits)
	slices.SortFunc(sorted, func(a, b wait) int { return cmp.Compare(a.quotient, b.quotient) })
	ranks, sum := make([]float64, len(sorted)), 0.5
	for i, w := range sorted {
		weight := w.likeness(predicted)
		ranks[i] = sum + weight/2
		sum += weight
	}
	sum += 0.5
	at := func(share float64) float64 {
		n, want := len(sorted), share*sum
		i, _ := slices.BinarySearch(ranks, want)
		switch {
		case i == 0: // beyond the least quotient: as far as the middle half is wide
			return sorted[0].quotient - (ranks[0]-want)/sum*4*(sorted[n*3/4].quotient-sorted[n/4].quotient)
		case i == n:
			return sorted[n-1].quotient + (want-ranks[n-1])/sum*4*(sorted[n*3/4].quotient-sorted[n/4].quotient)
		}
		part := (want - ranks[i-1]) / (ranks[i] - ranks[i-1])
		return sorted[i-1].quotient + part*(sorted[i].quotient-sorted[i-1].quotient)
	}
	return at(tail), at(1 - tail)
}

func middle(waits []wait) float64 {
	quotients := make([]float64, len(waits))
	for i, w := range waits {
		quotients[i] = w.quotient
	}
	slices.Sort(quotients)
	return quotients[len(quotients)/2]
}
