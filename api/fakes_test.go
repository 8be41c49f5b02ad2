package api_test

import (
	"context"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

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
	get    func(attune.EnforcementID) (attune.Enforcement, error)
	list   func(attune.EnforcementFilter, attune.Page) ([]attune.Enforcement, error)
	retry  func(attune.EnforcementID, attune.Author) (attune.Enforcement, error)
	giveUp func(attune.EnforcementID, attune.Author) (attune.Enforcement, error)
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
	stats   func(attune.QueueKey) (attune.QueueStats, error)
	list    func(attune.Page) ([]attune.QueueStats, error)
	lanes   func(attune.QueueKey, attune.LanePage) ([]attune.LaneStats, error)
	waiting func(attune.QueueKey, attune.EnforcementID) (attune.Wait, error)
}

func (f *fakeQueues) Waiting(_ context.Context, key attune.QueueKey, id attune.EnforcementID) (attune.Wait, error) {
	return f.waiting(key, id)
}

// waits makes every enforcement wait in an open queue.
func (f *fakeQueues) waits(ahead, active int64, limit int) {
	f.waiting = func(_ attune.QueueKey, id attune.EnforcementID) (attune.Wait, error) {
		return attune.Wait{
			At: noon, Ticket: attune.Ticket{Enforcement: id, Sequence: 9, EnqueuedAt: noon}, Mode: attune.QueueOpen,
			Policy: attune.QueuePolicy{Limit: limit}, Queue: attune.LevelCount{Ahead: ahead, Active: active},
		}, nil
	}
}

func (f *fakeQueues) Lanes(_ context.Context, key attune.QueueKey, page attune.LanePage) ([]attune.LaneStats, error) {
	if f.lanes == nil {
		return nil, nil
	}
	return f.lanes(key, page)
}

func (f *fakeQueues) Lane(_ context.Context, _ attune.QueueKey, name attune.LaneName, number int32) (int32, error) {
	switch {
	case name == attune.LaneOf("eu"), number == 7:
		return 7, nil
	default:
		return 0, notFound("such lane")
	}
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

type fakeDetails struct {
	detail    func(attune.QueueKey, int) (attune.QueueDetail, error)
	effective policy.Effective
}

func (f *fakeDetails) Detail(_ context.Context, key attune.QueueKey, first int) (attune.QueueDetail, policy.Effective, error) {
	if f.detail == nil {
		return attune.QueueDetail{}, policy.Effective{}, notFound("such queue")
	}
	detail, err := f.detail(key, first)
	return detail, f.effective, err
}
