package replay_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/replay"
)

// gated is a queue in which one enforcement arrives each second, from the second 0 on. Each run takes a second.
type gated struct {
	history replay.History
	choices *replay.Choices
	gates   replay.Gates
	policy  attune.QueuePolicy
}

func newGated(gates ...policy.Gate) *gated {
	p := attune.QueuePolicy{Revision: 1, Limit: 100, MaxQueued: 100}
	h := replay.History{From: start, To: start.Add(time.Hour), Mode: attune.QueueOpen, Policies: []replay.Policy{{QueuePolicy: p, At: start}}}
	return &gated{history: h, choices: replay.NewChoices(h), gates: replay.Gates{InForce: gates}, policy: p}
}

func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

// arrive adds an enforcement that was really granted, or that a rate has really refused.
func (g *gated) arrive(at int, refused bool, decision attune.Decision) {
	id := attune.EnforcementID(len(g.history.Places) + len(g.history.Refused) + 1)
	place := replay.Place{Ticket: attune.Ticket{Enforcement: id, EnqueuedAt: second(at), Attempt: 1, Action: 1}}
	g.choices.Add(attune.RecordedRun{Enforcement: id}, decision)
	if refused {
		place.Status, place.Reason, place.EndedAt = attune.EnforcementRejected, attune.ReasonRateLimited, second(at)
		g.history.Refused = append(g.history.Refused, place)
		return
	}
	place.Sequence = int64(len(g.history.Places) + 1)
	place.Grant = &attune.LoggedGrant{
		Grant:       attune.Grant{Ticket: place.Ticket, Number: place.Sequence, GrantedAt: second(at), Limit: 100, Revision: 1},
		RequestedAt: second(at), ReleasedAt: new(second(at + 1)),
	}
	g.history.Places = append(g.history.Places, place)
	g.history.Grants = append(g.history.Grants, *place.Grant)
}

func (g *gated) simulate() replay.Outcome {
	return replay.Simulate(g.history, replay.Plan{
		Policies: []replay.Policy{{QueuePolicy: g.policy, At: start}}, Choices: g.choices, Gates: &g.gates,
	})
}

func rate(limit int, window time.Duration) policy.Gate {
	return policy.Gate{
		Source: policy.Source{Scope: policy.ScopeAction, Ref: "demo.a"},
		Rate:   &attune.Rate{Name: "r", Limit: limit, Window: attune.Duration(window)},
	}
}

func quota(limit int, period attune.QuotaPeriod) policy.Gate {
	return policy.Gate{
		Source: policy.Source{Scope: policy.ScopeGlobal}, Quota: &attune.Quota{Name: "q", Limit: limit, Period: period},
	}
}

// costs returns the decision of an enforcement with the same cost at each gate.
func costs(cost int64, key attune.LaneName, gates ...policy.Gate) attune.Decision {
	var d attune.Decision
	for _, gate := range gates {
		d.Charges = append(d.Charges, attune.Charge{GateID: gate.ID(), Key: key, Cost: cost})
	}
	return d
}

func TestSimulate_Gates(t *testing.T) {
	t.Parallel()
	limited, exceeded := attune.ReasonRateLimited, attune.ReasonQuotaExceeded
	for name, tt := range map[string]struct {
		gates   []policy.Gate
		arrive  func(g *gated)
		granted int
		left    map[attune.Reason]int
	}{
		"a rate opens when a unit leaves its window": {
			gates: []policy.Gate{rate(2, 3*time.Second)},
			arrive: func(g *gated) {
				for at := range 5 { // 0 and 1 pass, 2 does not, 3 and 4 do
					g.arrive(at, false, costs(1, "", g.gates.InForce...))
				}
			},
			granted: 4, left: map[attune.Reason]int{limited: 1},
		},
		"what was really refused arrives, and borrows a run": {
			gates: []policy.Gate{rate(3, time.Minute)},
			arrive: func(g *gated) {
				for at := range 5 {
					g.arrive(at, at > 0, costs(1, "", g.gates.InForce...))
				}
			},
			granted: 3, left: map[attune.Reason]int{limited: 2},
		},
		"each key has the limit for itself": {
			gates: []policy.Gate{rate(1, time.Minute)},
			arrive: func(g *gated) {
				for _, key := range []attune.LaneName{"=a", "=b", "=a", attune.NoLane} {
					g.arrive(0, false, costs(1, key, g.gates.InForce...))
				}
			},
			granted: 3, left: map[attune.Reason]int{limited: 1},
		},
		"costs count, and a cost above the limit never passes": {
			gates: []policy.Gate{rate(5, time.Minute)},
			arrive: func(g *gated) {
				for _, cost := range []int64{6, 3, 3, 2, 0} {
					g.arrive(0, false, costs(cost, "", g.gates.InForce...))
				}
			},
			granted: 3, left: map[attune.Reason]int{limited: 2},
		},
		"all gates pass, or none is charged": {
			gates: []policy.Gate{rate(2, time.Minute), quota(1, attune.PeriodDay)},
			arrive: func(g *gated) {
				g.arrive(0, false, costs(1, "", g.gates.InForce...))
				g.arrive(1, false, costs(1, "", g.gates.InForce...)) // the quota refuses it
				g.arrive(2, false, costs(1, "", g.gates.InForce[0])) // the rate has one left
			},
			granted: 2, left: map[attune.Reason]int{exceeded: 1},
		},
		"a quota begins anew with its period": {
			gates: []policy.Gate{quota(1, attune.PeriodHour)},
			arrive: func(g *gated) {
				period, err := policy.PeriodAt(attune.PeriodHour, time.UTC, start)
				require.NoError(t, err)
				next := int(period.End.Sub(start) / time.Second)
				for _, at := range []int{next - 2, next - 1, next, next + 1} {
					g.arrive(at, false, costs(1, "", g.gates.InForce...))
				}
			},
			granted: 2, left: map[attune.Reason]int{exceeded: 2},
		},
		"what a full queue refuses gives the units of a quota back": {
			gates: []policy.Gate{quota(2, attune.PeriodDay)},
			arrive: func(g *gated) {
				g.policy.Limit, g.policy.MaxQueued, g.policy.Overflow = 0, 1, attune.OverflowDropOldest
				for at := range 4 { // each newcomer drops the one before
					g.arrive(at, false, costs(1, "", g.gates.InForce...))
				}
			},
			left: map[attune.Reason]int{attune.ReasonDroppedOldest: 3},
		},
		"what a full queue refuses keeps its charge at a rate": {
			gates: []policy.Gate{rate(2, time.Hour)},
			arrive: func(g *gated) {
				g.policy.Limit, g.policy.MaxQueued, g.policy.Overflow = 0, 1, attune.OverflowReject
				for at := range 3 {
					g.arrive(at, false, costs(1, "", g.gates.InForce...))
				}
			},
			left: map[attune.Reason]int{attune.ReasonQueueFull: 1, limited: 1},
		},
		"what was accepted before has used its units": {
			gates: []policy.Gate{rate(3, 10*time.Second), quota(4, attune.PeriodDay)},
			arrive: func(g *gated) {
				decision := costs(1, "", g.gates.InForce...)
				for _, accepted := range []replay.Accepted{{901, second(-9), true}, {902, second(-4), false}} {
					g.choices.Add(attune.RecordedRun{Enforcement: accepted.Enforcement}, decision)
					g.gates.Accepted = append(g.gates.Accepted, accepted)
				}
				g.arrive(0, false, decision) // the third unit in the window
				g.arrive(0, false, decision)
				g.arrive(1, false, decision) // the first one has left the window
				g.arrive(7, false, decision) // the fourth unit of the day, because the unused one was given back
				g.arrive(60, false, decision)
			},
			granted: 3, left: map[attune.Reason]int{limited: 1, exceeded: 1},
		},
		"an arrival whose key fails costs nothing": {
			gates: []policy.Gate{rate(1, time.Minute)},
			arrive: func(g *gated) {
				g.arrive(0, false, attune.Decision{Status: attune.EnforcementRejected, Reason: attune.ReasonKeyInvalid})
				g.arrive(1, false, costs(1, "", g.gates.InForce...))
			},
			granted: 1, left: map[attune.Reason]int{attune.ReasonKeyInvalid: 1},
		},
		"a retry is no acceptance": {
			gates: []policy.Gate{rate(1, time.Hour)},
			arrive: func(g *gated) {
				g.arrive(0, false, costs(1, "", g.gates.InForce...))
				g.arrive(5, false, costs(1, "", g.gates.InForce...))
				g.history.Places[1].Enforcement, g.history.Places[1].Attempt = 1, 2
			},
			granted: 2, left: map[attune.Reason]int{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated(tt.gates...)
			tt.arrive(g)
			outcome := g.simulate()
			require.Equal(t, tt.left, outcome.Left)
			require.Equal(t, tt.granted, outcome.Granted)
		})
	}
}

func TestSimulate_RefusedStayRefused(t *testing.T) {
	t.Parallel()
	g := newGated()
	for at := range 4 {
		g.arrive(at, at%2 == 1, attune.Decision{})
	}
	want := map[attune.Reason]int{attune.ReasonRateLimited: 2}
	for name, outcome := range map[string]replay.Outcome{
		"really": replay.Really(g.history), "as recorded": replay.Simulate(g.history, replay.AsRecorded(g.history)),
	} {
		require.Equal(t, want, outcome.Left, name)
		require.Equal(t, 2, outcome.Granted, name)
	}
	require.Equal(t, 4, g.simulate().Granted, "without gates, all arrive")
	require.Equal(t, 2, g.simulate().Borrowed)
	require.Len(t, g.history.Cut(second(2), second(4)).Refused, 1)
}

func TestSimulate_ChosenLanes(t *testing.T) {
	t.Parallel()
	// Four enforcements arrive at once, two in each of two lanes. The recorded lane 7 has the name a.
	lanes := func(limit attune.QueueChange, missing bool) replay.Outcome {
		g := newGated()
		g.policy.Across, g.policy.Actions = attune.AcrossSkip, []attune.ActionPolicy{{Action: 1, LimitPerKey: new(1)}}
		if limit.Number > 0 {
			g.history.Changes = []attune.QueueChange{limit}
		}
		for i, name := range []attune.LaneName{"=a", "=a", "=b", "=b"} {
			g.arrive(0, false, attune.Decision{Lane: name})
			if i == 0 {
				g.choices.Add(attune.RecordedRun{Enforcement: 1, Lane: 7, LaneName: "=a"}, attune.Decision{Lane: "=a"})
			}
		}
		if missing {
			for i := range g.history.Places {
				g.history.Places[i].Lane = int32(i + 1)
			}
			g.choices = replay.NewChoices(g.history)
		}
		require.Equal(t, map[bool]int{true: 4}[missing], g.choices.Missing(g.history))
		return g.simulate()
	}
	require.Equal(t, 2, lanes(attune.QueueChange{}, false).MostActive, "one of each lane")
	byHand := attune.QueueChange{Number: 1, At: start, Kind: attune.ChangeLaneLimit, Lane: 7, From: "by policy", To: "2 by hand"}
	require.Equal(t, 3, lanes(byHand, false).MostActive, "a manual limit finds the lane by its name")
	require.Equal(t, 4, lanes(attune.QueueChange{}, true).MostActive, "without a choice, the recorded lane stays")
}

func TestGates_CountedSince(t *testing.T) {
	t.Parallel()
	day, err := policy.PeriodAt(attune.PeriodDay, time.UTC, start)
	require.NoError(t, err)
	for _, tt := range []struct {
		gates policy.Gates
		want  time.Time
	}{
		{nil, start},
		{policy.Gates{rate(1, time.Minute), rate(1, time.Second)}, start.Add(-time.Minute)},
		{policy.Gates{rate(1, time.Minute), quota(1, attune.PeriodDay)}, day.Start},
	} {
		require.Equal(t, tt.want, replay.Gates{InForce: tt.gates}.CountedSince(start).UTC())
	}
}

// What gave its slot back just before the period is no part of it.
func TestSimulate_StartOfThePeriod(t *testing.T) {
	t.Parallel()
	g := newGated()
	for range 5 {
		g.arrive(0, false, attune.Decision{})
	}
	g.arrive(9, false, attune.Decision{})
	g.arrive(9, false, attune.Decision{})
	g.history.Places[0].Grant.ReleasedAt = new(second(12)) // it holds its slot at the start
	h := g.history.Cut(second(10), second(20))
	require.Len(t, h.Places, 7, "the queue may not have learned of the releases")
	for name, outcome := range map[string]replay.Outcome{"really": replay.Really(h), "as recorded": replay.Simulate(h, replay.AsRecorded(h))} {
		require.Zero(t, outcome.Granted, name)
		require.Equal(t, 3, outcome.MostActive, name)
	}
}
