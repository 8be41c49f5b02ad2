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
	// Charged is what the enforcements of all queues have used, by the id of the usage. It is compared only with the usage that did not
	// change while the enforcements were read: see Steady.
	Charged map[int64]int64
	Steady  map[int64]bool
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
//     without gaps, and their times never run backwards.
//   - No count of a quota is above the highest limit in force at a charge, or below 0. The periods of a quota and key do not overlap.
//     Each count is the sum of what enforcements have used and not given back.
func CheckGates(rows GateRows) GateReport {
	report := GateReport{Limiters: len(rows.Limiters), Usage: len(rows.Usage)}
	for _, l := range rows.Limiters {
		report.checkLimiter(l)
	}
	for _, u := range rows.Usage {
		report.checkUsage(u)
		if rows.Steady[u.ID] {
			report.Compared++
			if charged := rows.Charged[u.ID]; charged != u.Used {
				report.quota(u, "%d units are counted, but enforcements have used %d", u.Used, charged)
			}
		}
	}
	report.checkPeriods(rows.Usage)
	return report
}

func (r *GateReport) rate(l LimiterRows, format string, args ...any) {
	r.Violations = append(r.Violations, GateViolation{Rule: RuleRates, Gate: l.GateID, Key: l.Key, Detail: fmt.Sprintf(format, args...)})
}

func (r *GateReport) quota(u attune.QuotaUsage, format string, args ...any) {
	detail := fmt.Sprintf("%s from %s: ", u.Period, u.StartsAt.UTC().Format(time.RFC3339)) + fmt.Sprintf(format, args...)
	r.Violations = append(r.Violations, GateViolation{Rule: RuleQuotas, Gate: u.GateID, Key: u.Key, Detail: detail})
}

func (r *GateReport) checkLimiter(l LimiterRows) {
	log := slices.Clone(l.Log)
	slices.SortFunc(log, func(a, b attune.LimiterCharge) int { return cmp.Compare(a.Last, b.Last) })
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
	if n := len(log); n > 0 && log[n-1].Last > l.LastUnit {
		r.rate(l, "the log has unit %d, but the last one is %d", log[n-1].Last, l.LastUnit)
	}
}

// checkNext checks a charge against the one before.
func (r *GateReport) checkNext(l LimiterRows, before, c attune.LimiterCharge) {
	if c.Last-c.Units != before.Last {
		r.rate(l, "units %d to %d follow unit %d", c.Last-c.Units+1, c.Last, before.Last)
	}
	if c.At.Before(before.At) {
		r.rate(l, "unit %d is of %s, before unit %d of %s", c.Last, clock(c.At), before.Last, clock(before.At))
	}
}

func (r *GateReport) checkUsage(u attune.QuotaUsage) {
	if u.Used < 0 || u.Used > u.Limit {
		r.quota(u, "%d units are used, at a limit of %d at most", u.Used, u.Limit)
	}
	if !u.StartsAt.Before(u.EndsAt) {
		r.quota(u, "the period ends at %s", u.EndsAt.UTC().Format(time.RFC3339))
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
				r.quota(all[i], "the period before ends at %s", all[i-1].EndsAt.UTC().Format(time.RFC3339))
			}
		}
	}
}
