package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// The statements of a rate decide like [policy.SlidingLog]: limit and window change between any two admissions, costs differ, and each
// value of the key has a log of its own. Time passes in steps of ten minutes and windows end between the steps, so the time that the test
// takes makes no difference.
func TestEnforcements_AdmitRatesLikeTheSlidingLog(t *testing.T) {
	t.Parallel()
	const seed, steps, step = 7, 60, 10 * time.Minute
	b := setup(t)
	random := rand.New(rand.NewPCG(seed, seed))
	logs := map[attune.LaneName]*policy.SlidingLog{"=a": {}, "=b": {}}
	clock := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	var refused int
	for n := range steps {
		rate := rateOf("all", 1+random.IntN(6), time.Duration(1+random.IntN(6))*step-step/2)
		rate.Key = "parameters.a"
		b.sayGlobally(t, rated(rate))
		for range random.IntN(3) {
			b.pass(t, step)
			clock = clock.Add(step)
		}
		key := []attune.LaneName{"=a", "=b"}[random.IntN(2)]
		log, cost := logs[key], int64(random.IntN(4))
		now := log.Now(clock)
		used := log.Used(now, time.Duration(rate.Window))
		tally := policy.Tally{Limit: int64(rate.Limit), Used: used}
		allowed := tally.Allows(cost)
		at := fmt.Sprintf("seed %d, step %d: %d in %s, cost %d, %d used", seed, n, rate.Limit, rate.Window, cost, used)

		ids := b.gated(t, deploy, 1, keyedBy(key), costing(cost))
		require.Equal(t, allowed, len(b.tickets(t, ids...)) == 1, at)
		if allowed {
			log.Charge(now, cost)
			continue
		}
		refused++
		refusal := b.enforcement(t, ids[0]).Refusal
		require.Equal(t, used, refusal.Count, at)
		retryAt, ever := log.RetryAt(cost, int64(rate.Limit), time.Duration(rate.Window))
		require.Equal(t, ever, refusal.RetryAt != nil, at)
		if ever {
			require.WithinDuration(t, time.Now().Add(retryAt.Sub(clock)), *refusal.RetryAt, step/2, at)
		}
	}
	require.Greater(t, refused, steps/10, "the rates refuse some")
	require.Less(t, refused, steps*9/10, "the rates allow some")
}
