package forecast_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

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
	eight := func(r *rand.Rand, _ time.Duration) time.Duration { return lognormal(r, 8*time.Second) }
	return map[string]load{
		"steady": {
			limit:   4,
			arrival: func(r *rand.Rand, _ time.Duration) time.Duration { return exponential(r, 2600*time.Millisecond) },
			hold:    eight,
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
			hold: eight,
		},
		"lanes": {
			limit: 6, lanes: 8, laneLimit: new(1),
			arrival: func(r *rand.Rand, _ time.Duration) time.Duration { return exponential(r, 2400*time.Millisecond) },
			hold:    eight,
		},
	}
}

// simulate runs a load with the core from a time of the load on until n tickets were granted, and returns the grants in the order of
// their decisions.
func simulate(l load, r *rand.Rand, phase time.Duration, n int) []attune.LoggedGrant {
	begin := time.UnixMilli(1_900_000_000_000).UTC()
	state := semaphore.New(attune.QueueSnapshot{Policy: l.policy()})
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
			next = now.Add(l.arrival(r, now.Sub(begin)+phase))
		}
		for _, grant := range state.GrantsAfter(int64(len(log))) {
			grant.GrantedAt = now
			end := now.Add(l.hold(r, now.Sub(begin)+phase))
			running = append(running, len(log))
			log = append(log, attune.LoggedGrant{Grant: grant, RequestedAt: now, ReleasedAt: &end})
		}
	}
	return log
}

func (l load) policy() attune.QueuePolicy {
	policy := attune.QueuePolicy{
		Revision: 1, Limit: l.limit, MaxQueued: attune.MaxQueuedLimit, Overflow: attune.OverflowReject,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: l.laneLimit}},
	}
	if l.lanes > 0 {
		policy.Across = attune.AcrossSkip
	}
	return policy
}

// known returns what the rows show of the latest grants at a time.
func known(log []attune.LoggedGrant, at time.Time) []attune.LoggedGrant {
	n, _ := slices.BinarySearchFunc(log, at, func(g attune.LoggedGrant, at time.Time) int { return g.GrantedAt.Compare(at) })
	latest := slices.Clone(log[max(0, n-attune.EstimateGrants):n])
	for i := range latest {
		if latest[i].ReleasedAt.After(at) {
			latest[i].ReleasedAt = nil
		}
	}
	return latest
}

// asked is one wait of one run, and what was known at a moment of it.
type asked struct {
	question forecast.Question
	rest     time.Duration
}

// ask runs a load, chooses one wait, and asks at its beginning and at a moment of it.
func ask(l load, seed uint64) (atArrival, atMoment asked) {
	const least, most = 450, 900 // the numbers of the grants to choose from
	r := rand.New(rand.NewPCG(seed, 0xa77))
	phase := time.Duration(r.Int64N(int64(time.Hour)))
	log := simulate(l, r, phase, most+100)
	var waited []int
	for i := least; i < most; i++ {
		if log[i].GrantedAt.Sub(log[i].EnqueuedAt) > 10*time.Millisecond {
			waited = append(waited, i)
		}
	}
	if len(waited) == 0 {
		return ask(l, seed+1<<40)
	}
	grant := log[waited[r.IntN(len(waited))]]
	arrived, wait := grant.EnqueuedAt.Add(time.Nanosecond), grant.GrantedAt.Sub(grant.EnqueuedAt)
	return l.askedAt(log, grant, arrived), l.askedAt(log, grant, arrived.Add(time.Duration(r.Float64()*float64(wait))))
}

func (l load) askedAt(log []attune.LoggedGrant, grant attune.LoggedGrant, at time.Time) asked {
	return asked{forecast.Question{
		At: at, Waited: at.Sub(grant.EnqueuedAt), Policy: l.policy(), Spot: l.spot(log, grant, at), Grants: known(log, at),
	}, grant.GrantedAt.Sub(at)}
}

func (l load) spot(log []attune.LoggedGrant, grant attune.LoggedGrant, at time.Time) forecast.Spot {
	spot := forecast.Spot{Queue: forecast.Level{Limit: l.limit}}
	if l.laneLimit != nil {
		spot.Lane = &forecast.Level{Limit: *l.laneLimit}
	}
	ahead := map[int32]int{}
	for _, other := range log {
		switch {
		case other.GrantedAt.Before(at):
			if other.ReleasedAt.After(at) {
				spot.Queue.Active++
				if spot.Lane != nil && other.Lane == grant.Lane {
					spot.Lane.Active++
				}
			}
		case other.Sequence < grant.Sequence:
			ahead[other.Lane]++
		}
	}
	if spot.Lane != nil {
		spot.Lane.Ahead = ahead[grant.Lane]
	}
	for _, n := range ahead {
		if spot.Lane != nil {
			n = min(n, spot.Lane.Ahead+1)
		}
		spot.Queue.Ahead += n
	}
	return spot
}
