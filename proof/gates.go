package proof

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/attune-go/attune"
)

// GateRows are the stored rows of all rates that reject and of all quotas, as far as they are kept.
type GateRows struct {
	Limiters []LimiterRows
	Usage    []attune.QuotaUsage
	Charged  []Charged // of some enforcements, or of all
	// SteadyUsage and SteadyLimiters are the counts and logs that did not change while all enforcements were read, by id. They must be
	// exactly what the enforcements were charged.
	SteadyUsage, SteadyLimiters map[int64]bool
	ReadAt                      time.Time // a limiter that was used within 24 h before is kept
}

// Charged is what an admitted enforcement was charged.
type Charged struct {
	Enforcement attune.EnforcementID
	QueuedAt    time.Time
	Units       []attune.RateCharge
	Quotas      []attune.QuotaCharge // until the enforcement gives them back
}

// LimiterRows are a limiter with its log.
type LimiterRows struct {
	attune.Limiter
	Log []attune.LimiterCharge // in any order
}

// GateReport is the result of a check of rates and quotas.
type GateReport struct {
	Limiters   int             `json:"limiters"`
	Units      int64           `json:"units"`    // of the logs, as far as they are kept
	Usage      int             `json:"usage"`    // counts of quotas
	Compared   int             `json:"compared"` // counts that were compared with the enforcements
	Charges    int             `json:"charges"`  // of enforcements that were compared with the logs
	Violations []GateViolation `json:"violations"`
}

// GateViolation is one broken promise of a rate or quota.
type GateViolation struct {
	Rule   Rule          `json:"rule"` // [RuleRates] or [RuleQuotas]
	Gate   attune.GateID `json:"gate"`
	Key    *string       `json:"key,omitempty"`
	Detail string        `json:"detail"`
}

func (v GateViolation) String() string {
	key := ""
	if v.Key != nil {
		key = fmt.Sprintf(", key %q", attune.EscapeText(*v.Key))
	}
	return fmt.Sprintf("%s: %s%s: %s", v.Rule, v.Gate, key, v.Detail)
}

// CheckGates compares the logs of rates and the counts of quotas with their promises. It does not modify rows.
//
//   - In no window that ends at a charge, more units were charged than the rate in force at that charge allowed. The units are numbered
//     without gaps up to the last one, and their times never run backwards.
//   - Each unit of an enforcement is in the log, as long as the log is kept, and no two enforcements have the same unit. Each unit of the
//     log is that of an enforcement.
//   - No charge took a quota above the limit in force. The periods of a quota and key do not overlap. Each count is the sum of what
//     enforcements have used and not given back.
func CheckGates(rows GateRows) GateReport {
	report := GateReport{Limiters: len(rows.Limiters), Usage: len(rows.Usage)}
	for _, l := range rows.Limiters {
		report.checkLimiter(l, rows.ReadAt)
	}
	report.checkUnits(rows)
	report.checkQuotas(rows)
	report.checkPeriods(rows.Usage)
	return report
}

// checkQuotas compares the counts of quotas with what enforcements have used of them.
func (r *GateReport) checkQuotas(rows GateRows) {
	sums, charges := make(map[int64]int64), make(map[int64][]attune.QuotaCharge)
	for _, c := range rows.Charged {
		for _, charge := range c.Quotas {
			sums[charge.Usage] += charge.Cost
			charges[charge.Usage] = append(charges[charge.Usage], charge)
		}
	}
	for _, u := range rows.Usage {
		for _, charge := range charges[u.ID] {
			if charge.Used > charge.Limit || charge.Used < charge.Cost {
				r.quota(u, "a charge of %d made it %d units, at a limit of %d", charge.Cost, charge.Used, charge.Limit)
			}
		}
		if !u.StartsAt.Before(u.EndsAt) {
			r.quota(u, "the period ends at %s", attune.FormatTime(u.EndsAt))
		}
		if rows.SteadyUsage[u.ID] {
			r.Compared++
			if charged := sums[u.ID]; charged != u.Used {
				r.quota(u, "%d units are counted, but enforcements have used %d", u.Used, charged)
			}
		}
	}
}

func (r *GateReport) rate(l LimiterRows, format string, args ...any) {
	r.Violations = append(r.Violations, GateViolation{Rule: RuleRates, Gate: l.GateID, Key: l.Key, Detail: fmt.Sprintf(format, args...)})
}

func (r *GateReport) quota(u attune.QuotaUsage, format string, args ...any) {
	detail := fmt.Sprintf("%s from %s: ", u.Period, attune.FormatTime(u.StartsAt)) + fmt.Sprintf(format, args...)
	r.Violations = append(r.Violations, GateViolation{Rule: RuleQuotas, Gate: u.GateID, Key: u.Key, Detail: detail})
}

func (r *GateReport) checkLimiter(l LimiterRows, readAt time.Time) {
	log := l.sorted()
	for i, c := range log {
		r.Units += c.Units
		if i > 0 {
			r.checkNext(l, log[i-1], c)
		}
		since := c.At.Add(-time.Duration(c.Window))
		oldest := sort.Search(i, func(k int) bool { return log[k].At.After(since) }) // the first charge in the window
		if units := c.Last - (log[oldest].Last - log[oldest].Units); units > c.Limit {
			r.rate(l, "%d units in %s until unit %d at %s, at a limit of %d", units, c.Window, c.Last, clock(c.At), c.Limit)
		}
	}
	last := int64(0)
	if n := len(log); n > 0 {
		last = log[n-1].Last
	}
	if last > l.LastUnit || last < l.LastUnit && l.kept(readAt) {
		r.rate(l, "the log ends with unit %d, but the last one is %d", last, l.LastUnit)
	}
}

// sorted returns the log by units.
func (l LimiterRows) sorted() []attune.LimiterCharge {
	return slices.SortedFunc(slices.Values(l.Log), func(a, b attune.LimiterCharge) int { return cmp.Compare(a.Last, b.Last) })
}

// kept reports whether the log is kept at a time: attune deletes it when it has been idle for longer than any window.
func (l LimiterRows) kept(at time.Time) bool { return l.LastAt.After(at.Add(-attune.MaxRateWindow)) }

// checkNext checks a charge against the one before.
func (r *GateReport) checkNext(l LimiterRows, before, c attune.LimiterCharge) {
	if c.Last-c.Units != before.Last {
		r.rate(l, "units %d to %d follow unit %d", c.Last-c.Units+1, c.Last, before.Last)
	}
	if c.At.Before(before.At) {
		r.rate(l, "unit %d is of %s, before unit %d of %s", c.Last, clock(c.At), before.Last, clock(before.At))
	}
}

// checkPeriods expects the periods of a quota and key to follow each other.
func (r *GateReport) checkPeriods(usage []attune.QuotaUsage) {
	type count struct {
		gate     attune.GateID
		key      string
		keyed    bool
		period   attune.QuotaPeriod
		timezone string
	}
	periods := make(map[count][]attune.QuotaUsage)
	var order []count
	for _, u := range usage {
		c := count{gate: u.GateID, period: u.Period, timezone: u.Timezone}
		if u.Key != nil {
			c.key, c.keyed = *u.Key, true
		}
		if periods[c] == nil {
			order = append(order, c)
		}
		periods[c] = append(periods[c], u)
	}
	for _, c := range order {
		all := periods[c]
		slices.SortFunc(all, func(a, b attune.QuotaUsage) int { return a.StartsAt.Compare(b.StartsAt) })
		for i := 1; i < len(all); i++ {
			if all[i].StartsAt.Before(all[i-1].EndsAt) {
				r.quota(all[i], "the period before ends at %s", attune.FormatTime(all[i-1].EndsAt))
			}
		}
	}
}
