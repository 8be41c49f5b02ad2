package proof_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// usedGates are correct rows of a rate of 3 in a minute, which was 5 in two minutes at first, and of a quota.
func usedGates() proof.GateRows {
	charge := func(last, units, minute, limit int64, window time.Duration) attune.LimiterCharge {
		return attune.LimiterCharge{Last: last, Units: units, At: minuteOf(minute), Limit: limit, Window: attune.Duration(window)}
	}
	daily := attune.QuotaUsage{
		ID: 1, GateID: attune.GateID{Kind: attune.GateQuota, Scope: "global", Name: "daily"}, Period: attune.PeriodDay,
		StartsAt: minuteOf(0), EndsAt: minuteOf(24 * 60), Used: 3, Limit: 4,
	}
	next := daily
	next.ID, next.StartsAt, next.EndsAt, next.Used, next.Key = 2, minuteOf(24*60), minuteOf(48*60), 0, nil
	keyed := daily
	keyed.ID, keyed.Key, keyed.Used = 3, new("a\n"), 4
	return proof.GateRows{
		Limiters: []proof.LimiterRows{{
			Limiter: attune.Limiter{
				ID: 7, GateID: attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "shop.deploy", Name: "slow"}, Key: new("x"), LastUnit: 16,
			},
			Log: []attune.LimiterCharge{
				charge(16, 3, 4, 3, time.Minute), charge(13, 3, 3, 3, time.Minute), charge(10, 2, 1, 5, 2*time.Minute), charge(8, 3, 0, 5, 2*time.Minute),
			},
		}, {}},
		Usage:   []attune.QuotaUsage{next, daily, keyed},
		Charged: map[int64]int64{1: 3, 3: 9},
		Steady:  map[int64]bool{1: true, 2: true},
	}
}

func minuteOf(minute int64) time.Time {
	return time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
}

func TestCheckGates(t *testing.T) {
	t.Parallel()
	const rate, quota = `rates: rate slow of action shop.deploy, key "x": `, "quotas: quota daily of global: day from 2030-01-02T12:00:00Z: "
	tests := map[string]struct {
		change func(*proof.GateRows)
		want   []string
	}{
		"correct rows": {change: func(*proof.GateRows) {}},
		"a log without its oldest charges": {change: func(r *proof.GateRows) {
			r.Limiters[0].Log = r.Limiters[0].Log[:2]
		}},
		"a unit too many in a window": {
			func(r *proof.GateRows) { r.Limiters[0].Log[0].At = r.Limiters[0].Log[0].At.Add(-1) },
			[]string{rate + "6 units in 1m0s until unit 16 at 12:03:59.999999, at a limit of 3"},
		},
		"a charge above the limit": {
			func(r *proof.GateRows) { r.Limiters[0].Log[0].Limit = 2 },
			[]string{rate + "3 units in 1m0s until unit 16 at 12:04:00.000000, at a limit of 2"},
		},
		"a unit is missing": {
			func(r *proof.GateRows) { r.Limiters[0].Log[1].Units = 2 },
			[]string{rate + "units 12 to 13 follow unit 10"},
		},
		"a unit has two charges": {
			func(r *proof.GateRows) { r.Limiters[0].Log[0].Units = 4 },
			[]string{rate + "units 13 to 16 follow unit 13", rate + "4 units in 1m0s until unit 16 at 12:04:00.000000, at a limit of 3"},
		},
		"the time runs backwards": {
			func(r *proof.GateRows) { r.Limiters[0].Log[3].At = minuteOf(2) },
			[]string{rate + "unit 10 is of 12:01:00.000000, before unit 8 of 12:02:00.000000"},
		},
		"the log is longer than its limiter says": {
			func(r *proof.GateRows) { r.Limiters[0].LastUnit = 15 }, []string{rate + "the log has unit 16, but the last one is 15"},
		},
		"a count is above its limit": {
			func(r *proof.GateRows) { r.Usage[2].Used = 5 },
			[]string{"quotas: quota daily of global, key \"a\\n\": day from 2030-01-02T12:00:00Z: 5 units are used, at a limit of 4 at most"},
		},
		"a count is below 0": {
			func(r *proof.GateRows) { r.Usage[2].Used = -1 },
			[]string{"quotas: quota daily of global, key \"a\\n\": day from 2030-01-02T12:00:00Z: -1 units are used, at a limit of 4 at most"},
		},
		"a charge was counted twice": {
			func(r *proof.GateRows) { r.Charged[1] = 2 }, []string{quota + "3 units are counted, but enforcements have used 2"},
		},
		"units were given back twice": {
			func(r *proof.GateRows) { r.Charged[1] = 4 }, []string{quota + "3 units are counted, but enforcements have used 4"},
		},
		"a period without an end": {
			func(r *proof.GateRows) { r.Usage[1].EndsAt = r.Usage[1].StartsAt }, []string{quota + "the period ends at 2030-01-02T12:00:00Z"},
		},
		"periods overlap": {
			func(r *proof.GateRows) { r.Usage[1].EndsAt = minuteOf(25 * 60) },
			[]string{"quotas: quota daily of global: day from 2030-01-03T12:00:00Z: the period before ends at 2030-01-03T13:00:00Z"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := usedGates()
			tt.change(&rows)
			var found []string
			for _, v := range proof.CheckGates(rows).Violations {
				found = append(found, v.String())
			}
			require.Equal(t, tt.want, found)
		})
	}
	t.Run("the report counts what was checked", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, proof.GateReport{Limiters: 2, Units: 11, Usage: 3, Compared: 2}, proof.CheckGates(usedGates()))
	})
}
