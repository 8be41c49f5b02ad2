package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune/policy"
)

// unit is one accepted unit of the naive oracle, which keeps all of them.
type unit struct{ at time.Time }

// young counts the units in the window (now-window, now].
func young(units []unit, now time.Time, window time.Duration) (n int64) {
	for _, u := range units {
		if u.at.After(now.Add(-window)) && !u.at.After(now) {
			n++
		}
	}
	return n
}

// The log must decide like an oracle that keeps every unit, and in no window more units may be accepted than the limit. The clock
// can run backwards; limit and window can change between any two decisions.
func TestSlidingLog_AgreesWithAnOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var log policy.SlidingLog
		var oracle []unit
		constant := rapid.Bool().Draw(t, "the rate stays")
		limit, window := drawRate(t)
		clock := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		for range rapid.IntRange(1, 60).Draw(t, "admissions") {
			clock = clock.Add(time.Duration(rapid.IntRange(-3, 8).Draw(t, "ms")) * time.Millisecond)
			if !constant {
				limit, window = drawRate(t)
			}
			now := log.Now(clock)
			require.False(t, now.Before(clock))
			used := young(oracle, now, window)
			require.Equal(t, used, log.Used(now, window))
			cost := int64(rapid.IntRange(0, 4).Draw(t, "cost"))
			retryAt, ever := log.RetryAt(cost, limit, window)
			require.Equal(t, cost <= limit, ever)
			tally := policy.Tally{Limit: limit, Used: used}
			if policy.ChargeAll([]policy.TallyCharge{{Tally: &tally, Cost: cost}}) >= 0 {
				require.Positive(t, cost)
				requireOpens(t, oracle, now, retryAt, ever, cost, limit, window)
				continue
			}
			require.True(t, cost == 0 || !retryAt.After(now), "the log says that the cost is allowed")
			log.Charge(now, cost)
			for range cost {
				oracle = append(oracle, unit{now})
			}
			if constant {
				require.LessOrEqual(t, young(oracle, now, window), limit)
			}
			if cost > 0 { // the clock cannot fall behind a charge
				log.Forget(now.Add(-maxWindow))
			}
		}
		require.Len(t, oracle, int(log.Last()))
	})
}

const maxWindow = 12 * time.Millisecond

func drawRate(t *rapid.T) (limit int64, window time.Duration) {
	return int64(rapid.IntRange(1, 5).Draw(t, "limit")),
		time.Duration(rapid.IntRange(1, int(maxWindow/time.Millisecond)).Draw(t, "window")) * time.Millisecond
}

// requireOpens checks a refusal: the cost is allowed at retryAt, and not a moment before.
func requireOpens(t *rapid.T, oracle []unit, now, retryAt time.Time, ever bool, cost, limit int64, window time.Duration) {
	if !ever {
		require.Greater(t, cost, limit)
		return
	}
	require.True(t, retryAt.After(now))
	require.LessOrEqual(t, young(oracle, retryAt, window)+cost, limit)
	require.Greater(t, young(oracle, retryAt.Add(-time.Nanosecond), window)+cost, limit)
}

func TestChargeAll(t *testing.T) {
	t.Parallel()
	t.Run("a refusal charges no gate", func(t *testing.T) {
		t.Parallel()
		open, full := policy.Tally{Limit: 10, Used: 3}, policy.Tally{Limit: 2, Used: 2}
		require.Equal(t, 1, policy.ChargeAll([]policy.TallyCharge{{&open, 5}, {&full, 1}, {&open, 1}}))
		require.Zero(t, open.Charged)
		require.Zero(t, full.Charged)
	})
	t.Run("a cost of 0 passes a full gate", func(t *testing.T) {
		t.Parallel()
		full := policy.Tally{Limit: 2, Used: 5}
		require.Equal(t, -1, policy.ChargeAll([]policy.TallyCharge{{&full, 0}}))
	})
	t.Run("admissions of one instant count for each other", func(t *testing.T) {
		t.Parallel()
		tally := policy.Tally{Limit: 3}
		require.Equal(t, -1, policy.ChargeAll([]policy.TallyCharge{{&tally, 2}}))
		require.Equal(t, 0, policy.ChargeAll([]policy.TallyCharge{{&tally, 2}}))
		require.Equal(t, -1, policy.ChargeAll([]policy.TallyCharge{{&tally, 1}}))
		require.EqualValues(t, 3, tally.Charged)
	})
}
