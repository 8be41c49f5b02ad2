package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
)

// PolicyAnalysis says what other policies would have done, and what a policy does now.
type PolicyAnalysis interface {
	PolicyTrials
	PolicyReader
}

// PolicyReader reads what the policy of one action depends on.
type PolicyReader interface {
	// EffectivePolicy returns the policy that the documents resolve to for an action in its queue, and the policy that the queue obeys.
	EffectivePolicy(ctx context.Context, key attune.QueueKey, action attune.Ref) (policy.Effective, attune.QueuePolicy, error)
	// LaneNamed counts what waits and holds slots in a lane. A lane that does not exist yet has the number 0 and no counts.
	LaneNamed(ctx context.Context, key attune.QueueKey, name attune.LaneName) (attune.LaneStats, error)
	// ActionState returns what runs of an action in a queue, and what its next start would meet at rates of starts.
	ActionState(
		ctx context.Context, key attune.QueueKey, action attune.ActionID, ofQueue, ofAction []attune.StartRate,
	) (attune.ActionState, error)
}

// PolicyExplanation is the policy in force for an action and, with parameters, what an enforcement would meet now.
type PolicyExplanation struct {
	Action attune.Ref      `json:"action"`
	Queue  attune.QueueKey `json:"queue" doc:"The queue that the action uses"`
	Policy QueuePolicy     `json:"policy"`
	Gates  []ExplainedGate `json:"gates" doc:"The rates and quotas of all scopes"`
	Lane   *ExplainedLane  `json:"lane,omitempty" doc:"The lane that the parameters choose; absent without parameters and without lanes"`
	Now    *Verdict        `json:"now,omitempty" doc:"What would happen to an enforcement with the parameters; absent without parameters"`
}

// ExplainedGate is a rate or a quota that applies, with the document that declares it.
type ExplainedGate struct {
	policy.Gate
	Now    *attune.GateProbe  `json:"now,omitempty" doc:"What an enforcement would meet; only with parameters, not for a rate that delays"`
	Starts *attune.StartProbe `json:"starts,omitempty" doc:"What its start would meet; only with parameters, for a rate that delays"`
}

// ExplainedLane is a lane with what it holds.
type ExplainedLane struct {
	Key     string `json:"key" doc:"Text of the key's value; (none) without a value"`
	Waiting int64  `json:"waiting"`
	Active  int64  `json:"active" doc:"Slots held"`
	Limit   *int   `json:"limit,omitempty" doc:"Slots of the lane: limit_per_key, or the manual limit; absent without one"`
}

// Verdict says what would happen to an enforcement that arrives now.
type Verdict struct {
	Accepted bool          `json:"accepted" doc:"It would get a place in the line"`
	AtOnce   bool          `json:"starts_at_once" doc:"It would start without waiting"`
	Reason   attune.Reason `json:"reason,omitempty" doc:"Why it would be rejected"`
	Detail   string        `json:"detail,omitempty"`
	OpensAt  *time.Time    `json:"opens_at,omitempty" doc:"When the rates that delay allow the next start; absent when they do now"`
	RetryAt  *time.Time    `json:"retry_at,omitempty" doc:"When the rate or quota that refuses it would accept it, if that is known"`
}

type explainInput struct {
	RefPath
	Body *struct {
		Parameters json.RawMessage `json:"parameters,omitempty" doc:"A JSON object that fits the action's schema; absent: only the policy"`
	}
}

func (s *Server) registerExplain() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "explain-policy", Method: http.MethodPost, Path: "/actions/{ref}/policy", Tags: []string{"policies"},
		Summary: "Show the policy in force for an action and, for given parameters, what an enforcement would meet now; nothing is changed",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.explainPolicy)
}

func (s *Server) explainPolicy(ctx context.Context, in *explainInput) (*response[PolicyExplanation], error) {
	action, err := s.action(ctx, in.RefPath)
	if err != nil {
		return nil, err
	}
	key := policy.UsedQueue(action)
	effective, told, err := s.deps.Queues.EffectivePolicy(ctx, key, action.Ref)
	if err != nil {
		return nil, err
	}
	shown := PolicyExplanation{
		Action: action.Ref, Queue: key, Policy: showPolicyOf(action.ID, told, effective), Gates: []ExplainedGate{},
	}
	for _, gate := range effective.Gates {
		shown.Gates = append(shown.Gates, ExplainedGate{Gate: gate})
	}
	if in.Body != nil && in.Body.Parameters != nil {
		err = s.explainNow(ctx, &shown, action, in.Body.Parameters, effective)
	}
	return &response[PolicyExplanation]{Body: shown}, err
}

// explainNow adds what an enforcement with parameters would meet.
func (s *Server) explainNow(
	ctx context.Context, shown *PolicyExplanation, action attune.Action, parameters json.RawMessage, effective policy.Effective,
) error {
	decision, err := s.deps.Ingest.Preview(ctx, action, parameters)
	if err != nil {
		return err
	}
	if decision.Status == attune.EnforcementRejected {
		shown.Now = &Verdict{Reason: decision.Reason, Detail: decision.Detail}
		return nil
	}
	probes, err := s.deps.Gates.Probe(ctx, decision.Charges)
	if err != nil {
		return err
	}
	shown.addProbes(probes)
	stats, err := s.deps.Queues.Stats(ctx, shown.Queue)
	if err != nil {
		return err
	}
	lane, err := s.deps.Queues.LaneNamed(ctx, shown.Queue, decision.Lane)
	if err != nil {
		return err
	}
	ofQueue, ofAction := effective.Gates.Starts()
	state, err := s.deps.Queues.ActionState(ctx, shown.Queue, action.ID, ofQueue, ofAction)
	if err != nil {
		return err
	}
	arrival := arrival{policy: effective.Policy, stats: stats, lane: lane, active: state.Active, opensAt: shown.addStarts(state)}
	if shown.Queue != policy.DefaultQueue(action.Ref) && effective.From["limit"].Scope == policy.ScopeAction {
		arrival.limit = &effective.Policy.Limit
	}
	if decision.Lane != "" {
		shown.Lane = &ExplainedLane{Key: decision.Lane.Text(), Waiting: lane.Waiting, Active: lane.Active, Limit: arrival.laneLimit()}
		if _, own := decision.Lane.Action(); own {
			shown.Lane.Key = string(action.Ref)
		}
	}
	verdict := arrival.verdict(probes)
	shown.Now = &verdict
	return nil
}

// addProbes adds what an enforcement would meet to its gates.
func (e *PolicyExplanation) addProbes(probes []attune.GateProbe) {
	byID := make(map[attune.GateID]*attune.GateProbe, len(probes))
	for i := range probes {
		byID[probes[i].GateID] = &probes[i]
	}
	for i := range e.Gates {
		e.Gates[i].Now = byID[e.Gates[i].ID()]
	}
}

// addStarts adds what a start would meet to the gates that delay, and returns when all of them allow it; nil for now.
func (e *PolicyExplanation) addStarts(state attune.ActionState) (opensAt *time.Time) {
	for i := range e.Gates {
		gate := &e.Gates[i]
		if gate.Rate == nil || gate.Rate.Method != attune.RateDelay {
			continue
		}
		probes := &state.OfAction
		if gate.Scope == policy.ScopeQueue {
			probes = &state.OfQueue
		}
		if len(*probes) == 0 {
			continue
		}
		gate.Starts, *probes = new((*probes)[0]), (*probes)[1:]
		if at := gate.Starts.OpensAt; at != nil && (opensAt == nil || at.After(*opensAt)) {
			opensAt = at
		}
	}
	return opensAt
}

// arrival is an enforcement that arrives at its queue.
type arrival struct {
	policy attune.EffectivePolicy
	stats  attune.QueueStats
	lane   attune.LaneStats // without a name in a queue without lanes

	active  int64      // slots that the action holds
	limit   *int       // of the action in a shared queue; nil: bounded by the queue only
	opensAt *time.Time // when the rates that delay allow the next start; nil: now
}

func (a arrival) laneLimit() *int {
	switch {
	case a.lane.Name == "":
		return nil
	case a.lane.Limit != nil:
		return a.lane.Limit
	default:
		return a.policy.LimitPerKey
	}
}

// startsAtOnce reports whether queue, action and lane have room, the rates of starts are open, and nothing waits in front.
func (a arrival) startsAtOnce() bool {
	inFront := a.stats.QueueLength
	if a.policy.Across == attune.AcrossSkip {
		inFront = a.lane.Waiting
	}
	limit := a.laneLimit()
	return a.stats.Mode != attune.QueuePaused && a.opensAt == nil && inFront == 0 && a.stats.ActiveCount < int64(a.stats.MaxConcurrent) &&
		below(a.active, a.limit) && below(a.lane.Active, limit)
}

func below(active int64, limit *int) bool { return limit == nil || active < int64(*limit) }

// verdict says what would happen to the enforcement: what refuses it first, as an admission and its queue do.
func (a arrival) verdict(probes []attune.GateProbe) Verdict {
	for _, probe := range probes {
		if !probe.Allowed {
			return Verdict{Reason: probe.Reason(), Detail: probe.String(), RetryAt: probe.RetryAt}
		}
	}
	atOnce, rejects := a.startsAtOnce(), a.policy.Overflow == attune.OverflowReject
	perKey := a.policy.MaxQueuedPerKey
	switch {
	case a.stats.Mode == attune.QueueDraining:
		return Verdict{Reason: attune.ReasonQueueDraining, Detail: "the queue drains: it accepts no enforcement until a person resumes it"}
	case atOnce:
		return Verdict{Accepted: true, AtOnce: true}
	case a.policy.WhenBusy == attune.BusySkip:
		return Verdict{Reason: attune.ReasonBusy, Detail: "the enforcement could not start at once"}
	case rejects && a.stats.QueueLength >= int64(a.policy.MaxQueued):
		return Verdict{Reason: attune.ReasonQueueFull, Detail: fmt.Sprintf("%d enforcements wait", a.stats.QueueLength)}
	case rejects && perKey != nil && a.lane.Name != "" && a.lane.Waiting >= int64(*perKey):
		return Verdict{Reason: attune.ReasonKeyQueueFull, Detail: fmt.Sprintf("%d enforcements wait in the lane", a.lane.Waiting)}
	default:
		return Verdict{Accepted: true, OpensAt: a.opensAt}
	}
}
