package attune_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestEstimateWait(t *testing.T) {
	t.Parallel()

	t.Run("equal turnovers give an estimate without a margin", func(t *testing.T) {
		t.Parallel()
		steady := []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second}
		estimate, ok := attune.EstimateWait(3, steady)
		require.True(t, ok)
		require.Equal(t, attune.Estimate{Low: 3 * time.Second, Likely: 3 * time.Second, High: 3 * time.Second}, estimate)
	})

	t.Run("a position below 1 and fewer than 5 turnovers give no estimate", func(t *testing.T) {
		t.Parallel()
		_, ok := attune.EstimateWait(1, []time.Duration{1, 2, 3, 4})
		require.False(t, ok)
		_, ok = attune.EstimateWait(0, []time.Duration{1, 2, 3, 4, 5})
		require.False(t, ok)
	})

	t.Run("about nine of ten waits are in the range", func(t *testing.T) {
		t.Parallel()
		random := rand.New(rand.NewPCG(1, 2))
		turnover := func() time.Duration { return time.Duration(random.ExpFloat64() * float64(time.Second)) }
		const trials, samples, position = 2000, 50, 12
		hits := 0
		for range trials {
			var seen []time.Duration
			for range samples {
				seen = append(seen, turnover())
			}
			estimate, ok := attune.EstimateWait(position, seen)
			require.True(t, ok)
			wait := time.Duration(0)
			for range position {
				wait += turnover()
			}
			if wait >= estimate.Low && wait <= estimate.High {
				hits++
			}
		}
		require.InDelta(t, 0.9, float64(hits)/trials, 0.04)
	})
}

func TestTurnovers(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	grant := func(queued, requested, released int) attune.LoggedGrant {
		g := attune.LoggedGrant{RequestedAt: at(requested)}
		g.EnqueuedAt = at(queued)
		if released > 0 {
			g.ReleasedAt = new(at(released))
		}
		return g
	}
	require.Equal(t, []time.Duration{2 * time.Second, 3 * time.Second}, attune.Turnovers([]attune.LoggedGrant{
		grant(0, 8, 0), grant(0, 3, 5), grant(0, 1, 3), grant(0, 5, 8), grant(100, 101, 109),
	}), "the queue was idle before the last one, and one still holds its slot")
}
