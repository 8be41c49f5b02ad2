package forecast

import (
	"cmp"
	"math"
	"slices"
)

// maxMoments bounds the recorded waits that an estimate is checked on. Each of them costs a pass over the grants.
const maxMoments = 250

// leastShare is the least predicted wait, in mean holds.
const leastShare = 0.05

// moment is what was known at one moment of a wait, and what came of it.
type moment struct {
	at    float64          // seconds from the asked time on
	rest  float64          // of a recorded wait, in seconds
	share float64          // the predicted rest of the wait, in mean holds
	need  float64          // the releases until the grant, at the level that decides
	means [candidates]mean // by half-life
}

func (m *moment) until() float64 { return m.at + m.rest }

// place predicts the wait at a place with some levels.
func (m *moment) place(levels ...*Level) {
	m.share, m.need = leastShare, 1
	for _, level := range levels {
		if level == nil {
			continue
		}
		slots := float64(max(level.Limit, 1))
		need := float64(level.Ahead) + 1 - max(0, slots-float64(level.Active))
		if need/slots > m.share {
			m.share, m.need = need/slots, max(need, 1)
		}
	}
}

// moments returns one moment of each recorded wait: its beginning, or one that the number of the grant chooses.
func (l *log) moments(begun bool) []moment {
	var waited []int
	for i := range l.holds {
		h := &l.holds[i]
		whole := h.queued >= l.holds[0].from
		if h.from > max(h.queued, l.holds[0].from) && (whole || !begun) {
			waited = append(waited, i)
		}
	}
	var all []moment
	n := min(len(waited), maxMoments)
	for k := range n {
		i := waited[k*len(waited)/n]
		if m := l.momentOf(i, begun); l.know(&m) {
			l.placeOf(i, &m)
			all = append(all, m)
		}
	}
	return all
}

// momentOf returns a moment of the wait for a grant. The fractions of the multiples of the golden ratio are evenly spread.
func (l *log) momentOf(i int, begun bool) moment {
	h := &l.holds[i]
	from, part := max(h.queued, l.holds[0].from), 0.0
	if !begun {
		_, part = math.Modf(math.Abs(float64(h.number)) * (math.Sqrt(5) - 1) / 2)
	}
	at := from + part*(h.from-from)
	return moment{at: at, rest: h.from - at}
}

// placeOf sets the place that the ticket of a grant had at a moment.
func (l *log) placeOf(i int, m *moment) {
	h := &l.holds[i]
	queue, action, lane := Level{Limit: h.limit}, Level{}, Level{}
	for j := range l.holds {
		o := &l.holds[j]
		waits := o.from > m.at
		if waits && o.sequence >= h.sequence || !waits && o.to <= m.at {
			continue
		}
		queue.count(waits)
		if o.action == h.action {
			action.count(waits)
		}
		if o.lane == h.lane {
			lane.count(waits)
		}
	}
	levels := []*Level{&queue, nil, nil}
	if limit := h.policy.Limit; limit != nil {
		action.Limit, levels[1] = *limit, &action
	}
	if limit := h.policy.LimitPerKey; limit != nil && h.laned {
		lane.Limit, levels[2] = *limit, &lane
		if l.skip {
			queue.Ahead = l.first(h, m.at, lane.Ahead+1)
		}
	}
	m.place(levels...)
}

func (level *Level) count(waits bool) {
	if waits {
		level.Ahead++
	} else {
		level.Active++
	}
}

// first counts the tickets in front of a ticket that the queue can grant first: of each lane at most so many.
func (l *log) first(h *held, at float64, most int) (n int) {
	clear(l.counts)
	for i := range l.holds {
		o := &l.holds[i]
		if o.from > at && o.sequence < h.sequence && l.counts[o.lane] < most {
			l.counts[o.lane]++
			n++
		}
	}
	return n
}

// overlap returns how many recorded waits there are on average at a time with any. They see the same runs, so they count as one.
func overlap(waits []moment) float64 {
	inOrder := slices.Clone(waits)
	slices.SortFunc(inOrder, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	sum, covered, end := 0.0, 0.0, math.Inf(-1)
	for i := range inOrder {
		m := &inOrder[i]
		sum += m.rest
		covered += max(0, m.until()-max(m.at, end))
		end = max(end, m.until())
	}
	if covered <= 0 {
		return 1
	}
	return min(max(1, sum/covered), float64(len(waits)))
}
