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
		StartsAt: minuteOf(0), EndsAt: minuteOf(24 * 60), Used: 3, MostLimit: 4,
	}
	next := daily
	next.ID, next.StartsAt, next.EndsAt, next.Used, next.Key = 2, minuteOf(24*60), minuteOf(48*60), 0, nil
	keyed := daily
	keyed.ID, keyed.Key, keyed.Used = 3, new("a\n"), 4
	return proof.GateRows{
		Limiters: []proof.LimiterRows{{
			Limiter: attune.Limiter{
				ID: 7, GateID: attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "shop.deploy", Name: "slow"}, Key: new("x"), LastUnit: 16,
				LastAt: minuteOf(4),
			},
			Log: []attune.LimiterCharge{
				charge(16, 3, 4, 3, time.Minute), charge(13, 3, 3, 3, time.Minute), charge(10, 2, 1, 5, 2*time.Minute), charge(8, 3, 0, 5, 2*time.Minute),
			},
		}, {}},
		Usage:       []attune.QuotaUsage{next, daily, keyed},
		SteadyUsage: map[int64]bool{1: true, 2: true}, SteadyLimiters: map[int64]bool{7: true},
		Charged: []proof.Charged{
			{Enforcement: 1, QueuedAt: minuteOf(0), Units: units(8, 3), Quotas: quotas(1, 2, 4)},
			{Enforcement: 2, QueuedAt: minuteOf(1), Units: units(9, 1), Quotas: quotas(1, 3, 4)},
			{Enforcement: 3, QueuedAt: minuteOf(1), Units: units(10, 1), Quotas: append(quotas(3, 9, 9), quotas(1, 3, 3)...)},
			{Enforcement: 4, QueuedAt: minuteOf(3), Units: units(13, 3)},
			{Enforcement: 5, QueuedAt: minuteOf(4), Units: units(16, 3)},
		},
		ReadAt: minuteOf(5),
	}
}

// units is a charge of limiter 7.
func units(last, n int64) []attune.RateCharge {
	return []attune.RateCharge{{Limiter: 7, Last: last, Units: n}}
}

// quotas is a charge of 1 unit, or of 9 of count 3.
func quotas(usage, used, limit int64) []attune.QuotaCharge {
	cost := int64(1)
	if usage == 3 {
		cost = 9
	}
	return []attune.QuotaCharge{{Usage: usage, Cost: cost, Used: used, Limit: limit}}
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
		"a log without its oldest charges, a day later": {change: func(r *proof.GateRows) {
			r.Limiters[0].Log = r.Limiters[0].Log[:2]
			for i := range r.Charged[:3] {
				r.Charged[i].QueuedAt = minuteOf(4 - 23*60)
			}
		}},
		"a log that was deleted after a day": {change: func(r *proof.GateRows) {
			r.Limiters[0].Log, r.ReadAt = nil, minuteOf(4+24*60)
		}},
		"a limiter that was deleted after a day": {change: func(r *proof.GateRows) {
			r.Limiters, r.ReadAt = nil, minuteOf(4+24*60)
		}},
		"enforcements of one queue only": {change: func(r *proof.GateRows) {
			r.Charged, r.SteadyLimiters, r.SteadyUsage = r.Charged[:1], nil, nil
		}},
		"a log without its oldest charges": {
			func(r *proof.GateRows) { r.Limiters[0].Log = r.Limiters[0].Log[:3] },
			[]string{rate + "enforcement 1 has units 6 to 8, of which the log has no charge"},
		},
		"a log without its newest charge": {
			func(r *proof.GateRows) { r.Limiters[0].Log = r.Limiters[0].Log[1:] },
			[]string{rate + "the log ends with unit 13, but the last one is 16", rate + "enforcement 5 has units 14 to 16, of which the log has no charge"},
		},
		"a log that is lost": {
			func(r *proof.GateRows) { r.Limiters[0].Log, r.Charged = nil, r.Charged[:3] },
			[]string{
				rate + "the log ends with unit 0, but the last one is 16",
				rate + "enforcement 1 has units 6 to 8, of which the log has no charge",
				rate + "enforcement 2 has units 9 to 9, of which the log has no charge",
				rate + "enforcement 3 has units 10 to 10, of which the log has no charge",
			},
		},
		"a limiter that is lost": {
			func(r *proof.GateRows) { r.Limiters, r.Charged, r.SteadyUsage = nil, r.Charged[:1], nil },
			[]string{"rates: rate (unknown) of limiter 7: enforcement 1 has units of a limiter that does not exist"},
		},
		"an enforcement without its unit": {
			func(r *proof.GateRows) { r.Charged[1].Units = nil },
			[]string{rate + "units 9 to 10 were charged, but enforcements have 1 of them"},
		},
		"two enforcements with one unit": {
			func(r *proof.GateRows) { r.Charged[2].Units = units(9, 1) },
			[]string{rate + "enforcements 2 and 3 have unit 9"},
		},
		"a unit of another charge": {
			func(r *proof.GateRows) { r.Charged[1].Units = units(9, 2) },
			[]string{
				rate + "enforcements 1 and 2 have unit 8", rate + "enforcement 2 has units 8 to 9, of which the log has no charge",
				rate + "units 9 to 10 were charged, but enforcements have 1 of them",
			},
		},
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
			[]string{rate + "units 12 to 13 follow unit 10", rate + "enforcement 4 has units 11 to 13, of which the log has no charge",
				rate + "units 12 to 13 were charged, but enforcements have 0 of them"},
		},
		"a unit has two charges": {
			func(r *proof.GateRows) { r.Limiters[0].Log[0].Units = 4 },
			[]string{rate + "units 13 to 16 follow unit 13", rate + "4 units in 1m0s until unit 16 at 12:04:00.000000, at a limit of 3",
				rate + "units 13 to 16 were charged, but enforcements have 3 of them"},
		},
		"the time runs backwards": {
			func(r *proof.GateRows) { r.Limiters[0].Log[3].At = minuteOf(2) },
			[]string{rate + "unit 10 is of 12:01:00.000000, before unit 8 of 12:02:00.000000"},
		},
		"the log is longer than its limiter says": {
			func(r *proof.GateRows) { r.Limiters[0].LastUnit = 15 }, []string{rate + "the log ends with unit 16, but the last one is 15"},
		},
		"a charge above the limit of a quota": {
			func(r *proof.GateRows) { r.Charged[2].Quotas[0].Limit = 8 },
			[]string{"quotas: quota daily of global, key \"a\\n\": day from 2030-01-02T12:00:00Z: a charge of 9 made it 9 units, at a limit of 8"},
		},
		"a charge that was not counted": {
			func(r *proof.GateRows) { r.Charged[0].Quotas[0].Used = 0 },
			[]string{quota + "a charge of 1 made it 0 units, at a limit of 4"},
		},
		"a charge was counted twice": {
			func(r *proof.GateRows) { r.Charged[1].Quotas = nil }, []string{quota + "3 units are counted, but enforcements have used 2"},
		},
		"units were given back twice": {
			func(r *proof.GateRows) { r.Charged[4].Quotas = quotas(1, 4, 4) }, []string{quota + "3 units are counted, but enforcements have used 4"},
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
		require.Equal(t, proof.GateReport{Limiters: 2, Units: 11, Usage: 3, Compared: 2, Charges: 5}, proof.CheckGates(usedGates()))
	})
}
