package semaphore_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// drawRates draws rates of starts. The name stays while its limit and its window change.
func drawRates(t *rapid.T) (rates []attune.StartRate) {
	for _, name := range []string{"a", "b"} {
		if rapid.IntRange(0, 3).Draw(t, "rate "+name) == 0 {
			rates = append(rates, attune.StartRate{
				Name: name, Limit: rapid.IntRange(1, 4).Draw(t, "starts"),
				Window: attune.Duration(time.Duration(rapid.IntRange(1, 3000).Draw(t, "window")) * time.Millisecond),
			})
		}
	}
	return rates
}

// drawLimits draws limits of two of the three actions.
func drawLimits(t *rapid.T) (all []attune.ActionPolicy) {
	maybe := func(least, most int, what string) *int {
		if rapid.Bool().Draw(t, "has "+what) {
			return nil
		}
		return new(rapid.IntRange(least, most).Draw(t, what))
	}
	for action := attune.ActionID(1); action <= 2; action++ {
		if rapid.Bool().Draw(t, "without limits") {
			continue
		}
		all = append(all, attune.ActionPolicy{
			Action: action, Limit: maybe(0, 3, "limit of an action"), LimitPerKey: maybe(0, 2, "limit per key"),
			MaxQueuedPerKey: maybe(1, 3, "max queued per key"), Rates: drawRates(t),
			WhenBusy: rapid.SampledFrom([]attune.WhenBusy{"", attune.BusyWait, attune.BusyWait, attune.BusySkip, attune.BusyReplace}).Draw(t, "when busy"),
		})
	}
	return all
}
