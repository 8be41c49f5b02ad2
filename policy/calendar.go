package policy

import (
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// Period is a period of the calendar: from Start to End, without End.
type Period struct{ Start, End time.Time }

// PeriodAt returns the period of a time zone that contains an instant. The periods of a kind follow each other without gaps and
// overlaps, also where clocks are changed: an hour that a clock shows twice is two periods, and a day begins when midnight is first
// shown, or at the change of the clock if midnight is never shown. Times are in UTC. An unknown kind is an error.
func PeriodAt(kind attune.QuotaPeriod, zone *time.Location, at time.Time) (Period, error) {
	if kind == attune.PeriodHour {
		return hourAt(at.In(zone)), nil
	}
	day := dayAt(at.In(zone))
	switch kind {
	case attune.PeriodDay:
		return day.to(1), nil
	case attune.PeriodWeek:
		return day.add(-(int(day.weekday()) + 6) % 7).to(7), nil // Monday is the first day
	case attune.PeriodMonth:
		first := date{day.year, day.month, 1, zone}
		return Period{first.begins(), date{day.year, day.month + 1, 1, zone}.begins()}, nil
	default:
		return Period{}, fmt.Errorf("period %q is unknown", kind)
	}
}

// hourAt returns the hour of a local time. A change of the clock within an hour ends the hour.
func hourAt(at time.Time) Period {
	into := time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond())
	p := Period{Start: at.Add(-into), End: at.Add(time.Hour - into)}
	from, to := at.ZoneBounds()
	if !from.IsZero() && from.After(p.Start) {
		p.Start = from
	}
	if !to.IsZero() && to.Before(p.End) {
		p.End = to
	}
	return Period{p.Start.UTC(), p.End.UTC()}
}

// date is a day of the calendar of a zone. Its numbers can be out of range, like those of [time.Date].
type date struct {
	year  int
	month time.Month
	day   int
	zone  *time.Location
}

// dayAt returns the day whose period contains a local time. A clock that is set back over midnight shows the former date again.
func dayAt(at time.Time) date {
	year, month, day := at.Date()
	d := date{year, month, day, at.Location()}
	if d.begins().After(at) {
		return d.add(-1)
	}
	for next := d.add(1); !next.begins().After(at); next = next.add(1) {
		d = next
	}
	return d
}

func (d date) add(days int) date { return date{d.year, d.month, d.day + days, d.zone} }

func (d date) weekday() time.Weekday {
	return time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC).Weekday()
}

// to returns the period from the day for a number of days.
func (d date) to(days int) Period { return Period{d.begins(), d.add(days).begins()} }

// begins returns the instant at which the day begins.
func (d date) begins() time.Time {
	t := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, d.zone)
	from, to := t.ZoneBounds()
	want := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC)
	switch shown := clockOf(t); {
	case shown.Before(want): // midnight is not shown, and t is before the change of the clock
		return to.UTC()
	case shown.After(want):
		return from.UTC()
	case from.IsZero():
		return t.UTC()
	}
	_, offset := t.Zone()
	_, former := from.Add(-time.Second).In(d.zone).Zone()
	if earlier := t.Add(time.Duration(offset-former) * time.Second); earlier.Before(from) {
		return earlier.UTC()
	}
	return t.UTC()
}

// clockOf returns what a clock shows at a time, as a time in UTC.
func clockOf(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, t.Nanosecond(), time.UTC)
}
