package proof

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/attune-go/attune"
)

// clockSlack is a difference between the time of a charge and the time at which its enforcement was queued, both by the database's clock.
const clockSlack = time.Hour

// claim is a charge of an enforcement at a limiter.
type claim struct {
	attune.RateCharge
	enforcement attune.EnforcementID
	queuedAt    time.Time
}

// checkUnits compares the units of enforcements with the logs.
func (r *GateReport) checkUnits(rows GateRows) {
	claims := make(map[int64][]claim)
	for _, c := range rows.Charged {
		for _, units := range c.Units {
			claims[units.Limiter] = append(claims[units.Limiter], claim{units, c.Enforcement, c.QueuedAt})
		}
	}
	for _, l := range rows.Limiters {
		of := claims[l.ID]
		delete(claims, l.ID)
		slices.SortFunc(of, func(a, b claim) int {
			return cmp.Or(cmp.Compare(a.Last, b.Last), cmp.Compare(a.enforcement, b.enforcement))
		})
		r.checkClaims(l, of, rows)
	}
	for _, limiter := range slices.Sorted(maps.Keys(claims)) {
		for _, c := range claims[limiter] {
			if c.queuedAt.After(rows.ReadAt.Add(-attune.MaxRateWindow)) {
				gone := attune.GateID{Kind: attune.GateRate, Scope: "limiter", Ref: strconv.FormatInt(limiter, 10), Name: "(unknown)"}
				r.rate(LimiterRows{Limiter: attune.Limiter{GateID: gone}},
					"enforcement %d has units of a limiter that does not exist", c.enforcement)
			}
		}
	}
}

// checkClaims compares the claims on the units of a limiter, which are sorted, with its log.
func (r *GateReport) checkClaims(l LimiterRows, claims []claim, rows GateRows) {
	log := l.sorted()
	claimed := make([]int64, len(log)) // units of each charge
	for i, c := range claims {
		if i > 0 && c.Last-c.Units < claims[i-1].Last {
			r.rate(l, "enforcements %d and %d have unit %d", claims[i-1].enforcement, c.enforcement, claims[i-1].Last)
		}
		at := sort.Search(len(log), func(k int) bool { return log[k].Last >= c.Last })
		if at < len(log) && log[at].Last-log[at].Units <= c.Last-c.Units {
			claimed[at] += c.Units
			r.Charges++
		} else if l.keeps(c, rows.ReadAt) {
			r.rate(l, "enforcement %d has units %d to %d, of which the log has no charge", c.enforcement, c.Last-c.Units+1, c.Last)
		}
	}
	if !rows.SteadyLimiters[l.ID] {
		return
	}
	for i, charge := range log {
		if claimed[i] < charge.Units {
			r.rate(l, "units %d to %d were charged, but enforcements have %d of them", charge.Last-charge.Units+1, charge.Last, claimed[i])
		}
	}
}

// keeps reports whether the log must have a claim: no later charge has deleted its units, which no window contained any more.
func (l LimiterRows) keeps(c claim, readAt time.Time) bool {
	return l.kept(readAt) && c.Last-c.Units >= l.LastUnit-attune.MaxRateLimit &&
		c.queuedAt.After(l.LastAt.Add(clockSlack-attune.MaxRateWindow))
}
