package replay

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Outcome is what happened to the places of a period, or what would have happened.
type Outcome struct {
	Granted int // places that were granted
	Waiting int // places that wait at the end
	// Left counts the places that left the line without a grant, and the arrivals that rates and quotas refused, by reason.
	Left map[attune.Reason]int
	// Waits are the quantiles of the waits of the granted places. A place that waited when the period began counts from its
	// beginning.
	Waits Waits
	// LongestLine is the greatest number of places that waited at once.
	LongestLine int
	// MostActive is the greatest number of slots that were held at once.
	MostActive int
	// MeanActive is the mean number of slots held in the period.
	MeanActive float64
	// Busy is the share of the slots that was held in the period, from 0 to 1; above 1 if a limit was lowered below the
	// holders. The limit is that in force at each time. It is 0 where the limit is 0.
	Busy float64

	// Borrowed counts the runs whose time is that of another run, and Unfinished those that never end. See the package
	// documentation. Both are 0 for what really happened.
	Borrowed   int
	Unfinished int

	// Order is the recorded sequences in the order of their grants.
	Order []int64
}

// Waits are nearest-rank quantiles of waits.
type Waits struct{ P50, P95, P99, Longest time.Duration }

func waitsOf(waits []time.Duration) Waits {
	return Waits{
		P50: quantile(waits, 0.50), P95: quantile(waits, 0.95), P99: quantile(waits, 0.99), Longest: quantile(waits, 1),
	}
}

// refuse counts arrivals that gates have refused.
func (o *Outcome) refuse(refused []Place) {
	for _, place := range refused {
		o.Left[place.Reason]++
	}
}

// meter follows the line and the slots of a queue over the period.
type meter struct {
	from, to, at    time.Time
	waiting, active int
	limit           int

	outcome    *Outcome
	held       float64 // slot-seconds held
	offered    float64 // slot-seconds that the limits offered
	everActive float64 // slot-seconds held while the limit was above 0
}

// until counts the time up to t with the current numbers.
func (m *meter) until(t time.Time) {
	seconds := attune.Earlier(t, m.to).Sub(attune.Later(m.at, m.from)).Seconds()
	if seconds > 0 {
		m.held += seconds * float64(m.active)
		m.offered += seconds * float64(m.limit)
		if m.limit > 0 {
			m.everActive += seconds * float64(m.active)
		}
	}
	m.at = attune.Later(m.at, t)
}

// set changes the numbers.
func (m *meter) set(waiting, active, limit int) {
	m.waiting, m.active, m.limit = waiting, active, limit
	m.outcome.LongestLine = max(m.outcome.LongestLine, waiting)
	m.outcome.MostActive = max(m.outcome.MostActive, active)
}

// finish completes the outcome.
func (m *meter) finish() {
	m.until(m.to)
	if seconds := m.to.Sub(m.from).Seconds(); seconds > 0 {
		m.outcome.MeanActive = m.held / seconds
	}
	if m.offered > 0 {
		m.outcome.Busy = m.everActive / m.offered
	}
}

// step is a change of the numbers of waiting places and held slots.
type step struct {
	at              time.Time
	waiting, active int
}

// Really returns what really happened in the period.
func Really(h History) Outcome {
	outcome := Outcome{Left: map[attune.Reason]int{}}
	var waits []time.Duration
	var steps []step
	for _, place := range h.Places {
		if !place.heldAt(h.From) {
			steps = append(steps, step{at: place.EnqueuedAt, waiting: 1})
		}
		switch grant := place.Grant; {
		case grant != nil:
			steps = append(steps, step{at: grant.GrantedAt, waiting: -1, active: 1})
			if place.heldAt(h.From) {
				steps[len(steps)-1].waiting = 0
			} else {
				outcome.Granted++
				waits = append(waits, max(0, grant.GrantedAt.Sub(attune.Later(place.EnqueuedAt, h.From))))
			}
			if grant.ReleasedAt != nil {
				steps = append(steps, step{at: *grant.ReleasedAt, active: -1})
			}
		case place.Status != "":
			outcome.Left[place.Reason]++
			steps = append(steps, step{at: place.EndedAt, waiting: -1})
		default:
			outcome.Waiting++
		}
	}
	outcome.refuse(h.Refused)
	outcome.Waits = waitsOf(waits)
	for _, grant := range h.Grants {
		outcome.Order = append(outcome.Order, grant.Sequence)
	}
	follow(h, steps, &outcome)
	return outcome
}

// follow measures the line and the slots.
func follow(h History, steps []step, outcome *Outcome) {
	slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	m := &meter{from: h.From, to: h.To, at: h.From, outcome: outcome}
	inPeriod := slices.IndexFunc(steps, func(s step) bool { return !s.at.Before(h.From) })
	if inPeriod < 0 {
		inPeriod = len(steps)
	}
	var first step // the numbers at the start
	for _, s := range steps[:inPeriod] {
		first.waiting, first.active = first.waiting+s.waiting, first.active+s.active
	}
	m.set(first.waiting, first.active, h.limitAt(h.From))
	for _, s := range steps[inPeriod:] {
		m.until(s.at)
		m.set(m.waiting+s.waiting, m.active+s.active, h.limitAt(s.at))
	}
	m.finish()
}

// limitAt returns the limit in force at a time, as far as the rows show it.
func (h History) limitAt(t time.Time) int {
	limit, override := 0, h.Override
	for i, known := range h.Policies {
		if i == 0 || !known.At.After(t) {
			limit = known.Limit
		}
	}
	for _, change := range h.Changes {
		if change.Kind == attune.ChangeLimit && !change.At.After(t) {
			override, _ = LimitOf(change.To)
		}
	}
	if override != nil && (override.Until.IsZero() || override.Until.After(t)) {
		return override.Limit
	}
	return limit
}
