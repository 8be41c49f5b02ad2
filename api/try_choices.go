package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/replay"
)

// maxTriedBytes bounds the payloads and parameters for which a what-if evaluates keys and costs, in bytes.
const maxTriedBytes = 256 << 20

// checkDocuments checks the rates, the quotas and the expressions of proposed documents, as a change of the policy does.
func (s *Server) checkDocuments(ctx context.Context, documents []policy.Level) error {
	for _, document := range documents {
		err := policy.CheckGatesOf(document.Scope, document.Policy)
		if p := document.Policy; err == nil && (p.Key != nil || len(p.Rate)+len(p.Quota) > 0) {
			var uses []policy.KeyUse
			if uses, err = s.deps.Policies.KeyUses(ctx, document.Scope, document.Ref); err == nil {
				err = s.deps.CheckPolicy(p, document.Scope == policy.ScopeAction, uses)
			}
		}
		if problem := documentProblem(err); problem != nil {
			return problem
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plan returns the plan of a proposal, and what it does not consider. The lanes and the charges of the arrivals are chosen anew if the
// proposal has another key or gates, and if gates have refused arrivals.
func (s *Server) plan(
	ctx context.Context, key attune.QueueKey, h replay.History, proposal policy.Proposal,
) (plan replay.Plan, ignored []string, err error) {
	plan.Policies = []replay.Policy{{QueuePolicy: proposal.Resolved, At: h.From}}
	gates, rekeyed := proposedGates(proposal)
	ignored = []string{}
	if !rekeyed && len(gates) == 0 && len(h.Refused) == 0 {
		return plan, ignored, nil
	}
	plan.Gates, plan.Choices = &replay.Gates{InForce: gates}, replay.NewChoices(h)
	for _, gate := range gates {
		if gate.Scope == policy.ScopeGlobal || gate.Scope == policy.ScopePack {
			ignored = append(ignored, gate.ID().String()+": what it counts of other queues")
		}
	}
	if since := plan.Gates.CountedSince(h.From); since.Before(h.From) {
		most := max(1, maxTriedArrivals-len(h.Places)-len(h.Refused))
		accepted, all, err := s.deps.Queues.Accepted(ctx, key, since, h.From, most)
		if err != nil {
			return plan, nil, err
		}
		plan.Gates.Accepted = accepted
		if !all {
			ignored = append(ignored, "what was charged before "+attune.FormatTime(accepted[0].At))
		}
	}
	return plan, ignored, s.choose(ctx, h, proposal, plan)
}

// proposedGates returns the proposed gates of all actions of a queue that judge arrivals, and whether an action gets another key.
func proposedGates(proposal policy.Proposal) (gates policy.Gates, rekeyed bool) {
	for _, action := range proposal.Actions {
		rekeyed = rekeyed || !reflect.DeepEqual(action.Current.Policy.Key, action.Proposed.Policy.Key)
		for _, judging := range action.Proposed.Gates.AtAdmission() {
			gate, _ := action.Proposed.Gates.Find(judging.GateID)
			if _, known := gates.Find(judging.GateID); !known {
				gates = append(gates, gate)
			}
		}
	}
	return gates, rekeyed
}

// choose evaluates the proposed keys and costs for every enforcement of a plan, as for an arrival. An enforcement of an action that does
// not use the queue gets no choice, and neither does one whose key has the mask of a secret that the schema of today does not mark.
func (s *Server) choose(ctx context.Context, h replay.History, proposal policy.Proposal, plan replay.Plan) error {
	actions := make(map[attune.ActionID]attune.Action, len(proposal.Actions))
	for _, of := range proposal.Actions {
		action := attune.Action{ID: of.Action, Ref: of.Ref, Key: of.Proposed.Policy.Key, Gates: of.Proposed.Gates.AtAdmission()}
		if of.Proposed.Policy.Queue != nil {
			action.Queue = *of.Proposed.Policy.Queue
		}
		actions[of.Action] = action
	}
	left := maxTriedBytes
	return s.deps.Queues.RecordedRuns(ctx, enforcementsOf(h, *plan.Gates), func(run attune.RecordedRun) error {
		if left -= len(run.Parameters) + len(run.Event.Payload); left < 0 {
			return attune.Errorf(attune.CodeInvalid, "the arrivals of the period have more than %d MiB of payloads and parameters: "+
				"choose a shorter one", maxTriedBytes>>20)
		}
		action, known := actions[run.Action]
		if !known {
			return nil
		}
		action.Schema = run.ParametersSchema
		decision, err := s.deps.Ingest.Rechoose(ctx, run, action)
		if err != nil {
			return fmt.Errorf("evaluate the key and the costs of enforcement %d: %w", run.Enforcement, err)
		}
		if !sealed(decision) {
			plan.Choices.Add(run, decision)
		}
		return nil
	})
}

// sealed reports whether the lane or the key of a charge has the mask of a secret.
func sealed(decision attune.Decision) bool {
	masked := func(name attune.LaneName) bool { return strings.Contains(string(name), attune.SecretMask) }
	return masked(decision.Lane) || slices.ContainsFunc(decision.Charges, func(c attune.Charge) bool { return masked(c.Key) })
}

// enforcementsOf returns the enforcements of a history and those that were accepted before, each once.
func enforcementsOf(h replay.History, gates replay.Gates) []attune.EnforcementID {
	var ids []attune.EnforcementID
	for _, places := range [][]replay.Place{h.Places, h.Refused} {
		for _, place := range places {
			ids = append(ids, place.Enforcement)
		}
	}
	for _, accepted := range gates.Accepted {
		ids = append(ids, accepted.Enforcement)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
