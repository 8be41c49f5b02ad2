package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/policy"
)

type fakeEngine struct {
	check  func(attune.Trigger, json.RawMessage) error
	decide func(attune.Event, []attune.Candidate) []attune.Decision
	manual func(attune.Action, json.RawMessage) (attune.Decision, error)
}

func (f *fakeEngine) CheckEvent(trigger attune.Trigger, payload json.RawMessage) error {
	if f.check == nil {
		return nil
	}
	return f.check(trigger, payload)
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

// fakeTriggers knows github.push, with and without its webhook.
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

// fakeRecorder keeps the events it was given and answers with one enforcement per decision of one candidate rule.
type fakeRecorder struct {
	record func(attune.Event, func(attune.Event, []attune.Candidate) []attune.Decision) (attune.Recorded, error)

	mu     sync.Mutex
	events []attune.Event
}

func (f *fakeRecorder) Record(
	_ context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
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

type fakeEvents struct {
	get  func(attune.EventID) (attune.Event, error)
	list func(attune.EventFilter, attune.Page) ([]attune.Event, error)
}

func (f *fakeEvents) Get(_ context.Context, id attune.EventID) (attune.Event, error) {
	if f.get == nil {
		return attune.Event{}, notFound("such event")
	}
	return f.get(id)
}

func (f *fakeEvents) List(_ context.Context, filter attune.EventFilter, page attune.Page) ([]attune.Event, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(filter, page)
}

type fakeEnforcements struct {
	get      func(attune.EnforcementID) (attune.Enforcement, error)
	list     func(attune.EnforcementFilter, attune.Page) ([]attune.Enforcement, error)
	position func(attune.EnforcementID) (int64, error)
	retry    func(attune.EnforcementID, attune.Author) (attune.Enforcement, error)
	giveUp   func(attune.EnforcementID, attune.Author) (attune.Enforcement, error)
}

func (f *fakeEnforcements) Retry(_ context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	if f.retry == nil {
		return attune.Enforcement{}, notFound("such enforcement")
	}
	return f.retry(id, author)
}

func (f *fakeEnforcements) GiveUp(_ context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
	if f.giveUp == nil {
		return attune.Enforcement{}, notFound("such enforcement")
	}
	return f.giveUp(id, author)
}

func (f *fakeEnforcements) Get(_ context.Context, id attune.EnforcementID) (attune.Enforcement, error) {
	if f.get == nil {
		return attune.Enforcement{}, notFound("such enforcement")
	}
	return f.get(id)
}

func (f *fakeEnforcements) List(_ context.Context, filter attune.EnforcementFilter, page attune.Page) ([]attune.Enforcement, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(filter, page)
}

func (f *fakeEnforcements) Position(_ context.Context, id attune.EnforcementID) (int64, error) {
	return f.position(id)
}

type fakeExecutions struct {
	get    func(attune.ExecutionID) (attune.Execution, error)
	list   func(attune.ExecutionFilter, attune.Page) ([]attune.Execution, error)
	cancel func(attune.ExecutionID, attune.Author) (attune.Execution, error)

	attempts func(attune.ExecutionID) ([]attune.ExecutionAttempt, error)
	changes  func(attune.ExecutionID) ([]attune.ExecutionChange, error)
}

func (f *fakeExecutions) Changes(_ context.Context, id attune.ExecutionID) ([]attune.ExecutionChange, error) {
	if f.changes == nil {
		return nil, nil
	}
	return f.changes(id)
}

func (f *fakeExecutions) Attempts(_ context.Context, id attune.ExecutionID) ([]attune.ExecutionAttempt, error) {
	if f.attempts == nil {
		return nil, nil
	}
	return f.attempts(id)
}

func (f *fakeExecutions) Get(_ context.Context, id attune.ExecutionID) (attune.Execution, error) {
	if f.get == nil {
		return attune.Execution{}, notFound("such execution")
	}
	return f.get(id)
}

func (f *fakeExecutions) List(_ context.Context, filter attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(filter, page)
}

func (f *fakeExecutions) Cancel(_ context.Context, id attune.ExecutionID, author attune.Author) (attune.Execution, error) {
	if f.cancel == nil {
		return attune.Execution{}, notFound("such execution")
	}
	return f.cancel(id, author)
}

// fakeActions knows shop.deploy.
type fakeActions struct {
	get  func(attune.Ref) (attune.Action, error)
	list func(attune.Page) ([]attune.Action, error)
}

func deployAction() attune.Action {
	return attune.Action{
		ID: 4, Ref: "shop.deploy", Enabled: true, Command: []string{"./deploy.sh"}, Timeout: 90 * time.Second, Pool: "default",
	}
}

func (f *fakeActions) Action(_ context.Context, ref attune.Ref) (attune.Action, error) {
	switch {
	case f.get != nil:
		return f.get(ref)
	case ref != "shop.deploy":
		return attune.Action{}, notFound("action \"" + string(ref) + "\"")
	}
	return deployAction(), nil
}

func (f *fakeActions) Actions(_ context.Context, page attune.Page) ([]attune.Action, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(page)
}

// fakeRules knows github.deploy and whether it is enabled.
type fakeRules struct {
	list func(attune.Page) ([]attune.Rule, error)
	set  func(attune.Ref, bool) error

	mu      sync.Mutex
	enabled bool
	changes []attune.RuleChange
}

func (f *fakeRules) RuleChanges(_ context.Context, ref attune.Ref, page attune.Page) ([]attune.RuleChange, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes[:min(page.Limit, len(f.changes))], nil
}

func (f *fakeRules) Rule(_ context.Context, ref attune.Ref) (attune.Rule, error) {
	if ref != "github.deploy" {
		return attune.Rule{}, notFound("rule \"" + string(ref) + "\"")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return attune.Rule{ID: 5, Ref: ref, Enabled: f.enabled, Trigger: "github.push", Action: "shop.deploy"}, nil
}

func (f *fakeRules) Rules(_ context.Context, page attune.Page) ([]attune.Rule, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(page)
}

func (f *fakeRules) SetRuleEnabled(_ context.Context, ref attune.Ref, enabled bool, author attune.Author) error {
	if f.set != nil {
		return f.set(ref, enabled)
	}
	if ref != "github.deploy" {
		return notFound("rule \"" + string(ref) + "\"")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enabled = enabled
	to := map[bool]attune.RuleSwitch{false: attune.RuleDisabled, true: attune.RuleEnabled}
	f.changes = append([]attune.RuleChange{{ID: int64(len(f.changes) + 1), At: noon, Author: author, From: to[!enabled], To: to[enabled]}}, f.changes...)
	return nil
}

type fakeQueues struct {
	stats func(attune.QueueKey) (attune.QueueStats, error)
	list  func(attune.Page) ([]attune.QueueStats, error)
}

func (f *fakeQueues) Stats(_ context.Context, key attune.QueueKey) (attune.QueueStats, error) {
	if f.stats == nil {
		return attune.QueueStats{}, notFound("such queue")
	}
	return f.stats(key)
}

func (f *fakeQueues) List(_ context.Context, page attune.Page) ([]attune.QueueStats, error) {
	if f.list == nil {
		return nil, nil
	}
	return f.list(page)
}

type fakeSights struct {
	sight func(attune.QueueKey, int) (attune.QueueSight, error)
	said  policy.Effective
}

func (f *fakeSights) Sight(_ context.Context, key attune.QueueKey, first int) (attune.QueueSight, policy.Effective, error) {
	if f.sight == nil {
		return attune.QueueSight{}, policy.Effective{}, notFound("such queue")
	}
	sight, err := f.sight(key, first)
	return sight, f.said, err
}

type fakeDoctor struct{ findings []doctor.Finding }

func (f *fakeDoctor) Examine(context.Context) doctor.Diagnosis {
	return doctor.Diagnose(noon, "1.2.3", append([]doctor.Finding{}, f.findings...))
}

// fakeMetrics writes down what was counted.
type fakeMetrics struct {
	mu     sync.Mutex
	counts map[string]int
}

func (f *fakeMetrics) count(key string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[key] += n
}

func (f *fakeMetrics) of(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[key]
}

func (f *fakeMetrics) EventRecorded(_ context.Context, source attune.Source) {
	f.count("event "+string(source), 1)
}

func (f *fakeMetrics) EnforcementReached(_ context.Context, n int, status attune.EnforcementStatus, reason attune.Reason) {
	f.count(strings.TrimSpace("enforcement "+string(status)+" "+string(reason)), n)
}

func (f *fakeMetrics) RequestServed(_ context.Context, method, route string, status int, _ time.Duration) {
	f.count(method+" "+route+" "+http.StatusText(status), 1)
}

// lockedBuffer collects log lines from several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(data)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
