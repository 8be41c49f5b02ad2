package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/policy"
)

// fakePolicyReader has the policy of one action and one lane.
type fakePolicyReader struct {
	effective policy.Effective
	told      attune.QueuePolicy
	lane      attune.LaneStats
	state     attune.ActionState
}

func (f *fakePolicyReader) ActionState(
	_ context.Context, _ attune.QueueKey, _ attune.ActionID, ofQueue, ofAction []attune.StartRate,
) (attune.ActionState, error) {
	state := f.state
	for range ofQueue {
		state.OfQueue = append(state.OfQueue, attune.StartProbe{})
	}
	for range ofAction {
		state.OfAction = append(state.OfAction, attune.StartProbe{})
	}
	return state, nil
}

func (f *fakePolicyReader) EffectivePolicy(
	context.Context, attune.QueueKey, attune.Ref,
) (policy.Effective, attune.QueuePolicy, error) {
	return f.effective, f.told, nil
}

func (f *fakePolicyReader) LaneNamed(_ context.Context, _ attune.QueueKey, name attune.LaneName) (attune.LaneStats, error) {
	lane := f.lane
	lane.Name = name
	return lane, nil
}

// explained posts parameters and returns the explanation of the policy of shop.deploy.
func (b *bundle) explained(t *testing.T, body string) api.PolicyExplanation {
	t.Helper()
	recorder := b.do(t, post("/api/v1/actions/shop.deploy/policy", body))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
	var found api.PolicyExplanation
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &found))
	return found
}

// setupExplain has an action with a limit of 2, lanes with a limit of 1, and two gates that allow an enforcement.
func setupExplain(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	document := attune.Policy{
		Limit: new(2), Key: new("parameters.tenant"), MaxQueued: new(3), MaxQueuedPerKey: new(2),
		Rate:  []attune.Rate{{Name: "tenants", Limit: 9, Window: attune.Duration(time.Minute)}},
		Quota: []attune.Quota{{Name: "daily", Limit: 5, Period: attune.PeriodDay}},
	}
	b.reader.effective = policy.Resolve(policy.Level{
		Scope: policy.ScopeAction, Ref: "shop.deploy", Origin: policy.OriginPerson, Revision: 7, Policy: document,
	})
	b.reader.told = policy.OwnQueue(deployAction().ID, b.reader.effective.Policy)
	b.reader.told.Revision = 4
	b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) {
		return attune.QueueStats{Queue: key, MaxConcurrent: 2, Mode: attune.QueueOpen}, nil
	}
	b.engine.manual = func(action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
		return attune.Decision{
			ActionID: action.ID, Parameters: parameters, Status: attune.EnforcementCreated, Lane: "=acme",
			Charges: []attune.Charge{{GateID: tenantsGate(), Cost: 1}},
		}, nil
	}
	b.gates.probes = []attune.GateProbe{{GateRefusal: attune.GateRefusal{GateID: tenantsGate(), Limit: 9, Count: 4, Cost: 1}, Allowed: true}}
	return b
}

func tenantsGate() attune.GateID {
	return attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "shop.deploy", Name: "tenants"}
}

func TestExplainPolicy(t *testing.T) {
	t.Parallel()

	t.Run("without parameters, only the policy is shown", func(t *testing.T) {
		t.Parallel()
		found := setupExplain(t).explained(t, `{}`)
		require.Equal(t, attune.QueueKey("shop.deploy"), found.Queue)
		require.EqualValues(t, 4, found.Policy.Revision)
		require.JSONEq(t, `2`, string(found.Policy.Fields[0].Value))
		require.Equal(t, int64(7), found.Policy.Fields[0].Source.Revision)
		require.Len(t, found.Gates, 2)
		require.Nil(t, found.Gates[0].Now)
		require.Nil(t, found.Now)
		require.Nil(t, found.Lane)
	})

	t.Run("a key that fails would reject the enforcement", func(t *testing.T) {
		t.Parallel()
		b := setupExplain(t)
		b.engine.manual = func(attune.Action, json.RawMessage) (attune.Decision, error) {
			return attune.Decision{Status: attune.EnforcementRejected, Reason: attune.ReasonKeyInvalid, Detail: "no text"}, nil
		}
		require.Equal(t, &api.Verdict{Reason: attune.ReasonKeyInvalid, Detail: "no text"}, b.explained(t, `{"parameters":{}}`).Now)
	})

	t.Run("the lane and what is used of the gates are shown", func(t *testing.T) {
		t.Parallel()
		b := setupExplain(t)
		b.reader.lane = attune.LaneStats{Number: 3, Waiting: 1, Active: 1}
		found := b.explained(t, `{"parameters":{"tenant":"acme"}}`)
		require.Equal(t, &api.ExplainedLane{Key: "acme", Waiting: 1, Active: 1, Limit: new(1)}, found.Lane)
		require.EqualValues(t, 4, found.Gates[0].Now.Count)
		require.Nil(t, found.Gates[1].Now, "the probe knows nothing of it")
		require.Equal(t, &api.Verdict{Accepted: true}, found.Now)
	})

	at := noon.Add(time.Minute)
	for name, tt := range map[string]struct {
		change func(*bundle, *attune.QueueStats)
		want   api.Verdict
	}{
		"an empty queue starts it at once": {
			func(*bundle, *attune.QueueStats) {}, api.Verdict{Accepted: true, AtOnce: true},
		},
		"another lane that waits does not hold it up": {
			func(_ *bundle, s *attune.QueueStats) { s.QueueLength = 2 }, api.Verdict{Accepted: true, AtOnce: true},
		},
		"a strict line holds it up": {
			func(b *bundle, s *attune.QueueStats) {
				s.QueueLength, b.reader.effective.Policy.Across = 2, attune.AcrossStrict
			},
			api.Verdict{Accepted: true},
		},
		"a queue without room lets it wait": {func(_ *bundle, s *attune.QueueStats) { s.ActiveCount = 2 }, api.Verdict{Accepted: true}},
		"a paused queue lets it wait":       {func(_ *bundle, s *attune.QueueStats) { s.Mode = attune.QueuePaused }, api.Verdict{Accepted: true}},
		"a lane without room lets it wait":  {func(b *bundle, _ *attune.QueueStats) { b.reader.lane.Active = 1 }, api.Verdict{Accepted: true}},
		"a manual limit of the lane has room": {
			func(b *bundle, _ *attune.QueueStats) { b.reader.lane.Active, b.reader.lane.Limit = 1, new(2) },
			api.Verdict{Accepted: true, AtOnce: true},
		},
		"a draining queue rejects it": {
			func(_ *bundle, s *attune.QueueStats) { s.Mode = attune.QueueDraining },
			api.Verdict{Reason: attune.ReasonQueueDraining, Detail: "the queue drains: it accepts no enforcement until a person resumes it"},
		},
		"a full queue rejects it": {
			func(b *bundle, s *attune.QueueStats) { s.QueueLength, b.reader.lane.Waiting = 3, 1 },
			api.Verdict{Reason: attune.ReasonQueueFull, Detail: "3 enforcements wait"},
		},
		"a full queue that drops the oldest accepts it": {
			func(b *bundle, s *attune.QueueStats) {
				s.QueueLength, b.reader.lane.Waiting, b.reader.effective.Policy.Overflow = 3, 1, attune.OverflowDropOldest
			}, api.Verdict{Accepted: true},
		},
		"a full lane rejects it": {
			func(b *bundle, _ *attune.QueueStats) { b.reader.lane.Waiting = 2 },
			api.Verdict{Reason: attune.ReasonKeyQueueFull, Detail: "2 enforcements wait in the lane"},
		},
		"a busy lane rejects it with skip": {
			func(b *bundle, _ *attune.QueueStats) {
				b.reader.lane.Active, b.reader.effective.Policy.WhenBusy = 1, attune.BusySkip
			}, api.Verdict{Reason: attune.ReasonBusy, Detail: "the enforcement could not start at once"},
		},
		"a rate rejects it before the queue does": {
			func(b *bundle, s *attune.QueueStats) {
				s.Mode, b.gates.probes[0].Allowed, b.gates.probes[0].RetryAt = attune.QueueDraining, false, &at
				b.gates.probes[0].Window = new(attune.Duration(time.Minute))
			},
			api.Verdict{
				Reason: attune.ReasonRateLimited, RetryAt: &at,
				Detail: "rate tenants of action shop.deploy allows 9 in 1m0s: 4 are used, and this enforcement costs 1; try again at 2030-01-02T12:01:00Z",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupExplain(t)
			stats, err := b.queues.stats("shop.deploy")
			require.NoError(t, err)
			tt.change(b, &stats)
			b.queues.stats = func(attune.QueueKey) (attune.QueueStats, error) { return stats, nil }
			require.Equal(t, &tt.want, b.explained(t, `{"parameters":{}}`).Now)
		})
	}
}

// An action of a shared queue can have a limit of its own, and rates delay the starts of the action or of the whole queue.
func TestExplainPolicy_OwnLimitAndStarts(t *testing.T) {
	t.Parallel()
	const shared attune.QueueKey = "shop.line"
	slow := func(name string) attune.Policy {
		return attune.Policy{Rate: []attune.Rate{{Name: name, Limit: 1, Window: attune.Duration(time.Hour), Method: attune.RateDelay}}}
	}
	own := slow("own")
	own.Queue, own.Limit = new(shared), new(1)
	wide := slow("wide")
	wide.Limit = new(9)
	setup := func(t *testing.T, own attune.Policy) *bundle {
		t.Helper()
		b := setupExplain(t)
		b.actions.get = func(attune.Ref) (attune.Action, error) {
			action := deployAction()
			action.Queue = shared
			return action, nil
		}
		levels := []policy.Level{
			{Scope: policy.ScopeAction, Ref: "shop.deploy", Origin: policy.OriginPerson, Policy: own},
			{Scope: policy.ScopeQueue, Ref: string(shared), Origin: policy.OriginPack, Policy: wide},
		}
		_, b.reader.effective = policy.Of("shop.deploy", levels)
		b.reader.told = policy.NewIndex(levels).SharedQueue(shared, []policy.Member{{Action: deployAction().ID, Ref: "shop.deploy"}})
		b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) {
			require.Equal(t, shared, key)
			return attune.QueueStats{Queue: key, Shared: true, MaxConcurrent: 9, ActiveCount: 5, Mode: attune.QueueOpen}, nil
		}
		b.gates.probes = nil
		return b
	}
	closed := []attune.StartProbe{{Count: 1, OpensAt: new(noon.Add(time.Minute))}}
	skips := own
	skips.WhenBusy = new(attune.BusySkip)
	unlimited := own
	unlimited.Limit = nil
	for name, tt := range map[string]struct {
		own   attune.Policy
		state attune.ActionState
		want  api.Verdict
	}{
		"the action has room":                    {own, attune.ActionState{}, api.Verdict{Accepted: true, AtOnce: true}},
		"the limit of the action holds it up":    {own, attune.ActionState{Active: 1}, api.Verdict{Accepted: true}},
		"the queue alone bounds the action":      {unlimited, attune.ActionState{Active: 5}, api.Verdict{Accepted: true, AtOnce: true}},
		"a rate of the action delays it":         {own, attune.ActionState{OfAction: closed}, api.Verdict{Accepted: true, OpensAt: closed[0].OpensAt}},
		"a rate of the queue delays it":          {own, attune.ActionState{OfQueue: closed}, api.Verdict{Accepted: true, OpensAt: closed[0].OpensAt}},
		"what must not wait is refused by it":    {skips, attune.ActionState{OfQueue: closed}, api.Verdict{Reason: attune.ReasonBusy, Detail: "the enforcement could not start at once"}},
		"what must not wait meets its own limit": {skips, attune.ActionState{Active: 1}, api.Verdict{Reason: attune.ReasonBusy, Detail: "the enforcement could not start at once"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, tt.own)
			b.reader.state = tt.state
			found := b.explained(t, `{"parameters":{}}`)
			require.Equal(t, &tt.want, found.Now)
			require.Len(t, found.Gates, 2)
			require.Equal(t, policy.ScopeAction, found.Gates[0].Scope)
			require.Equal(t, len(tt.state.OfAction) > 0, found.Gates[0].Starts.OpensAt != nil)
			require.Equal(t, len(tt.state.OfQueue) > 0, found.Gates[1].Starts.OpensAt != nil)
		})
	}
}
