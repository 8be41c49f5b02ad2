package forecast_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/forecast"
	"github.com/attune-go/attune/semaphore"
)

// load is a simulated load: when tickets arrive, and how long they hold their slots.
type load struct {
	limit     int
	lanes     int32                                              // 0: no lanes
	arrival   func(r *rand.Rand, at time.Duration) time.Duration // until the next one
	hold      func(r *rand.Rand, at time.Duration) time.Duration
	laneLimit *int
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}

// lognormal returns a hold with a long tail.
func lognormal(r *rand.Rand, median time.Duration) time.Duration {
	return time.Duration(math.Exp(0.6*r.NormFloat64()) * float64(median))
}

// loads are the loads on which the interval must hold.
func loads() map[string]load {
	return map[string]load{
		"steady": {
			limit:   4,
			arrival: func(r *rand.Rand, _ time.Duration) time.Duration { return exponential(r, 2600*time.Millisecond) },
			hold:    func(r *rand.Rand, _ time.Duration) time.Duration { return lognormal(r, 8*time.Second) },
		},
		"changing run times": {
			limit:   2,
			arrival: func(r *rand.Rand, _ time.Duration) time.Duration { return exponential(r, 9*time.Second) },
			hold: func(r *rand.Rand, at time.Duration) time.Duration {
				if int(at/(30*time.Minute))%2 == 0 {
					return lognormal(r, 5*time.Second)
				}
				return lognormal(r, 20*time.Second)
			},
		},
		"bursts": {
			limit: 3,
			arrival: func(r *rand.Rand, _ time.Duration) time.Duration {
				if r.IntN(60) > 0 {
					return 10 * time.Millisecond
				}
				return exponential(r, 8*time.Minute)
			},
			hold: func(r *rand.Rand, _ time.Duration) time.Duration { return lognormal(r, 8*time.Second) },
		},
	}
}

// simulate runs a load with the core until n tickets were granted, and returns the grants in the order of their decisions.
func simulate(l load, r *rand.Rand, n int) []attune.LoggedGrant {
	begin := time.UnixMilli(1_900_000_000_000).UTC()
	policy := attune.QueuePolicy{
		Revision: 1, Limit: l.limit, MaxQueued: attune.MaxQueuedLimit, Overflow: attune.OverflowReject,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: l.laneLimit}},
	}
	if l.lanes > 0 {
		policy.Across = attune.AcrossSkip
	}
	state := semaphore.New(attune.QueueSnapshot{Policy: policy})
	state.SetSleepAfter(0)
	var log []attune.LoggedGrant
	var running []int // indices in log
	for sequence, next := int64(0), begin; len(log) < n; {
		now, ends := next, -1
		for i, index := range running {
			if end := *log[index].ReleasedAt; end.Before(now) {
				now, ends = end, i
			}
		}
		if ends >= 0 {
			state.Release(now, []attune.Ticket{log[running[ends]].Ticket})
			running = slices.Delete(running, ends, ends+1)
		} else {
			sequence++
			ticket := attune.Ticket{Enforcement: attune.EnforcementID(sequence), Sequence: sequence, EnqueuedAt: now, Action: 1}
			if l.lanes > 0 {
				ticket.Lane = 1 + r.Int32N(l.lanes)
			}
			state.Acquire(now, []attune.Ticket{ticket})
			next = now.Add(l.arrival(r, now.Sub(begin)))
		}
		for _, grant := range state.GrantsAfter(int64(len(log))) {
			grant.GrantedAt = now
			end := now.Add(l.hold(r, now.Sub(begin)))
			running = append(running, len(log))
			log = append(log, attune.LoggedGrant{Grant: grant, RequestedAt: now, ReleasedAt: &end})
		}
	}
	return log
}

// known returns what the rows show of the latest grants at a time.
func known(log []attune.LoggedGrant, at time.Time) []attune.LoggedGrant {
	n, _ := slices.BinarySearchFunc(log, at, func(g attune.LoggedGrant, at time.Time) int { return g.GrantedAt.Compare(at) })
	latest := slices.Clone(log[max(0, n-forecast.Grants):n])
	for i := range latest {
		if latest[i].ReleasedAt.After(at) {
			latest[i].ReleasedAt = nil
		}
	}
	return latest
}

// measure makes an estimate for n waits of a load, each at a random moment of the wait, or at its beginning. It returns how many of the
// waits ended within their intervals, and the mean quotient of the ends of an interval.
func measure(t *testing.T, l load, seed uint64, n int, atArrival bool) (within int, width float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	log := simulate(l, r, 12*n)
	var waited []int
	for i := 2 * n; i < len(log); i++ {
		if log[i].GrantedAt.Sub(log[i].EnqueuedAt) > 10*time.Millisecond {
			waited = append(waited, i)
		}
	}
	for k := range n {
		grant := log[waited[k*len(waited)/n]]
		at, wait := grant.EnqueuedAt.Add(time.Nanosecond), grant.GrantedAt.Sub(grant.EnqueuedAt)
		if !atArrival {
			at = at.Add(time.Duration(r.Float64() * float64(wait)))
		}
		spot := forecast.Spot{Lane: grant.Lane, Limit: l.limit, LaneLimit: l.laneLimit}
		for _, other := range log {
			if other.Sequence < grant.Sequence && !other.GrantedAt.Before(at) {
				spot.Ahead++
				if other.Lane == grant.Lane {
					spot.InLane++
				}
			}
		}
		estimate, err := forecast.Wait(at, spot, known(log, at))
		require.NoError(t, err)
		if rest := grant.GrantedAt.Sub(at); rest >= estimate.Low && rest <= estimate.High {
			within++
		}
		width += math.Log(estimate.High.Seconds()/max(estimate.Low.Seconds(), 0.001)) / float64(n)
	}
	return within, math.Exp(width)
}

// Of 1000 waits, the interval holds for nine of ten, on each load.
func TestWait_Coverage(t *testing.T) {
	t.Parallel()
	for name, l := range loads() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1) {
				for _, atArrival := range []bool{false, true} {
					within, width := measure(t, l, seed, 1000, atArrival)
					t.Logf("seed %d, at arrival %t: %d of 1000 within, mean width ×%.1f", seed, atArrival, within, width)
					require.GreaterOrEqual(t, within, 870)
					require.LessOrEqual(t, within, 930)
				}
			}
		})
	}
}

func BenchmarkWait(b *testing.B) {
	var log []attune.LoggedGrant
	begin := time.UnixMilli(1_900_000_000_000).UTC()
	for i := range forecast.Grants {
		at := begin.Add(time.Duration(i) * time.Second)
		log = append(log, attune.LoggedGrant{
			Grant:      attune.Grant{Ticket: attune.Ticket{Sequence: int64(i), EnqueuedAt: begin}, Number: int64(i), GrantedAt: at, Limit: 4},
			ReleasedAt: new(at.Add(time.Duration(1+i%7) * time.Second)),
		})
	}
	for b.Loop() {
		_, _ = forecast.Wait(begin.Add(forecast.Grants*time.Second), forecast.Spot{Ahead: 10_000, Limit: 4}, log)
	}
}
