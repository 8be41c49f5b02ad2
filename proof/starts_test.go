package proof_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// startAll records a start for each grant, an hour apart.
func (r *rows) startAll() {
	for _, g := range r.Grants {
		at := time.UnixMilli(1_900_000_000_000).Add(time.Duration(g.Number) * time.Hour)
		r.Starts = append(r.Starts, attune.Start{Number: g.Number, Attempt: 1, Action: g.Action, At: at})
	}
}

// started returns rows with starts of action 1 at these seconds, under policies with these rates, from revision 1.
func started(seconds []int, revisions []int64, rates ...attune.StartRate) rows {
	r := sideBySide()
	r.Policies = nil
	for i, rate := range rates {
		policy := attune.QueuePolicy{Revision: int64(i + 1), Limit: 4, Across: attune.AcrossSkip, MaxQueued: 10}
		if rate.Limit > 0 {
			policy.Actions = []attune.ActionPolicy{{Action: 1, Rates: []attune.StartRate{rate}}}
		}
		r.Policies = append(r.Policies, policy)
	}
	for i, second := range seconds {
		revision := revisions[min(i, len(revisions)-1)]
		r.Grants[i].Revision = revision
		r.Starts = append(r.Starts, attune.Start{
			Number: r.Grants[i].Number, Attempt: 1, Action: 1, At: time.Unix(int64(1_900_000_000+second), 0),
		})
	}
	for i := len(seconds); i < len(r.Grants); i++ {
		r.Grants[i].Revision = 0
	}
	return r
}

// ofRates returns the violations of rates.
func ofRates(report proof.Report) (violations []string) {
	for _, v := range report.Violations {
		if v.Rule == proof.RuleRates {
			violations = append(violations, v.String())
		}
	}
	return violations
}

func TestCheck_Starts(t *testing.T) {
	t.Parallel()
	rate := func(limit, seconds int) attune.StartRate {
		return attune.StartRate{Name: "slow", Limit: limit, Window: attune.Duration(time.Duration(seconds) * time.Second)}
	}
	tests := map[string]struct {
		rows    rows
		want    int
		unclear int
	}{
		"starts just outside of a window":         {rows: started([]int{0, 10, 20}, []int64{1}, rate(1, 10))},
		"a start too many in a window":            {rows: started([]int{0, 10, 19}, []int64{1}, rate(1, 10)), want: 1},
		"two starts too many":                     {rows: started([]int{0, 5, 6, 7}, []int64{1}, rate(2, 10)), want: 2},
		"a lower limit, before a window has gone": {rows: started([]int{0, 1, 2, 3}, []int64{1, 1, 1, 2}, rate(5, 10), rate(2, 10)), unclear: 1},
		"a lower limit, after a window has gone": {
			rows: started([]int{0, 20, 31, 32}, []int64{1, 2}, rate(5, 10), rate(1, 10)), want: 1,
		},
		"a rate that is new": {rows: started([]int{0, 1}, []int64{1, 2}, rate(0, 0), rate(1, 10)), unclear: 1},
		"a higher limit":     {rows: started([]int{0, 1, 2}, []int64{2}, rate(1, 10), rate(3, 10))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := check(tt.rows)
			require.Len(t, ofRates(report), tt.want, "%v", report.Violations)
			require.Equal(t, tt.unclear, report.Checked.RateUnclear)
		})
	}
	t.Run("starts of another action do not count for the rate of an action, but for that of the queue", func(t *testing.T) {
		t.Parallel()
		r := started([]int{0, 1}, []int64{1}, rate(1, 10))
		r.Starts[0].Action = 2
		require.Empty(t, ofRates(check(r)))
		r.Policies[0].Rates, r.Policies[0].Actions = r.Policies[0].Actions[0].Rates, nil
		require.Equal(t, []string{
			"rates: grant 2: attempt 1 started at 17:46:41.000000 as number 2 in 10s, at a rate slow of 1",
		}, ofRates(check(r)))
	})
	t.Run("a start is missing", func(t *testing.T) {
		t.Parallel()
		r := started([]int{0, 20}, []int64{1}, rate(1, 10))
		r.Starts = r.Starts[1:]
		require.Equal(t, []string{"rates: sequence 1 grant 1: decided under a policy with rates of starts, but no start is recorded"}, ofRates(check(r)))
	})
	t.Run("a start of a retry in its slot is missing", func(t *testing.T) {
		t.Parallel()
		r := started([]int{0, 20}, []int64{1}, rate(1, 10))
		r.Grants[0].Attempt = 2
		require.Equal(t, []string{
			"rates: sequence 1 grant 1: attempt 2 kept the slot under policies with rates of starts, but no start of it is recorded",
		}, ofRates(check(r)))
		retry := r.Starts[0]
		retry.Attempt, retry.At = 2, retry.At.Add(10*time.Second)
		r.Starts = append(r.Starts, retry)
		require.Empty(t, ofRates(check(r)))
		r.Starts[0].Attempt = 3
		require.Len(t, ofRates(check(r)), 1, "the start of the first attempt")
	})
	t.Run("a retry under a policy without rates has no start", func(t *testing.T) {
		t.Parallel()
		r := started([]int{0}, []int64{1}, rate(1, 10), rate(0, 0))
		r.Grants[0].Attempt = 2
		require.Empty(t, ofRates(check(r)))
	})
	t.Run("a retry in its slot is a start under a policy between those of the grants around it", func(t *testing.T) {
		t.Parallel()
		r := started([]int{0, 20, 40}, []int64{1}, rate(1, 10))
		retry := r.Starts[0]
		retry.Attempt, retry.At = 2, retry.At.Add(25*time.Second)
		r.Starts = append(r.Starts, retry)
		require.Len(t, ofRates(check(r)), 1)
	})
}

// A start that is moved into the window of others is found.
func TestCheck_CorruptStarts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t, startRates)
		actions := h.actions()
		delete(actions, "set policy")
		t.Repeat(actions)
		for len(h.Starts) < 4 { // one after the other, a window apart
			h.queue(h.enforce(0, 1), 1)
			h.arriveAll(t)
			h.setLimit(nil)
			h.setMode(attune.QueueOpen)
			h.database = h.database.Add(3 * time.Second)
			h.releaseAll()
			h.state.Advance(h.queueClock())
			h.recordSome(100)
			h.requestAll(t)
			for i := range h.Enforcements {
				if e := &h.Enforcements[i]; e.Status == attune.EnforcementGranted && h.grantOf(e).Outcome == attune.ExecutionRunning {
					h.finishAs(e, "")
				}
			}
		}
		require.Empty(t, h.check().Violations)
		at := rapid.SampledFrom(h.Starts).Draw(t, "start").At
		for i := range h.Starts {
			h.Starts[i].Action, h.Starts[i].At = 1, at
		}
		require.NotEmpty(t, ofRates(proof.Check(h.Rows)))
	})
}
