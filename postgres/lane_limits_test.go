package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// inLane makes n admitted enforcements of the deploy action in a lane, and returns their tickets.
func (b *bundle) inLane(t *testing.T, lane attune.LaneName, n int) []attune.Ticket {
	t.Helper()
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	var ids []attune.EnforcementID
	for range n {
		decision := decisionTo(action)
		decision.Lane = lane
		ids = append(ids, b.decide(t, decision).ID)
	}
	return b.admit(t, ids...)
}

// recordLane records a change of the limit of a lane.
func (b *bundle) recordLane(t *testing.T, number int64, lane int32, limit *attune.LimitOverride) {
	t.Helper()
	_, err := b.queues.Record(t.Context(), queueKey, attune.QueueDecisions{Control: attune.QueueControl{
		Generation: 99, Mode: attune.QueueOpen, Lanes: []attune.LaneControl{{Lane: lane, Change: number, Override: limit}},
		Changes: []attune.QueueChange{{
			Number: number, Request: time.Duration(number).String(), At: time.Now(), Author: ada, Kind: attune.ChangeLaneLimit, Lane: lane,
			From: "by policy", To: "changed",
		}},
	}})
	require.NoError(t, err)
}

func TestLaneLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.inLane(t, attune.LaneOf("eu"), 1)
	b.inLane(t, attune.LaneOf("us"), 1)
	number, err := b.queues.Lane(t.Context(), queueKey, attune.LaneOf("us"), 0)
	require.NoError(t, err)
	require.EqualValues(t, 2, number)
	number, err = b.queues.Lane(t.Context(), queueKey, "", 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, number)
	for _, unknown := range []struct {
		name   attune.LaneName
		number int32
	}{{attune.LaneOf("asia"), 1}, {"", 3}, {"", 0}} {
		_, err = b.queues.Lane(t.Context(), queueKey, unknown.name, unknown.number)
		require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
	}

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	b.recordLane(t, 2, 2, &attune.LimitOverride{Limit: 3, Until: until})
	b.recordLane(t, 3, 1, &attune.LimitOverride{Limit: 4})
	b.recordLane(t, 1, 2, &attune.LimitOverride{Limit: 9}) // late
	limits := func() []attune.LaneLimit {
		snapshot, err := b.queues.Rebuild(t.Context(), queueKey)
		require.NoError(t, err)
		return snapshot.LaneLimits
	}
	require.Equal(t, []attune.LaneLimit{
		{Lane: 1, LimitOverride: attune.LimitOverride{Limit: 4}}, {Lane: 2, LimitOverride: attune.LimitOverride{Limit: 3, Until: until}},
	}, limits())
	lanes, err := b.queues.Lanes(t.Context(), queueKey, attune.LanePage{})
	require.NoError(t, err)
	require.Equal(t, 4, *lanes[0].Limit)
	require.Nil(t, lanes[0].Until)
	require.Equal(t, 3, *lanes[1].Limit)
	require.True(t, until.Equal(*lanes[1].Until))
	changes, err := b.queues.Changes(t.Context(), queueKey, attune.Page{})
	require.NoError(t, err)
	require.EqualValues(t, 1, changes[0].Lane)

	b.recordLane(t, 4, 1, nil)
	b.recordLane(t, 5, 2, &attune.LimitOverride{Limit: 3, Until: time.Now().Add(-time.Second).UTC().Truncate(time.Second)})
	require.Empty(t, limits(), "one was cleared, and one has expired")
	lanes, err = b.queues.Lanes(t.Context(), queueKey, attune.LanePage{})
	require.NoError(t, err)
	require.Nil(t, lanes[0].Limit)
	require.Nil(t, lanes[1].Limit)

	granted := grant(tickets[0])
	granted.Changes, granted.Generation = 5, 2
	_, err = b.executions.Request(t.Context(), queueKey, granted)
	require.NoError(t, err)
	require.EqualValues(t, 5, b.grants(t, attune.Page{})[0].Changes)
}

func TestLaneLimits_InvalidRecords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, control := range map[string]attune.QueueControl{
		"a change of a lane without a lane": {Changes: []attune.QueueChange{{Number: 1, Request: "a", Author: ada, Kind: attune.ChangeLaneLimit}}},
		"another change with a lane":        {Changes: []attune.QueueChange{{Number: 1, Request: "a", Author: ada, Kind: attune.ChangeLimit, Lane: 1}}},
		"an unknown kind":                   {Changes: []attune.QueueChange{{Number: 1, Request: "a", Author: ada, Kind: "colour"}}},
		"a limit out of range": {
			Changes: []attune.QueueChange{{Number: 1, Request: "a", Author: ada, Kind: attune.ChangeLaneLimit, Lane: 1}},
			Lanes:   []attune.LaneControl{{Lane: 1, Change: 1, Override: &attune.LimitOverride{Limit: -1}}},
		},
	} {
		control.Mode = attune.QueueOpen
		_, err := b.queues.Record(t.Context(), queueKey, attune.QueueDecisions{Control: control})
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), name)
	}
}

// A person's documents are checked against the shared queues of the actions that they cover.
func TestPolicies_ChangeOfSharedQueues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, shopPack("1"), opsPack("1", ""))
	policies := postgres.NewPolicies(b.db)
	change := func(scope policy.Scope, ref string, document attune.Policy) error {
		_, err := policies.Change(t.Context(), policy.Change{
			Scope: scope, Ref: ref, Author: ada, Decide: func(policy.Documents, time.Time) (*policy.Draft, error) {
				return &policy.Draft{Policy: document}, nil
			},
		})
		return err
	}
	for name, refused := range map[string]struct {
		err  error
		says string
	}{
		"a queue that does not exist":    {change(policy.ScopeAction, string(restart), attune.Policy{Queue: new(attune.QueueKey("shop.nope"))}), `declares the shared queue "shop.nope"`},
		"the own queue of an action":     {change(policy.ScopePack, "ops", attune.Policy{Queue: new(attune.QueueKey(restart))}), `declares the shared queue "ops.restart"`},
		"a queue that joins":             {change(policy.ScopeQueue, string(deploys), attune.Policy{Queue: new(deploys)}), "joins no queue"},
		"a global document that joins":   {change(policy.ScopeGlobal, "", attune.Policy{Queue: new(deploys)}), "joins no queue"},
		"a field of the queue, joining":  {change(policy.ScopeAction, string(restart), attune.Policy{Queue: new(deploys), MaxQueued: new(5)}), "about the whole queue"},
		"a field of the queue, joined":   {change(policy.ScopeAction, string(ship), attune.Policy{Across: new(attune.AcrossStrict)}), "about the whole queue"},
		"the same by the queue's policy": {change(policy.ScopeQueue, string(deploys), attune.Policy{MaxQueued: new(5)}), ""},
	} {
		if refused.says == "" {
			require.NoError(t, refused.err, name)
			continue
		}
		require.ErrorContains(t, refused.err, refused.says, name)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(refused.err), name)
	}

	// A pack joins. Its actions must leave the fields of the queue alone.
	require.NoError(t, change(policy.ScopeAction, string(restart), attune.Policy{MaxQueued: new(7)}))
	require.ErrorContains(t, change(policy.ScopePack, "ops", attune.Policy{Queue: new(deploys)}), `action "ops.restart"`)
	require.NoError(t, change(policy.ScopeAction, string(restart), attune.Policy{MaxAttempts: new(2)}))

	// The queue that is in use follows the documents of its actions and their packs.
	_, ids := b.inQueue(t, ship, 1)
	_, err := b.enforcements.Admit(t.Context(), ids)
	require.NoError(t, err)
	follow := func() map[attune.QueueKey]attune.QueuePolicy {
		told := map[attune.QueueKey]attune.QueuePolicy{}
		for more := true; more; {
			var changed []attune.Admission
			var err error
			changed, more, err = b.queues.FollowPolicies(t.Context())
			require.NoError(t, err)
			for _, queue := range changed {
				told[queue.Queue] = queue.Policy
			}
		}
		return told
	}
	follow()
	require.NoError(t, change(policy.ScopePack, "ops", attune.Policy{Queue: new(deploys)}))
	told := follow()[deploys]
	require.Len(t, told.Actions, 2, "the actions of the pack have joined")
	require.NoError(t, change(policy.ScopeAction, string(restart), attune.Policy{MaxAttempts: new(3), Limit: new(1)}))
	told = follow()[deploys]
	require.Equal(t, 1, *told.Actions[1].Limit)
	require.Equal(t, 3, told.Actions[1].MaxAttempts)
	reach, err := b.queues.Reach(t.Context(), policy.ScopeAction, string(restart))
	require.NoError(t, err)
	require.EqualValues(t, 1, reach.Told+reach.NotTold)
	uses, err := policies.KeyUses(t.Context(), policy.ScopeQueue, string(deploys))
	require.NoError(t, err)
	require.Len(t, uses, 2)
}
