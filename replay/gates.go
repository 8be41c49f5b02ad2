package replay

import (
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Gates are the rates and quotas that judge the arrivals of a simulation, with what was charged before.
type Gates struct {
	InForce policy.Gates // a rate that delays is no gate of an arrival
	// Accepted are the enforcements of the queue that were accepted before the period, in the order of their times.
	Accepted []Accepted
}

// Accepted is an enforcement that was accepted before a period.
type Accepted struct {
	Enforcement attune.EnforcementID
	At          time.Time
	Unused      bool // it ended before the period and never ran, so its quotas have got their units back
}

// CountedSince returns the earliest time at which a charge can count for an arrival at a time or later.
func (g Gates) CountedSince(at time.Time) time.Time {
	since := at
	for _, gate := range gatesByID(g.InForce) {
		if gate.Rate != nil {
			since = attune.Earlier(since, at.Add(-time.Duration(gate.Rate.Window)))
		} else if period, ok := gate.periodAt(at); ok {
			since = attune.Earlier(since, period.Start)
		}
	}
	return since
}

// gate is a gate in force, with the time zone of a quota.
type gate struct {
	policy.Gate
	zone *time.Location
}

// gatesByID leaves out rates that delay, and quotas of an unknown time zone, which no document has.
func gatesByID(gates policy.Gates) map[attune.GateID]gate {
	byID := make(map[attune.GateID]gate, len(gates))
	for _, judging := range gates.AtAdmission() {
		found, _ := gates.Find(judging.GateID)
		known := gate{Gate: found}
		if found.Quota != nil {
			zone, err := policy.Zone(found.Quota.Timezone)
			if err != nil {
				continue
			}
			known.zone = zone
		}
		byID[judging.GateID] = known
	}
	return byID
}

// periodAt returns the period of a quota; false for a period that no document has.
func (g gate) periodAt(at time.Time) (policy.Period, bool) {
	period, err := policy.PeriodAt(g.Quota.Period, g.zone, at)
	return period, err == nil
}

// counter is what charges of one gate and key count on, for a quota in one period.
type counter struct {
	gate  attune.GateID
	key   attune.LaneName
	start int64 // of the period, in milliseconds of Unix time; 0 for a rate
}

// gatekeeper judges arrivals as an admission does.
type gatekeeper struct {
	gates map[attune.GateID]gate
	rates map[counter]*policy.SlidingLog
	used  map[counter]int64
	// charged are the units that enforcements give back if they never run.
	charged map[attune.EnforcementID][]quotaCharge
}

type quotaCharge struct {
	counter
	cost int64
}

func newGatekeeper(gates Gates, choices *Choices) *gatekeeper {
	k := &gatekeeper{
		gates: gatesByID(gates.InForce), rates: map[counter]*policy.SlidingLog{}, used: map[counter]int64{},
		charged: map[attune.EnforcementID][]quotaCharge{},
	}
	for _, accepted := range gates.Accepted {
		k.charge(accepted.Enforcement, accepted.At, choices.byID[accepted.Enforcement].charges)
		if accepted.Unused {
			k.refund(accepted.Enforcement)
		}
	}
	return k
}

// admit charges an arrival to all its gates, or returns why one of them refuses it.
func (k *gatekeeper) admit(id attune.EnforcementID, at time.Time, charges []attune.Charge) (attune.Reason, bool) {
	var judged []attune.Charge
	var tallies []policy.TallyCharge
	for _, c := range charges {
		if tally, inForce := k.tally(c, at); inForce {
			judged, tallies = append(judged, c), append(tallies, policy.TallyCharge{Tally: &tally, Cost: c.Cost})
		}
	}
	if i := policy.ChargeAll(tallies); i >= 0 {
		return attune.GateRefusal{GateID: judged[i].GateID}.Reason(), false
	}
	k.charge(id, at, judged)
	return "", true
}

// tally returns what a gate has counted at a time; false if the gate is not in force.
func (k *gatekeeper) tally(c attune.Charge, at time.Time) (policy.Tally, bool) {
	gate, inForce := k.gates[c.GateID]
	if !inForce {
		return policy.Tally{}, false
	}
	count := counterOf(gate, c, at)
	if gate.Quota != nil {
		return policy.Tally{Limit: int64(gate.Quota.Limit), Used: k.used[count]}, true
	}
	tally := policy.Tally{Limit: int64(gate.Rate.Limit)}
	if log := k.rates[count]; log != nil {
		tally.Used = log.Used(log.Now(at), time.Duration(gate.Rate.Window))
	}
	return tally, true
}

func counterOf(g gate, c attune.Charge, at time.Time) counter {
	count := counter{gate: c.GateID, key: c.Key}
	if g.Quota != nil {
		period, _ := g.periodAt(at)
		count.start = period.Start.UnixMilli()
	}
	return count
}

// charge charges an enforcement without judging it.
func (k *gatekeeper) charge(id attune.EnforcementID, at time.Time, charges []attune.Charge) {
	for _, c := range charges {
		gate, inForce := k.gates[c.GateID]
		if !inForce {
			continue
		}
		count := counterOf(gate, c, at)
		if gate.Quota != nil {
			k.used[count] += c.Cost
			k.charged[id] = append(k.charged[id], quotaCharge{count, c.Cost})
			continue
		}
		log := k.rates[count]
		if log == nil {
			log = &policy.SlidingLog{}
			k.rates[count] = log
		}
		log.Charge(log.Now(at), c.Cost)
	}
}

// runs keeps the units of an enforcement for good: it runs.
func (k *gatekeeper) runs(id attune.EnforcementID) { delete(k.charged, id) }

// refund gives the units of quotas back that an enforcement has not used. Rates keep theirs.
func (k *gatekeeper) refund(id attune.EnforcementID) {
	for _, charged := range k.charged[id] {
		k.used[charged.counter] -= charged.cost
	}
	delete(k.charged, id)
}
