package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// halfLives returns the half-lives of a mean hold, in releases.
func halfLives() [candidates]float64 { return [candidates]float64{4, 16, 64} }

// candidates is the number of half-lives.
const candidates = 3

// minEnds is the least number of ended runs for a mean hold.
const minEnds = 3

// leastHold is the least mean hold, in seconds. It keeps quotients finite.
const leastHold = 1e-3

// A change shows in the mean with the half-life of freshHalf releases, if it differs from a slower mean by more than so many standard
// errors.
const (
	freshHalf  = 2.0
	sureChange = 4.0
)

// held is one grant. Its times are seconds from the asked time on.
type held struct {
	number, sequence int64
	lane             int // dense from 0
	policy           *attune.ActionPolicy
	action           attune.ActionID
	laned            bool
	queued, from, to float64 // to is infinite while the slot is held
	limit            int     // of the queue
}

// mean is a weighted mean of holds.
type mean struct {
	hold  float64 // seconds, not below leastHold
	noise float64 // the variance of the mean over that of one hold
	news  float64 // the logarithm of how much a change differs from the mean: see changed
	error float64 // the standard deviation of a hold, in seconds
}

// log is the latest grants of a queue.
type log struct {
	holds  []held             // in the order of the decisions
	ends   []float64          // of the holds that ended, ascending
	means  [candidates][]mean // after each end, by half-life
	fresh  []mean             // likewise, with a half-life of freshHalf
	skip   bool               // lanes may pass each other
	counts []int              // by lane, for the use of one function at a time
}

func newLog(q Question) *log {
	l := &log{skip: q.Policy.Across == attune.AcrossSkip}
	lanes, policies := map[int32]int{}, map[attune.ActionID]*attune.ActionPolicy{}
	after := func(t time.Time) float64 { return t.Sub(q.At).Seconds() }
	for i := range q.Grants {
		g := &q.Grants[i]
		if _, known := lanes[g.Lane]; !known {
			lanes[g.Lane] = len(lanes)
		}
		if policies[g.Action] == nil {
			policies[g.Action] = new(q.Policy.Of(g.Action))
		}
		h := held{
			number: g.Number, sequence: g.Sequence, lane: lanes[g.Lane], laned: g.Lane > 0, action: g.Action, policy: policies[g.Action],
			queued: after(g.EnqueuedAt), from: after(g.GrantedAt), to: math.Inf(1), limit: g.Limit,
		}
		if g.ReleasedAt != nil {
			h.to = max(h.from, after(*g.ReleasedAt))
		}
		l.holds = append(l.holds, h)
	}
	slices.SortFunc(l.holds, func(a, b held) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.number, b.number)) })
	l.counts = make([]int, len(lanes))
	l.average()
	return l
}

// average computes the mean holds after each end.
func (l *log) average() {
	ended := slices.DeleteFunc(slices.Clone(l.holds), func(h held) bool { return math.IsInf(h.to, 1) })
	slices.SortFunc(ended, func(a, b held) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.number, b.number)) })
	for _, h := range ended {
		l.ends = append(l.ends, h.to)
	}
	for k, half := range halfLives() {
		l.means[k] = meansOf(ended, half)
	}
	l.fresh = meansOf(ended, freshHalf)
}

// meansOf returns the weighted means after each end.
func meansOf(ended []held, half float64) []mean {
	means := make([]mean, len(ended))
	keep, hold, weight, squares, variance := math.Pow(0.5, 1/half), 0.0, 0.0, 0.0, 0.0
	for i, h := range ended {
		weight, squares = weight*keep+1, squares*keep*keep+1
		off := h.to - h.from - hold
		hold += off / weight
		variance += (off*off*(1-1/weight) - variance) / weight
		means[i] = mean{hold: max(hold, leastHold), noise: squares / weight / weight, error: math.Sqrt(max(variance, 0))}
	}
	return means
}

// changed returns a mean or, if fresh shows that run times have changed, fresh.
func (m mean) changed(fresh mean) mean {
	if math.Abs(fresh.hold-m.hold) > sureChange*m.error*math.Sqrt(fresh.noise)+leastHold {
		return fresh
	}
	return m
}

// know sets the mean holds that are known at a moment. It reports whether enough runs had ended.
func (l *log) know(m *moment) bool {
	n, _ := slices.BinarySearch(l.ends, m.at)
	if n < minEnds {
		return false
	}
	slots := 0.5
	var slow, over [candidates]float64
	for k := range over {
		slow[k] = l.means[k][n-1].hold
		m.means[k] = l.means[k][n-1].changed(l.fresh[n-1])
	}
	for i := range l.holds {
		h := &l.holds[i]
		if h.from > m.at {
			break
		}
		if h.to <= m.at {
			continue
		}
		slots++
		for k := range over {
			over[k] += max(0, m.at-h.from-m.means[k].hold)
		}
	}
	for k := range over {
		m.means[k].hold += over[k] / slots
		m.means[k].news = math.Log(m.means[k].hold / slow[k])
	}
	return true
}
