package replay_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
)

// load returns a history of n arrivals in 1000 lanes, which a queue with a limit has granted.
func load(n, limit int) replay.History {
	random := rand.New(rand.NewPCG(1, 2))
	policy := attune.QueuePolicy{
		Revision: 1, Limit: limit, MaxQueued: attune.MaxQueuedLimit, Overflow: attune.OverflowReject, Across: attune.AcrossSkip,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: new(1)}},
	}
	h := replay.History{From: start, Mode: attune.QueueOpen, Policies: []replay.Policy{{QueuePolicy: policy, At: start}}}
	at := start
	for i := range n {
		at = at.Add(time.Duration(random.ExpFloat64() * float64(time.Second) / float64(limit)))
		ticket := attune.Ticket{
			Enforcement: attune.EnforcementID(i + 1), Sequence: int64(i + 1), EnqueuedAt: at, Attempt: 1, Lane: 1 + random.Int32N(1000), Action: 1,
		}
		held := time.Duration(random.ExpFloat64() * 0.95 * float64(time.Second))
		h.Places = append(h.Places, replay.Place{Ticket: ticket, Grant: &attune.LoggedGrant{
			Grant:       attune.Grant{Ticket: ticket, Number: int64(i + 1), GrantedAt: at, Limit: limit, Revision: 1},
			RequestedAt: at, ReleasedAt: new(at.Add(held)),
		}})
		h.Grants = append(h.Grants, *h.Places[i].Grant)
	}
	h.To = at.Add(time.Second)
	return h
}

// BenchmarkSimulate replays 100 000 arrivals under half the recorded limit.
func BenchmarkSimulate(b *testing.B) {
	for name, limit := range map[string]int{"limit 10": 10, "limit 1000": 1000} {
		h := load(100_000, limit)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				plan := replay.AsRecorded(h)
				plan.Policies[0].Limit = limit / 2
				replay.Simulate(h, plan)
			}
		})
	}
}
