package forecast_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/forecast"
)

// waits is the number of seeded waits of a load.
const waits = 1000

// The 90 % estimate holds for 870 to 930 of 1000 waits. Each wait is of a run of its own, with a seed of its own, so that the waits are
// independent: then a true coverage of 90 % is between the bounds in 998 of 1000 tests. The long form (`make soak`) takes five more sets
// of seeds.
func TestWait_Coverage(t *testing.T) {
	t.Parallel()
	sets := []uint64{100}
	if os.Getenv("ATTUNE_TEST_SOAK") != "" {
		sets = []uint64{100, 101, 102, 103, 104, 105}
	}
	for name, l := range loads() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, set := range sets {
				arrival, moment := cover(l, set)
				for when, c := range map[string]coverage{"at arrival": arrival, "at a random moment": moment} {
					t.Logf("measured: %s, %s, seeds %d: %d of %d within, %d below, %d above", name, when, set, c.within, waits, c.below, c.above)
					require.GreaterOrEqual(t, c.within, 870, when)
					require.LessOrEqual(t, c.within, 930, when)
				}
			}
		})
	}
}

// coverage counts waits by where they ended. A wait without an estimate is in none of the counts.
type coverage struct{ within, below, above int }

func (c *coverage) add(asked asked) {
	estimate, err := forecast.Wait(asked.question)
	switch {
	case err != nil:
	case asked.rest < estimate.Low:
		c.below++
	case asked.rest > estimate.High:
		c.above++
	default:
		c.within++
	}
}

// cover estimates waits of independent runs.
func cover(l load, set uint64) (arrival, moment coverage) {
	for i := range uint64(waits) {
		atArrival, atMoment := ask(l, set<<32+i)
		arrival.add(atArrival)
		moment.add(atMoment)
	}
	return arrival, moment
}
