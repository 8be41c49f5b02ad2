package proof

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// started is a start with the policies that can have been in force at it: those with the revisions from lowest to highest.
type started struct {
	attune.Start
	lowest, highest int64
}

// checkStarts expects a start for each grant of a policy with rates of starts, and no more starts in a window than a rate allows. A rate
// is judged from one window on after it came into force.
func (c *check) checkStarts(rows []attune.Start) {
	c.report.Checked.Starts = len(rows)
	starts := c.datedStarts(rows)
	recorded := make(map[attemptOf]bool, len(rows))
	for _, s := range starts {
		recorded[attemptOf{s.Number, s.Attempt}] = true
	}
	for _, d := range c.decisions {
		c.checkRecorded(d, recorded)
	}
	for i, s := range starts {
		policy := c.policies[s.highest]
		if policy == nil {
			continue
		}
		for _, rate := range policy.Rates {
			c.checkRate(starts[:i+1], rate, 0)
		}
		for _, rate := range policy.Of(s.Action).Rates {
			c.checkRate(starts[:i+1], rate, s.Action)
		}
	}
}

// attemptOf is an attempt under a grant.
type attemptOf struct {
	grant   int64
	attempt int
}

// checkRecorded expects a start for each attempt under a grant: for the first one under a policy with rates of starts, and for the
// retries that kept the slot if every policy since then has such rates.
func (c *check) checkRecorded(d *decision, recorded map[attemptOf]bool) {
	if d.policy == nil || !rates(d.policy) {
		return
	}
	first := 1
	for _, grant := range c.granted[d.Enforcement] {
		if grant.Number < d.Number {
			first = grant.Attempt + 1
		}
	}
	if !recorded[attemptOf{d.Number, first}] {
		c.violation(RuleRates, d.Sequence, d.Number, "decided under a policy with rates of starts, but no start is recorded")
	}
	for attempt := first + 1; attempt <= d.Attempt && c.ratedSince(d.Revision); attempt++ {
		if !recorded[attemptOf{d.Number, attempt}] {
			c.violation(RuleRates, d.Sequence, d.Number,
				"attempt %d kept the slot under policies with rates of starts, but no start of it is recorded", attempt)
		}
	}
}

// ratedSince reports whether every policy from a revision on has rates of starts.
func (c *check) ratedSince(revision int64) bool {
	for newer, policy := range c.policies {
		if newer >= revision && !rates(policy) {
			return false
		}
	}
	return true
}

// rates reports whether a policy has rates of starts.
func rates(policy *attune.QueuePolicy) bool {
	return len(policy.Rates) > 0 || slices.ContainsFunc(policy.Actions, func(a attune.ActionPolicy) bool { return len(a.Rates) > 0 })
}

// datedStarts sorts the starts by time, and finds the policies that can have been in force at each. That of the first start under a
// grant is in the grant; that of a retry in its slot lies between those of the grants around it.
func (c *check) datedStarts(rows []attune.Start) []started {
	byNumber := make(map[int64]int64, len(c.grants))
	for _, grant := range c.grants {
		byNumber[grant.Number] = grant.Revision
	}
	newest := int64(0)
	for revision := range c.policies {
		newest = max(newest, revision)
	}
	sorted := slices.Clone(rows)
	slices.SortFunc(sorted, func(a, b attune.Start) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Attempt, b.Attempt))
	})
	starts := make([]started, len(sorted))
	seen, known := make(map[int64]bool), int64(0)
	for i, s := range sorted {
		starts[i] = started{Start: s, lowest: known, highest: newest}
		if revision := byNumber[s.Number]; !seen[s.Number] && revision > 0 {
			starts[i].lowest, starts[i].highest = revision, revision
			known = max(known, revision)
		}
		seen[s.Number] = true
	}
	next := newest
	for i := len(starts) - 1; i >= 0; i-- {
		starts[i].highest = min(starts[i].highest, next)
		if starts[i].lowest == starts[i].highest {
			next = min(next, starts[i].lowest)
		}
	}
	return starts
}

// checkRate expects that the last of the starts was allowed by a rate of an action, or of the whole queue if action is 0.
func (c *check) checkRate(starts []started, rate attune.StartRate, action attune.ActionID) {
	last := starts[len(starts)-1]
	since := last.At.Add(-time.Duration(rate.Window))
	inWindow, established := 0, false
	for _, s := range slices.Backward(starts) {
		if !s.At.After(since) {
			established = c.sameRate(s.lowest, last.highest, rate, action)
			break
		}
		if action == 0 || s.Action == action {
			inWindow++
		}
	}
	established = established || c.sameRate(1, last.highest, rate, action)
	switch {
	case inWindow <= rate.Limit:
	case established:
		c.violation(RuleRates, 0, last.Number, "attempt %d started at %s as number %d in %s, at a rate %s of %d",
			last.Attempt, clock(last.At), inWindow, rate.Window, rate.Name, rate.Limit)
	default:
		c.report.Checked.RateUnclear++
	}
}

// sameRate reports whether all policies with revisions from lowest to highest have a rate.
func (c *check) sameRate(lowest, highest int64, rate attune.StartRate, action attune.ActionID) bool {
	for revision := lowest; revision <= highest; revision++ {
		policy := c.policies[revision]
		if policy == nil {
			return false
		}
		list := policy.Rates
		if action != 0 {
			list = policy.Of(action).Rates
		}
		if !slices.Contains(list, rate) {
			return false
		}
	}
	return lowest > 0
}
