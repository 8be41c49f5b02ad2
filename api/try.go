package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/replay"
)

// Bounds of what-if requests: each takes memory and CPU for its arrivals.
const (
	maxTriedArrivals = 100_000
	maxTries         = 2 // at once
)

// assumption is what every answer about another policy assumes: see package replay.
const assumption = "Every run takes as long as it took, with its attempts and their delays. A run that never was takes the time of a " +
	"recorded run of its action. A run that has not ended holds its slot to the end. Manual changes come when they came. After the " +
	"end of the period nothing arrives, and the line is worked off."

// choiceAssumption is what an answer assumes as well if lanes and charges were chosen anew.
const choiceAssumption = " Lanes and costs are what the proposed keys and costs yield for the recorded events, also for what waited or " +
	"held a slot at the start. The enforcements that were accepted before the period have used units of every proposed rate and quota. " +
	"A rate or quota judges an arrival at the time of its place in the line."

// PolicyTrials read what a what-if needs.
type PolicyTrials interface {
	// History reads what happened in a queue in a period. More than most arrivals are [attune.CodeInvalid], and a queue that was
	// never used is [attune.CodeNotFound].
	History(ctx context.Context, key attune.QueueKey, from, to time.Time, most int) (replay.History, error)
	// Propose compares the policy in force for a queue with the one that other documents of people would make.
	Propose(ctx context.Context, key attune.QueueKey, documents []policy.Level) (policy.Proposal, error)
	// RecordedRuns calls use with what is recorded of enforcements, one after the other. An error of use ends it.
	RecordedRuns(ctx context.Context, enforcements []attune.EnforcementID, use func(attune.RecordedRun) error) error
	// Accepted returns the enforcements of a queue that were accepted from since until before. Of more than most, it returns the latest
	// ones, and false.
	Accepted(ctx context.Context, key attune.QueueKey, since, before time.Time, most int) ([]replay.Accepted, bool, error)
}

// ProposedDocument is a proposed policy document of a person for a scope.
type ProposedDocument struct {
	Scope  string         `json:"scope" enum:"action,queue,pack,global"`
	Ref    string         `json:"ref,omitempty" maxLength:"512" doc:"The action, queue or pack; absent for the global scope"`
	Policy PolicyDocument `json:"policy"`
}

type tryInput struct {
	Body struct {
		Queue     string             `json:"queue,omitempty" maxLength:"512" doc:"Key of the queue; either this or action"`
		Action    attune.Ref         `json:"action,omitempty" maxLength:"512" doc:"The action, for the queue that it uses"`
		From      time.Time          `json:"from" doc:"Start of the period"`
		To        time.Time          `json:"to" doc:"End of the period, not included"`
		Policy    *PolicyDocument    `json:"policy,omitempty" doc:"Document for the action, or with queue for the queue"`
		Documents []ProposedDocument `json:"documents,omitempty" maxItems:"4" doc:"Documents for other scopes"`
	}
}

// PolicyTrial is what would have happened under another policy.
type PolicyTrial struct {
	Queue      attune.QueueKey `json:"queue"`
	From       time.Time       `json:"from"`
	To         time.Time       `json:"to"`
	Arrivals   int             `json:"arrivals" doc:"Places in the line that were taken in the period"`
	Refused    int             `json:"refused" doc:"Arrivals of the period that a rate or a quota has rejected: they took no place"`
	Waiting    int             `json:"waiting_at_start" doc:"Places that waited when the period began"`
	Holding    int             `json:"holding_at_start" doc:"Slots that were held when the period began"`
	Order      OrderAgreement  `json:"recorded_order"`
	Policy     QueuePolicy     `json:"policy" doc:"The proposed policy; next is the value without the proposal"`
	Same       bool            `json:"same" doc:"The proposed policy was in force in the whole period; nothing can reject"`
	Really     TrialOutcome    `json:"really" doc:"What happened"`
	Recorded   TrialOutcome    `json:"recorded" doc:"What the replay yields under the policies that were in force: its accuracy"`
	Proposed   TrialOutcome    `json:"proposed" doc:"What the replay yields under the proposed policy"`
	Uncomputed int             `json:"uncomputed" doc:"Enforcements of unknown lane and costs: they keep their lane and cost nothing"`
	Assumption string          `json:"assumption"`
	Ignored    []string        `json:"ignored" doc:"What the replay does not consider, in words"`
}

// OrderAgreement says whether the core decides the recorded grants in their recorded order, under the policies that were in force.
type OrderAgreement struct {
	Complete bool             `json:"complete"`
	Grants   int              `json:"grants"`
	Agreed   int              `json:"agreed"`
	First    *OrderDifference `json:"first_difference,omitempty"`
}

// OrderDifference is a recorded grant that the core does not decide in its place.
type OrderDifference struct {
	Number   int64 `json:"grant_number"`
	Sequence int64 `json:"sequence"`
	Replayed int64 `json:"replayed_sequence" doc:"The sequence that the core grants instead; 0 if it grants none"`
}

// TrialOutcome sums up a period.
type TrialOutcome struct {
	Granted     int                   `json:"granted"`
	Waiting     int                   `json:"waiting" doc:"Places that wait at the end"`
	Left        map[attune.Reason]int `json:"left" doc:"Places that left the line without a grant, by reason"`
	P50         float64               `json:"wait_p50_seconds"`
	P95         float64               `json:"wait_p95_seconds"`
	P99         float64               `json:"wait_p99_seconds"`
	Longest     float64               `json:"wait_longest_seconds"`
	LongestLine int                   `json:"longest_line"`
	MostActive  int                   `json:"most_active" doc:"Slots held at once"`
	MeanActive  float64               `json:"mean_active"`
	Busy        float64               `json:"busy_share" doc:"Share of the slots that was held, from 0 to 1"`
	Borrowed    int                   `json:"borrowed_runs" doc:"Runs that never were: their time is that of another run"`
	Unfinished  int                   `json:"unfinished_runs" doc:"Runs that have not ended: they hold their slots to the end"`
}

func showOutcome(o replay.Outcome) TrialOutcome {
	return TrialOutcome{
		Granted: o.Granted, Waiting: o.Waiting, Left: o.Left,
		P50: o.Waits.P50.Seconds(), P95: o.Waits.P95.Seconds(), P99: o.Waits.P99.Seconds(), Longest: o.Waits.Longest.Seconds(),
		LongestLine: o.LongestLine, MostActive: o.MostActive, MeanActive: o.MeanActive, Busy: o.Busy,
		Borrowed: o.Borrowed, Unfinished: o.Unfinished,
	}
}

func showOrder(a replay.Agreement) OrderAgreement {
	shown := OrderAgreement{Complete: a.Complete(), Grants: a.Grants, Agreed: a.Agreed}
	if a.First != nil {
		shown.First = new(OrderDifference(*a.First))
	}
	return shown
}

func (s *Server) registerTry() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "try-policy", Method: http.MethodPost, Path: "/policies/try", Tags: []string{"policies"},
		Summary: "Replay a period of a queue under another policy; nothing is changed",
		Errors:  []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.tryPolicy)
}

func (s *Server) tryPolicy(ctx context.Context, in *tryInput) (*response[PolicyTrial], error) {
	documents, err := in.proposal()
	if err != nil {
		return nil, err
	}
	key := attune.QueueKey(in.Body.Queue)
	if in.Body.Action != "" {
		action, err := s.deps.Packs.Action(ctx, in.Body.Action)
		if err != nil {
			return nil, err
		}
		key = policy.UsedQueue(action)
	}
	select {
	case s.tries <- struct{}{}:
		defer func() { <-s.tries }()
	default:
		return nil, attune.Errorf(attune.CodeExhausted, "%d policies are being tried: try again in a moment", maxTries)
	}
	trial, err := s.replayUnder(ctx, key, in.Body.From, in.Body.To, documents)
	if err != nil {
		return nil, err
	}
	return &response[PolicyTrial]{Body: trial}, nil
}

// replayUnder replays a period of a queue under proposed documents.
func (s *Server) replayUnder(
	ctx context.Context, key attune.QueueKey, from, to time.Time, documents []policy.Level,
) (trial PolicyTrial, err error) {
	if err := s.checkDocuments(ctx, documents); err != nil {
		return trial, err
	}
	proposal, err := s.deps.Queues.Propose(ctx, key, documents)
	if err != nil {
		return trial, err
	}
	history, err := s.deps.Queues.History(ctx, key, from, to, maxTriedArrivals)
	if err != nil {
		return trial, err
	}
	plan, ignored, err := s.plan(ctx, key, history, proposal)
	if err != nil {
		return trial, err
	}
	trial = try(history, plan)
	trial.Queue, trial.From, trial.To, trial.Ignored = key, from, to, ignored
	trial.Policy = showProposal(proposal)
	return trial, nil
}

// try replays a history as recorded, and under a plan with one policy.
func try(h replay.History, plan replay.Plan) PolicyTrial {
	trial := PolicyTrial{Order: showOrder(replay.Recorded(h)), Refused: len(h.Refused), Assumption: assumption}
	if plan.Choices != nil {
		trial.Assumption += choiceAssumption
		trial.Uncomputed = plan.Choices.Missing(h)
	}
	for _, place := range h.Places {
		switch {
		case !place.EnqueuedAt.Before(h.From):
			trial.Arrivals++
		case place.Grant != nil && place.Grant.GrantedAt.Before(h.From):
			if place.Grant.ReleasedAt == nil || place.Grant.ReleasedAt.After(h.From) {
				trial.Holding++
			}
		default:
			trial.Waiting++
		}
	}
	trial.Really = showOutcome(replay.Really(h))
	trial.Recorded = showOutcome(replay.Simulate(h, replay.AsRecorded(h)))
	trial.Proposed, trial.Same = trial.Recorded, plan.Choices == nil
	for _, known := range h.Policies {
		known.Revision = plan.Policies[0].Revision
		trial.Same = trial.Same && reflect.DeepEqual(known.QueuePolicy, plan.Policies[0].QueuePolicy)
	}
	if !trial.Same {
		trial.Proposed = showOutcome(replay.Simulate(h, plan))
	}
	return trial
}

// proposal returns the proposed documents of the request.
func (in *tryInput) proposal() ([]policy.Level, error) {
	body := &in.Body
	if (body.Queue == "") == (body.Action == "") {
		return nil, attune.Errorf(attune.CodeInvalid, "body: name either a queue or an action")
	}
	if !body.From.Before(body.To) {
		return nil, attune.Errorf(attune.CodeInvalid, "body.to: use a time after from")
	}
	ref, scope, check := body.Queue, policy.ScopeQueue, attune.QueueKey(body.Queue).Validate
	if body.Action != "" {
		ref, scope, check = string(body.Action), policy.ScopeAction, body.Action.Validate
	}
	if err := check(); err != nil {
		return nil, attune.Errorf(attune.CodeInvalid, "body.%s: %s", scope, err)
	}
	documents := body.Documents
	if body.Policy != nil {
		documents = append(documents, ProposedDocument{Scope: string(scope), Ref: ref, Policy: *body.Policy})
	}
	var levels []policy.Level
	for _, document := range documents {
		decoded, err := policy.Decode(document.Policy.RawMessage)
		if problem := documentProblem(err); problem != nil {
			return nil, problem
		}
		if err != nil {
			return nil, fmt.Errorf("body.policy: %w", err)
		}
		if decoded.Queue != nil {
			return nil, attune.Errorf(attune.CodeInvalid, "body.policy.queue: a replay of one queue cannot judge another queue: "+
				"the lines of the two queues were worked off apart, each under its own policy and manual changes")
		}
		levels = append(levels, policy.Level{
			Scope: policy.Scope(document.Scope), Ref: document.Ref, Origin: policy.OriginPerson, Policy: decoded,
		})
	}
	return levels, nil
}

// showProposal shows the proposed policy, with the values without the proposal as next.
func showProposal(proposal policy.Proposal) QueuePolicy {
	current, proposed := proposal.Current, proposal.Proposed
	shown := QueuePolicy{Revision: proposal.Resolved.Revision}
	for _, field := range policy.Fields() {
		f := PolicyField{Name: field.Name, Value: field.JSON(proposed.Policy), From: proposed.From[field.Name].String()}
		if without := field.JSON(current.Policy); string(without) != string(f.Value) {
			f.Next = without
		}
		shown.Fields = append(shown.Fields, f)
	}
	return shown
}
