package api_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

type fakeEngine struct {
	check  func(attune.Trigger, json.RawMessage) error
	decide attune.DecideFunc
	manual func(attune.Action, json.RawMessage) (attune.Decision, error)
}

func (f *fakeEngine) CheckEvent(trigger attune.Trigger, payload json.RawMessage) error {
	if f.check == nil {
		return nil
	}
	return f.check(trigger, payload)
}

func (*fakeEngine) MaskEvent(_ attune.Trigger, payload json.RawMessage) (json.RawMessage, []attune.SecretField, error) {
	return payload, nil, nil
}

func (f *fakeEngine) Decide(_ context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision {
	if f.decide == nil {
		return nil
	}
	return f.decide(event, candidates)
}

func (f *fakeEngine) Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
	if f.manual == nil {
		return attune.Decision{ActionID: action.ID, Parameters: parameters, Status: attune.EnforcementCreated}, nil
	}
	return f.manual(action, parameters)
}

// Rechoose yields the lane of the text of the parameters, or rejects the enforcement for the text "invalid".
func (f *fakeEngine) Rechoose(_ context.Context, run attune.RecordedRun, action attune.Action) attune.Decision {
	decision := attune.Decision{ActionID: action.ID, Parameters: run.Parameters, Status: attune.EnforcementCreated}
	if action.Key != nil {
		decision.Lane = attune.LaneOf(string(run.Parameters))
	}
	if string(run.Parameters) == "invalid" {
		decision.Status, decision.Reason = attune.EnforcementRejected, attune.ReasonKeyInvalid
	}
	for _, gate := range action.Gates {
		decision.Charges = append(decision.Charges, attune.Charge{GateID: gate.GateID, Cost: 1})
	}
	return decision
}

func (f *fakeEngine) Lane(_ context.Context, _ attune.Event, _ attune.Action, decision attune.Decision) attune.Decision {
	return decision
}

// fakeTriggers knows github.push and its webhook key gh.
type fakeTriggers struct {
	byRef func(attune.Ref) (attune.Trigger, error)
	byKey func(string) (attune.Trigger, error)
}

func (f *fakeTriggers) Trigger(_ context.Context, ref attune.Ref) (attune.Trigger, error) {
	switch {
	case f.byRef != nil:
		return f.byRef(ref)
	case ref != "github.push":
		return attune.Trigger{}, notFound("trigger \"" + string(ref) + "\"")
	}
	return attune.Trigger{ID: 3, Ref: ref}, nil
}

func (f *fakeTriggers) WebhookTrigger(_ context.Context, key string) (attune.Trigger, error) {
	switch {
	case f.byKey != nil:
		return f.byKey(key)
	case key != "gh":
		return attune.Trigger{}, notFound("webhook \"" + key + "\"")
	}
	return attune.Trigger{ID: 3, Ref: "github.push", Webhook: &attune.Webhook{
		Key: "gh", SecretEnv: "GITHUB_SECRET", DedupHeader: "X-GitHub-Delivery",
	}}, nil
}

// fakeRecorder keeps the recorded events. It returns one enforcement for each decision about one candidate rule.
type fakeRecorder struct {
	record func(attune.Event, attune.DecideFunc) (attune.Recorded, error)

	mu     sync.Mutex
	events []attune.Event
}

func (*fakeRecorder) ReserveID(context.Context) (attune.EventID, error) { return 7, nil }

func (f *fakeRecorder) Record(
	_ context.Context, event attune.Event, decide attune.DecideFunc,
) (attune.Recorded, error) {
	f.mu.Lock()
	f.events = append(f.events, event)
	f.mu.Unlock()
	if f.record != nil {
		return f.record(event, decide)
	}
	event.ID, event.ReceivedAt = 7, noon
	recorded := attune.Recorded{Event: event}
	candidate := attune.Candidate{Rule: attune.Rule{ID: 5, Ref: "github.deploy"}, Action: attune.Action{ID: 4, Ref: "shop.deploy"}}
	for i, decision := range decide(event, []attune.Candidate{candidate}) {
		recorded.Enforcements = append(recorded.Enforcements, attune.Enforcement{
			ID: attune.EnforcementID(11 + i), Event: 7, Action: "shop.deploy", ActionID: decision.ActionID,
			Status: decision.Status, Reason: decision.Reason, Parameters: decision.Parameters,
		})
		if decision.RuleID != 0 {
			recorded.Enforcements[i].Rule = candidate.Rule.Ref
		}
	}
	return recorded, nil
}

// only returns the one event that was recorded.
func (f *fakeRecorder) only(t *testing.T) attune.Event {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(t, f.events, 1)
	return f.events[0]
}
