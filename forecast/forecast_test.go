package forecast_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/forecast"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// oneByOne is a queue of limit 1 whose runs take some times, one after the other, while three others wait. The last times have not ended
// at the end.
func oneByOne(holds ...time.Duration) (grants []attune.LoggedGrant, end time.Time) {
	at := noon
	for i, hold := range holds {
		g := attune.LoggedGrant{RequestedAt: at, ReleasedAt: new(at.Add(hold))}
		g.Number, g.Sequence, g.GrantedAt, g.Limit = int64(i+1), int64(i+1), at, 1
		g.EnqueuedAt = noon
		if i >= 3 {
			g.EnqueuedAt = grants[i-3].GrantedAt
		}
		grants, at = append(grants, g), at.Add(hold)
	}
	return grants, at
}

func repeated(n int, hold time.Duration) []time.Duration {
	holds := make([]time.Duration, n)
	for i := range holds {
		holds[i] = hold
	}
	return holds
}

func TestWait(t *testing.T) {
	t.Parallel()
	question := func(grants []attune.LoggedGrant, at time.Time, level forecast.Level) (forecast.Estimate, error) {
		return forecast.Wait(forecast.Question{
			At: at, Waited: 30 * time.Second, Spot: forecast.Spot{Queue: level}, Policy: attune.QueuePolicy{Limit: level.Limit}, Grants: grants,
		})
	}

	t.Run("equal holds give a narrow interval", func(t *testing.T) {
		t.Parallel()
		grants, end := oneByOne(repeated(100, 10*time.Second)...)
		estimate, err := question(grants, end, forecast.Level{Ahead: 3, Active: 1, Limit: 1})
		require.NoError(t, err)
		require.InDelta(t, 35, estimate.Likely.Seconds(), 6)
		require.Less(t, estimate.High, 60*time.Second)
		require.Greater(t, estimate.Low, 10*time.Second)
	})

	t.Run("runs that take much longer than all before widen the interval", func(t *testing.T) {
		t.Parallel()
		// Runs took 2 s. A run takes 40 s, has held its slot for 30 s, and two more such runs are in front: 10 s + 2 × 40 s remain.
		grants, end := oneByOne(append(repeated(100, 2*time.Second), 30*time.Second)...)
		grants[100].ReleasedAt = nil
		estimate, err := question(grants, end, forecast.Level{Ahead: 2, Active: 1, Limit: 1})
		require.NoError(t, err)
		require.LessOrEqual(t, estimate.Low, 90*time.Second)
		require.GreaterOrEqual(t, estimate.High, 90*time.Second)
		require.Greater(t, estimate.Likely, 15*time.Second, "2 s a run are 6 s")
	})

	t.Run("after three runs of 40 s, 2 s are forgotten", func(t *testing.T) {
		t.Parallel()
		grants, end := oneByOne(append(repeated(100, 2*time.Second), repeated(3, 40*time.Second)...)...)
		estimate, err := question(grants, end, forecast.Level{Ahead: 2, Active: 1, Limit: 1})
		require.NoError(t, err)
		require.LessOrEqual(t, estimate.Low, 120*time.Second)
		require.GreaterOrEqual(t, estimate.High, 120*time.Second)
	})

	t.Run("too little that was recorded gives no estimate, and the reason", func(t *testing.T) {
		t.Parallel()
		for want, grants := range map[string]int{
			"only 0 of the latest runs have ended: an estimate needs 3": 0, "7 of the latest 12 grants had waited: an estimate needs 20": 12,
		} {
			recorded, end := oneByOne(repeated(grants, time.Second)...)
			_, err := question(recorded, end, forecast.Level{Active: 1, Limit: 1})
			require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
			require.ErrorContains(t, err, want)
		}
	})

	t.Run("a slow lane decides", func(t *testing.T) {
		t.Parallel()
		l := loads()["lanes"]
		_, moment := ask(l, 7)
		asked := moment.question
		free, err := forecast.Wait(asked)
		require.NoError(t, err)
		asked.Spot.Lane = &forecast.Level{Ahead: 50, Active: 1, Limit: 1}
		slow, err := forecast.Wait(asked)
		require.NoError(t, err)
		require.Greater(t, slow.Low, free.Likely)
	})
}

// Any rows give an ordered interval, and the same rows the same, in any order of the rows.
func TestWait_AnyRows(t *testing.T) {
	t.Parallel()
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
			return time.Unix(rapid.Int64Range(math.MinInt32, math.MaxUint32).Draw(t, "seconds")*100, 0)
		}
		return noon.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "ms")) * time.Millisecond)
	})
	level := rapid.Custom(func(t *rapid.T) forecast.Level {
		count := rapid.OneOf(rapid.IntRange(-3, 20), rapid.Int())
		return forecast.Level{Ahead: count.Draw(t, "ahead"), Active: count.Draw(t, "active"), Limit: count.Draw(t, "limit")}
	})
	rapid.Check(t, func(t *rapid.T) {
		q := forecast.Question{
			At: moment.Draw(t, "at"), Waited: time.Duration(rapid.Int64().Draw(t, "waited")), Spot: forecast.Spot{Queue: level.Draw(t, "queue")},
			Policy: attune.QueuePolicy{Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{
				{Action: 1, Limit: new(rapid.IntRange(0, 3).Draw(t, "limit")), LimitPerKey: new(rapid.IntRange(0, 2).Draw(t, "per key"))},
			}},
		}
		if rapid.Bool().Draw(t, "laned") {
			q.Spot.Lane, q.Spot.Action = new(level.Draw(t, "lane")), new(level.Draw(t, "action"))
		}
		for i := range rapid.IntRange(0, 80).Draw(t, "grants") {
			g := attune.LoggedGrant{}
			g.Number, g.Sequence = rapid.Int64Range(int64(-i), 200).Draw(t, "number"), rapid.Int64Range(-1, 200).Draw(t, "sequence")
			g.EnqueuedAt, g.GrantedAt, g.Limit = moment.Draw(t, "queued"), moment.Draw(t, "granted"), rapid.IntRange(-1, 9).Draw(t, "slots")
			g.Lane, g.Action = rapid.Int32Range(0, 3).Draw(t, "in lane"), attune.ActionID(rapid.Int64Range(0, 2).Draw(t, "of action"))
			if rapid.IntRange(0, 3).Draw(t, "ended") > 0 {
				g.ReleasedAt = new(moment.Draw(t, "released"))
			}
			q.Grants = append(q.Grants, g)
		}
		first, err := forecast.Wait(q)
		again, errAgain := forecast.Wait(q)
		require.Equal(t, first, again)
		require.Equal(t, err, errAgain)
		require.LessOrEqual(t, time.Duration(0), first.Low)
		require.LessOrEqual(t, first.Low, first.Likely)
		require.LessOrEqual(t, first.Likely, first.High)
		require.Equal(t, err != nil, first == forecast.Estimate{})
	})
}

func BenchmarkWait(b *testing.B) {
	grants, end := oneByOne(repeated(attune.EstimateGrants, 4*time.Second)...)
	question := forecast.Question{
		At: end, Waited: time.Hour, Spot: forecast.Spot{Queue: forecast.Level{Ahead: 10_000, Active: 1, Limit: 1}}, Grants: grants,
	}
	for b.Loop() {
		_, _ = forecast.Wait(question)
	}
}
