package replay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
)

// drawPolicy draws a policy with every field that a queue obeys but the rates of starts.
func drawPolicy(t *rapid.T) attune.QueuePolicy {
	policy := attune.QueuePolicy{
		Limit:     rapid.IntRange(0, 4).Draw(t, "limit"),
		Across:    rapid.SampledFrom([]attune.Across{attune.AcrossStrict, attune.AcrossSkip, attune.AcrossSkip}).Draw(t, "across"),
		MaxQueued: rapid.IntRange(2, 8).Draw(t, "max queued"),
		Overflow:  rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest}).Draw(t, "overflow"),
		QueueTimeout: attune.Duration(rapid.SampledFrom([]time.Duration{
			0, 0, 5 * time.Second,
		}).Draw(t, "timeout")),
	}
	for action := range rapid.IntRange(0, 2).Draw(t, "actions") {
		policy.Actions = append(policy.Actions, attune.ActionPolicy{
			Action: attune.ActionID(1 + action), Limit: drawLimit(t, "limit of the action"), LimitPerKey: drawLimit(t, "limit per key"),
			MaxQueuedPerKey: drawLimit(t, "max queued per key"),
			WhenBusy:        rapid.SampledFrom([]attune.WhenBusy{"", "", attune.BusySkip, attune.BusyReplace}).Draw(t, "when busy"),
		})
	}
	return policy
}

func drawLimit(t *rapid.T, name string) *int {
	limit := rapid.SampledFrom([]int{-1, 0, 1, 1, 1, 2, 2}).Draw(t, name)
	if limit < 0 {
		return nil
	}
	return &limit
}

// The core decides every recorded grant in its recorded place, although the queue learns of arrivals and releases late and in any
// order, also when the period begins in the middle.
func TestRecorded_Complete(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, false, drawPolicy)
		t.Repeat(w.actions())
		from := start.Add(time.Duration(rapid.IntRange(0, int(w.now.Sub(start)/time.Millisecond)).Draw(t, "from")) * time.Millisecond)
		for _, from := range []time.Time{start, from} {
			agreement := replay.Recorded(w.recorded(from))
			require.True(t, agreement.Complete(), "%+v, first %+v", agreement, agreement.First)
		}
	})
}

// Without delays, a simulation under the recorded policies decides what the queue has decided.
func TestSimulate_AsRecorded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, true, func(t *rapid.T) attune.QueuePolicy {
			policy := drawPolicy(t)
			for i := range policy.Actions { // a replaced run ends later in reality
				if policy.Actions[i].WhenBusy == attune.BusyReplace {
					policy.Actions[i].WhenBusy = ""
				}
			}
			return policy
		})
		t.Repeat(w.actions())
		h := w.recorded(start)
		really, simulated := replay.Really(h), replay.Simulate(h, replay.AsRecorded(h))
		same := min(len(really.Order), len(simulated.Order))
		require.Equal(t, append([]int64{}, really.Order...), append([]int64{}, simulated.Order[:same]...))
		if really.Granted == simulated.Granted {
			for reason, n := range really.Left {
				require.GreaterOrEqual(t, simulated.Left[reason], n, reason)
			}
			require.Equal(t, really.Waits, simulated.Waits)
		}
	})
}
