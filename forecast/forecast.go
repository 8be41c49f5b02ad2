// Package forecast estimates how long an enforcement waits until it is granted, from the latest grants of its queue. It is a pure
// function of recorded rows: the same rows give the same answer.
//
// # Method
//
// The package makes a rough prediction, and learns from recorded waits how wrong it usually is.
//
//  1. The prediction. A level (queue, action, lane) grants a ticket after a number of releases, and the level has as many slots as its
//     limit. So the wait is the mean hold, times the releases, over the slots; the slowest level decides. The mean hold follows the
//     latest releases with a half-life, and slots that are held for longer than it raise it.
//  2. The spread. The relative variance is that of a sum of independent holds, plus that of the mean hold, plus a part for changes. The
//     half-life and the two parts are those with the greatest likelihood for the recorded waits. The cube root of the quotient of a
//     wait and its prediction is nearly normal (Wilson and Hilferty, 1931), so each recorded wait yields a standard score.
//  3. The quantiles. The interval is that of the recorded scores, mixed with a normal prior. This is split conformal prediction with
//     normalized scores (Vovk, Gammerman and Shafer, 2005; Lei and others, 2018). Waits that overlap see the same runs, so the package
//     counts as many independent waits as fit one after the other. The fewer these are, the more the prior weighs, and the wider it is.
//     As far as the spread comes from a change that shows only now, recorded waits say little, and the normal quantile counts.
//  4. The check. For each recorded wait, the package looks up which quantile its score had among the waits that had ended before.
//     The tails of the interval are chosen so that nine of ten of these would have been inside. It is the offline form of adaptive
//     conformal inference (Gibbs and Candès, 2021), and what makes the interval hold while run times change.
//
// A wait at its beginning differs from one that has lasted. So a wait that has just begun is compared with the beginnings of recorded
// waits, and any other wait with a moment inside of each.
//
// # Limits
//
// A change that no recorded wait has seen, such as a new limit, makes the first estimates after it wrong. A pause is not foreseen, and
// neither are rates of starts, except through the recorded waits that they made longer. The holds of all actions and lanes of a queue
// count alike.
package forecast

import (
	"math"
	"time"

	"github.com/attune-go/attune"
)

// MinWaits is the least number of recorded waits that an estimate needs.
const MinWaits = 20

// arrivalShare is the part of its predicted wait up to which a wait has just begun.
const arrivalShare = 0.02

// Level is the place of a ticket at one level of its queue.
type Level struct {
	Ahead  int // tickets of the level in front
	Active int // slots held at the level
	Limit  int // slots of the level; below 1 counts as 1
}

// Spot is a place in the line. A nil level has no limit.
type Spot struct {
	// Queue counts the tickets that the queue can grant first: where lanes may pass each other, of each other lane no more than one
	// more than there are in front in the own lane.
	Queue  Level
	Action *Level
	Lane   *Level
}

// Question is what an estimate is made from.
type Question struct {
	At     time.Time            // now, by the clock of the grants
	Waited time.Duration        // the wait so far
	Spot   Spot                 // the place that waits
	Policy attune.QueuePolicy   // Across, and the limits of actions and lanes
	Grants []attune.LoggedGrant // the latest grants of the queue, up to [attune.EstimateGrants], in any order
}

// Estimate is the probable rest of a wait. Nine of ten waits end between Low and High. 0 ≤ Low ≤ Likely ≤ High.
type Estimate struct {
	Low, Likely, High time.Duration
	Waits             int // recorded waits on which the interval was checked
}

// Wait estimates the rest of a wait. It is [attune.CodeNotFound] with a reason if the queue has recorded too little.
func Wait(q Question) (Estimate, error) {
	l := newLog(q)
	asked := moment{}
	if !l.know(&asked) {
		return Estimate{}, attune.Errorf(attune.CodeNotFound,
			"only %d of the latest runs have ended: an estimate needs %d", len(l.ends), minEnds)
	}
	asked.place(&q.Spot.Queue, q.Spot.Action, q.Spot.Lane)
	begun := q.Waited.Seconds() <= arrivalShare*asked.share*asked.means[0].hold
	waits := l.moments(begun)
	if len(waits) < MinWaits {
		return Estimate{}, attune.Errorf(attune.CodeNotFound,
			"%d of the latest %d grants had waited: an estimate needs %d", len(waits), len(l.holds), MinWaits)
	}
	each := overlap(waits)
	m := fit(waits, each)
	scores := m.scores(waits)
	low, likely, high := tails(scores, each)
	known, unknown := newDistribution(scores, each), distribution{prior: 1, width: 1}
	fresh := m.freshness(&asked)
	at := func(share float64) time.Duration {
		return seconds(m.quantile(&asked, (1-fresh)*known.quantile(share)+fresh*unknown.quantile(share)))
	}
	return Estimate{Low: at(low), Likely: at(likely), High: at(high), Waits: len(waits)}, nil
}

// seconds returns a duration of at most 100 years.
func seconds(s float64) time.Duration {
	const most = 100 * 365 * 24 * 3600
	return time.Duration(min(max(s, 0), most) * float64(time.Second)).Round(time.Millisecond)
}

// bisect returns where below becomes false, between two values.
func bisect(low, high float64, below func(float64) bool) float64 {
	for range 40 {
		if middle := (low + high) / 2; below(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// normal is the distribution function of the standard normal distribution.
func normal(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }
