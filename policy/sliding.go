package policy

import (
	"slices"
	"time"
)

// SlidingLog is the exact log of a rate: in every window (t-window, t], at most limit units were charged, if each was allowed. The
// zero value is a log without units. Limit and window may change at any time.
//
// It keeps one entry for the units of one instant, until [SlidingLog.Forget].
type SlidingLog struct {
	entries []LogEntry
	last    int64
}

// LogEntry is the units of a log that were charged at one instant. Units are numbered from 1 without gaps.
type LogEntry struct {
	First, Last int64
	At          time.Time
}

// Last returns the number of the last unit.
func (l *SlidingLog) Last() int64 { return l.last }

// Entries returns the entries that the log keeps, in order.
func (l *SlidingLog) Entries() []LogEntry { return slices.Clone(l.entries) }

// Now returns the time of a charge: the time of the clock, but never before the last charge.
func (l *SlidingLog) Now(clock time.Time) time.Time {
	if n := len(l.entries); n > 0 && l.entries[n-1].At.After(clock) {
		return l.entries[n-1].At
	}
	return clock
}

// Used returns the units in the window that ends at a time from [SlidingLog.Now].
func (l *SlidingLog) Used(now time.Time, window time.Duration) int64 {
	i, _ := slices.BinarySearchFunc(l.entries, now.Add(-window), func(e LogEntry, until time.Time) int {
		if e.At.After(until) {
			return 1
		}
		return -1
	})
	if i == len(l.entries) {
		return 0
	}
	return l.last - l.entries[i].First + 1
}

// Charge adds units at a time from [SlidingLog.Now].
func (l *SlidingLog) Charge(now time.Time, units int64) {
	if units == 0 {
		return
	}
	first := l.last + 1
	l.last += units
	if n := len(l.entries); n > 0 && l.entries[n-1].At.Equal(now) {
		l.entries[n-1].Last = l.last
		return
	}
	l.entries = append(l.entries, LogEntry{First: first, Last: l.last, At: now})
}

// RetryAt returns when the rate allows a cost, if nothing else is charged; false if it never does.
func (l *SlidingLog) RetryAt(cost, limit int64, window time.Duration) (time.Time, bool) {
	unit, ever := UnitToExpire(l.last, cost, limit)
	if !ever {
		return time.Time{}, false
	}
	i := slices.IndexFunc(l.entries, func(e LogEntry) bool { return e.First <= unit && unit <= e.Last })
	if i < 0 {
		return time.Time{}, true
	}
	return l.entries[i].At.Add(window), true
}

// Forget removes the entries until a time, included. No window may contain them any more: the time is that of a charge minus the longest
// window.
func (l *SlidingLog) Forget(until time.Time) {
	l.entries = slices.DeleteFunc(l.entries, func(e LogEntry) bool { return !e.At.After(until) })
}

// UnitToExpire returns the number of the unit that must have left the window before a log with this last unit allows a cost. A unit
// below 1, or one that the log no longer keeps, has left it. ever is false if the cost is above the limit.
func UnitToExpire(last, cost, limit int64) (unit int64, ever bool) {
	return last - limit + cost, cost <= limit
}

// Tally judges the admissions of one instant by one rate or quota: the units that were used before, and those of the admissions.
type Tally struct {
	Limit   int64
	Used    int64 // in the window or the period, before the instant
	Charged int64 // at the instant
}

// Allows reports whether a cost fits. A cost of 0 always does.
func (t *Tally) Allows(cost int64) bool { return cost == 0 || t.Used+t.Charged+cost <= t.Limit }

// TallyCharge is the cost of an admission at one gate.
type TallyCharge struct {
	Tally *Tally
	Cost  int64
}

// ChargeAll charges an admission to all its gates, or to none. refused is the index of the first gate that does not allow its cost,
// or -1. A gate can occur several times.
func ChargeAll(charges []TallyCharge) (refused int) {
	for i, c := range charges {
		if c.Tally.Allows(c.Cost) {
			c.Tally.Charged += c.Cost
			continue
		}
		for _, charged := range charges[:i] {
			charged.Tally.Charged -= charged.Cost
		}
		return i
	}
	return -1
}
