package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const (
	deploys attune.QueueKey = "shop.deploys"
	ship    attune.Ref      = "shop.ship"
	restart attune.Ref      = "ops.restart"
)

// shopPack declares the shared queue shop.deploys with a limit of 2, and the action ship in it, one at a time.
func shopPack(version string) attune.Pack {
	return attune.Pack{
		Name: "shop", Digest: "shop-" + version,
		Queues: []attune.SharedQueue{{Ref: attune.Ref(deploys), Description: "Deployments.", Policy: &attune.Policy{Limit: new(2)}}},
		Actions: []attune.Action{{
			Ref: ship, Command: []string{"true"}, Timeout: time.Minute, Pool: "default", Policy: &attune.Policy{Limit: new(1), Queue: new(deploys)},
		}},
		Joins: []attune.Join{{Queue: deploys, Place: "shop/actions/ship.yaml:3:10"}},
	}
}

// opsPack has one action, which joins the queue if it is not empty.
func opsPack(version string, queue attune.QueueKey) attune.Pack {
	action := attune.Action{Ref: restart, Command: []string{"true"}, Timeout: time.Minute, Pool: "default"}
	pack := attune.Pack{Name: "ops", Digest: "ops-" + version}
	if queue != "" {
		action.Policy = &attune.Policy{Queue: &queue, MaxAttempts: new(3)}
		pack.Joins = []attune.Join{{Queue: queue, Place: "ops/pack.yaml:4:12"}}
	}
	pack.Actions = []attune.Action{action}
	return pack
}

// inQueue makes n enforcements of an action in the queue that it uses, and returns the action and their ids.
func (b *bundle) inQueue(t *testing.T, ref attune.Ref, n int) (action attune.Action, ids []attune.EnforcementID) {
	t.Helper()
	action, err := b.packs.Action(t.Context(), ref)
	require.NoError(t, err)
	for range n {
		decision := decisionTo(action)
		if action.Queue != "" {
			decision.Queue, decision.Lane = action.Queue, attune.ActionLane(action.ID)
		}
		ids = append(ids, b.decide(t, decision).ID)
	}
	return action, ids
}

func TestSharedQueue_OfTwoPacks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	results := b.install(t, shopPack("1"), opsPack("1", deploys))
	require.Equal(t, 1, results[0].Queues)

	// Before its use, the queue has the limit of its policy and both actions.
	stats, err := b.queues.Stats(t.Context(), deploys)
	require.NoError(t, err)
	require.Equal(t, attune.QueueStats{ID: stats.ID, Queue: deploys, Shared: true, MaxConcurrent: 2, Mode: attune.QueueOpen, LastUpdated: stats.LastUpdated}, stats)
	used, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Empty(t, used)

	shipped, first := b.inQueue(t, ship, 2)
	restarted, second := b.inQueue(t, restart, 1)
	require.Equal(t, deploys, shipped.Queue)
	admissions, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{first[0], second[0], first[1]})
	require.NoError(t, err)
	require.Len(t, admissions, 1)
	require.Equal(t, deploys, admissions[0].Queue)
	defaults := policy.OwnQueue(0, policy.Defaults()).Actions[0]
	ofShip, ofRestart := defaults, defaults
	ofShip.Action, ofShip.Ref, ofShip.Limit = shipped.ID, ship, new(1)
	ofRestart.Action, ofRestart.Ref, ofRestart.MaxAttempts = restarted.ID, restart, 3
	want := attune.QueuePolicy{
		Revision: 1, Limit: 2, Across: attune.AcrossSkip, MaxQueued: 10_000, Overflow: attune.OverflowReject,
		Actions: []attune.ActionPolicy{ofShip, ofRestart},
	}
	require.Empty(t, cmp.Diff(want, admissions[0].Policy))
	require.Len(t, admissions[0].Tickets, 3)
	for i, of := range []struct {
		action attune.ActionID
		lane   int32
	}{{shipped.ID, 1}, {restarted.ID, 2}, {shipped.ID, 1}} {
		require.Equal(t, int64(i+1), admissions[0].Tickets[i].Sequence)
		require.Equal(t, of.action, admissions[0].Tickets[i].Action)
		require.Equal(t, of.lane, admissions[0].Tickets[i].Lane)
	}

	_, err = b.executions.Request(t.Context(), deploys, grant(admissions[0].Tickets[0]))
	require.NoError(t, err)
	detail, effective, err := b.queues.Detail(t.Context(), deploys, 10)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, detail.Policy))
	require.Equal(t, "queue shop.deploys", effective.From["limit"].String())
	require.True(t, detail.Stats.Shared)
	require.Equal(t, ship, detail.Holders[0].Action)
	require.Equal(t, restart, detail.Waiting[0].Action)
	require.Empty(t, cmp.Diff([]attune.ActionStats{
		{Action: restarted.ID, Ref: restart, Joined: true, Waiting: 1, OldestAt: &detail.Waiting[0].QueuedAt},
		{Action: shipped.ID, Ref: ship, Joined: true, Waiting: 1, Active: 1, OldestAt: &detail.Waiting[1].QueuedAt},
	}, detail.Actions))
	lanes, err := b.queues.Lanes(t.Context(), deploys, attune.LanePage{})
	require.NoError(t, err)
	require.Len(t, lanes, 2)
	require.Equal(t, restart, lanes[0].Action)
	require.Equal(t, ship, lanes[1].Action)

	snapshot, err := b.queues.Rebuild(t.Context(), deploys)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, snapshot.Policy))
	require.Len(t, snapshot.Holders, 1)
	require.Len(t, snapshot.Waiting, 2)
}

// The queue keeps the policy of an action that has left while something of the action is in it.
func TestSharedQueue_AnActionLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, shopPack("1"), opsPack("1", deploys))
	action, ids := b.inQueue(t, restart, 2)
	admissions, err := b.enforcements.Admit(t.Context(), ids[:1])
	require.NoError(t, err)

	b.install(t, opsPack("2", ""))
	left, err := b.packs.Action(t.Context(), restart)
	require.NoError(t, err)
	require.Empty(t, left.Queue)
	actions := func() []attune.Ref {
		_, err := b.queues.ApplyPolicies(t.Context())
		require.NoError(t, err)
		detail, _, err := b.queues.Detail(t.Context(), deploys, 1)
		require.NoError(t, err)
		var refs []attune.Ref
		for _, of := range detail.Policy.Actions {
			refs = append(refs, of.Ref)
		}
		return refs
	}
	require.Equal(t, []attune.Ref{ship, restart}, actions(), "one waits, and one is not admitted yet")
	detail, _, err := b.queues.Detail(t.Context(), deploys, 1)
	require.NoError(t, err)
	require.False(t, detail.Actions[0].Joined)

	_, second := b.inQueue(t, restart, 1)
	mixed, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{ids[1], second[0]})
	require.NoError(t, err)
	require.Len(t, mixed, 2, "what was recorded before stays in its queue, and the next goes to the own queue of the action")
	require.Equal(t, deploys, mixed[0].Queue)
	require.Equal(t, action.ID, mixed[0].Tickets[0].Action)
	require.Equal(t, attune.QueueKey(restart), mixed[1].Queue)

	for _, ticket := range []attune.Ticket{admissions[0].Tickets[0], mixed[0].Tickets[0]} {
		_, err = b.queues.Record(t.Context(), deploys, attune.QueueDecisions{Settlements: []attune.Settlement{
			{Ticket: ticket, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout},
		}})
		require.NoError(t, err)
	}
	require.Equal(t, []attune.Ref{ship}, actions())
}

// An enforcement that was recorded for a queue is admitted with the policy of its action there, even if the queue never knew it.
func TestSharedQueue_ANewcomerOfAnActionThatLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, shopPack("1"), opsPack("1", deploys))
	action, ids := b.inQueue(t, restart, 1)
	b.install(t, opsPack("2", ""))
	admissions, err := b.enforcements.Admit(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, restart, admissions[0].Policy.RefOf(deploys, action.ID))
}

func TestSharedQueue_Dropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, shopPack("1"), opsPack("1", deploys))
	without := attune.Pack{Name: "shop", Digest: "shop-2"}
	b.install(t, without)
	_, ids := b.inQueue(t, restart, 1)
	admissions, err := b.enforcements.Admit(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, deploys, admissions[0].Queue, "the action stays in the queue")
	require.Equal(t, 1, admissions[0].Policy.Limit, "with the default limit")

	_, err = b.packs.Install(t.Context(), []attune.Pack{opsPack("2", deploys)})
	require.EqualError(t, err, `install packs: ops/pack.yaml:4:12: queue: no installed pack declares the shared queue "shop.deploys"`)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))

	b.install(t, shopPack("3"), opsPack("2", deploys))
	stats, err := b.queues.Stats(t.Context(), deploys)
	require.NoError(t, err)
	require.Equal(t, int64(1), stats.QueueLength)
}

func TestSharedQueue_NamesOfActionsAreTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, attune.Pack{Name: "ops", Digest: "1", Queues: []attune.SharedQueue{{Ref: "ops.line"}}}, opsPack2("restart"))
	for name, pack := range map[string]attune.Pack{
		"of an action that was dropped": {Name: "demo", Digest: "2", Queues: []attune.SharedQueue{{Ref: notify}}},
		"that was a queue":              opsPack2("line"),
	} {
		t.Run("a name "+name+" is refused", func(t *testing.T) {
			t.Parallel()
			_, err := b.packs.Install(t.Context(), []attune.Pack{pack})
			require.ErrorContains(t, err, "has or had an action of this name")
			require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
		})
	}
}

// opsPack2 is another version of the pack ops, with one action.
func opsPack2(action string) attune.Pack {
	return attune.Pack{Name: "ops", Digest: "2-" + action, Actions: []attune.Action{
		{Ref: attune.NewRef("ops", action), Command: []string{"true"}, Timeout: time.Minute, Pool: "default"},
	}}
}

// An event is recorded with the queue and the lane that the policies choose.
func TestRecord_CandidatesOfASharedQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pack := shopPack("1")
	pack.Policy, pack.Queues[0].Policy.Key = &attune.Policy{Key: new("parameters.a")}, new("parameters.b")
	pack.Triggers = []attune.Trigger{{Ref: "shop.sold"}}
	pack.Rules = []attune.Rule{{Ref: "shop.on-sale", Enabled: true, Trigger: "shop.sold", Action: ship}}
	b.install(t, pack)
	var seen []attune.Candidate
	_, err := b.events.Record(t.Context(), attune.Event{Trigger: "shop.sold", Payload: []byte(`{}`), Source: attune.SourceAPI},
		func(_ attune.Event, candidates []attune.Candidate) []attune.Decision {
			seen = candidates
			return nil
		})
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, deploys, seen[0].Action.Queue)
	require.Equal(t, "parameters.b", *seen[0].Key, "the key of the queue wins over that of the pack")
}
