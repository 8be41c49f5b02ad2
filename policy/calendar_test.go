package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func zone(t require.TestingT, name string) *time.Location {
	z, err := policy.Zone(name)
	require.NoError(t, err)
	return z
}

func TestZone(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.UTC, zone(t, ""))
	require.Equal(t, "Europe/Berlin", zone(t, "Europe/Berlin").String())
	for _, name := range []string{"Local", "Europe/Atlantis", "../zoneinfo", "europe"} {
		_, err := policy.Zone(name)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), name)
	}
}

func TestPeriodAt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone            string
		kind            attune.QuotaPeriod
		at, start, end  string
		hoursOfThePriod float64
	}{
		"a day in UTC":                          {"", "day", "2026-11-30T23:59:59Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", 24},
		"a day begins with its first instant":   {"Europe/Berlin", "day", "2026-07-01T22:00:00Z", "2026-07-01T22:00:00Z", "2026-07-02T22:00:00Z", 24},
		"the short day of spring":               {"Europe/Berlin", "day", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23},
		"the long day of autumn":                {"Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25},
		"the second pass of an hour":            {"Europe/Berlin", "hour", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", 1},
		"the first pass of an hour":             {"Europe/Berlin", "hour", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", 1},
		"an hour of a zone with half an hour":   {"Asia/Kolkata", "hour", "2026-01-01T00:10:00Z", "2025-12-31T23:30:00Z", "2026-01-01T00:30:00Z", 1},
		"a change of the clock within an hour":  {"Australia/Lord_Howe", "hour", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z", 0.5},
		"a week begins on Monday":               {"Europe/Berlin", "week", "2026-11-29T22:59:59Z", "2026-11-22T23:00:00Z", "2026-11-29T23:00:00Z", 168},
		"a Monday is in its own week":           {"Europe/Berlin", "week", "2026-11-29T23:00:00Z", "2026-11-29T23:00:00Z", "2026-12-06T23:00:00Z", 168},
		"a week with a change of the clock":     {"Europe/Berlin", "week", "2026-10-20T12:00:00Z", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z", 169},
		"a month in a leap year":                {"", "month", "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", 29 * 24},
		"the last month of a year":              {"America/New_York", "month", "2026-12-31T23:00:00Z", "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z", 31 * 24},
		"a month with a change of the clock":    {"America/New_York", "month", "2026-03-20T00:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z", 31*24 - 1},
		"a day without a midnight":              {"America/Sao_Paulo", "day", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", 23},
		"the day before a day without midnight": {"America/Sao_Paulo", "day", "2018-11-04T02:59:59Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", 24},
		"a clock that is set back at midnight":  {"America/Sao_Paulo", "day", "2018-02-18T02:30:00Z", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z", 25},
		"a day that a zone left out":            {"Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", 24},
		"the day before a day that is left out": {"Pacific/Apia", "day", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", 24},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, tt.at)
			require.NoError(t, err)
			got, err := policy.PeriodAt(tt.kind, zone(t, tt.zone), at)
			require.NoError(t, err)
			require.Equal(t, tt.start, got.Start.Format(time.RFC3339))
			require.Equal(t, tt.end, got.End.Format(time.RFC3339))
			require.InDelta(t, tt.hoursOfThePriod, got.End.Sub(got.Start).Hours(), 1e-9)
		})
	}
	_, err := policy.PeriodAt("year", time.UTC, time.Now())
	require.ErrorContains(t, err, `"year"`)
}

// Every instant is in exactly one period of a kind, and periods follow each other without gaps.
func TestPeriodAt_Partitions(t *testing.T) {
	t.Parallel()
	zones := []string{
		"", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo", "America/Havana",
		"Asia/Beirut", "Antarctica/Troll", "Asia/Kathmandu", "Pacific/Kwajalein",
	}
	kinds := []attune.QuotaPeriod{attune.PeriodHour, attune.PeriodDay, attune.PeriodWeek, attune.PeriodMonth}
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		at := time.Unix(rapid.Int64Range(1e8, 2e9).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		if from, _ := at.In(z).ZoneBounds(); rapid.Bool().Draw(t, "near a change of the clock") && !from.IsZero() {
			at = from.Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "seconds")) * time.Second)
		}
		p, err := policy.PeriodAt(kind, z, at)
		require.NoError(t, err)
		require.False(t, p.Start.After(at))
		require.True(t, p.End.After(at))
		for _, inside := range []time.Time{p.Start, p.End.Add(-1)} {
			same, err := policy.PeriodAt(kind, z, inside)
			require.NoError(t, err)
			require.Equal(t, p, same)
		}
		next, err := policy.PeriodAt(kind, z, p.End)
		require.NoError(t, err)
		require.Equal(t, p.End, next.Start)
	})
}
