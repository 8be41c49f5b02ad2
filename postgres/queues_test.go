package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func TestQueues_Rebuild(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 8)...)
	b.admitOther(t)
	grants := make([]attune.Grant, 4)
	var messages []attune.ExecutionRequestedMessage
	for i := range grants {
		grants[i] = grant(tickets[i])
		messages = append(messages, b.request(t, tickets[i]))
	}
	require.True(t, b.claim(t, messages[1], "worker-1").Granted)
	b.finish(t, reportOf(messages[0]), reportOf(messages[2]))
	b.settle(t, tickets[5], attune.EnforcementCancelled, attune.ReasonCancelled)

	snapshot := b.rebuild(t)
	want := attune.QueueSnapshot{
		Policy: policy.Defaults(), Mode: attune.QueueOpen, Generation: 1, LastSequence: 8, LastGrant: 4,
		Holders: []attune.Grant{grants[1], grants[3]}, Waiting: []attune.Ticket{tickets[4], tickets[6], tickets[7]},
	}
	want.Policy.Revision = 1
	for i := range want.Holders {
		want.Holders[i].Generation = 1 // taken over
	}
	ignoreClock := cmpopts.IgnoreFields(attune.Grant{}, "GrantedAt") // the grants were requested a moment after they were made here
	require.Empty(t, cmp.Diff(want, snapshot, ignoreClock))
	for _, holder := range snapshot.Holders {
		require.Equal(t, *b.enforcement(t, holder.Enforcement).GrantedAt, holder.GrantedAt)
	}

	inRange, err := b.queues.Tickets(t.Context(), queueKey, 3, 7)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Ticket{tickets[4], tickets[6]}, inRange))
	none, err := b.queues.Tickets(t.Context(), "demo.unknown", 1, 100)
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestQueues_RebuildUnused has somebody set a queue by hand before its first use: what the change is from must be right.
func TestQueues_RebuildUnused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy(t, &attune.Policy{Limit: new(7)})
	want := attune.QueueSnapshot{Policy: policy.Defaults(), Mode: attune.QueueOpen, Generation: 1}
	want.Policy.Revision, want.Policy.Limit = 1, 7
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))
	require.Equal(t, 7, b.stats(t).MaxConcurrent)

	b.policy(t, &attune.Policy{Limit: new(8)})
	want.Policy.Revision, want.Policy.Limit, want.Generation = 2, 8, 2
	require.Empty(t, cmp.Diff(want, b.rebuild(t), cmpopts.EquateEmpty()))

	unknown, err := b.queues.Rebuild(t.Context(), "demo.unknown")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(attune.QueueSnapshot{Policy: policy.Defaults(), Mode: attune.QueueOpen}, unknown))
	require.Zero(t, b.count(t, `SELECT count(*) FROM queues WHERE key = 'demo.unknown'`), "it is not recorded")
}

// admitOther puts something into another queue, which must not show up anywhere else.
func (b *bundle) admitOther(t *testing.T) {
	t.Helper()
	admissions, err := b.enforcements.Admit(t.Context(), b.created(t, notify, 2))
	require.NoError(t, err)
	require.Len(t, admissions[0].Tickets, 2)
}

func TestQueues_Stats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 5)...)
	b.admitOther(t)
	message := b.request(t, tickets[0])
	b.request(t, tickets[1])
	b.finish(t, reportOf(message))
	b.settle(t, tickets[2], attune.EnforcementCancelled, attune.ReasonCancelled)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)

	stats := b.stats(t)
	require.NotNil(t, stats.LastUpdated)
	require.Positive(t, stats.ID)
	require.Empty(t, cmp.Diff(attune.QueueStats{
		ID: stats.ID, Queue: queueKey, ActionID: action.ID, Action: deploy, QueueLength: 2, ActiveCount: 1, MaxConcurrent: 1,
		Mode: attune.QueueOpen, OldestEnqueuedAt: &tickets[3].EnqueuedAt, TotalEnqueued: 5, TotalCompleted: 1, TotalDropped: 1,
		LastUpdated: stats.LastUpdated,
	}, stats))

	// A grant changes the counts, so it changes when they were last updated.
	granted := b.execution(t, b.request(t, tickets[3]).Execution)
	require.Equal(t, granted.RequestedAt, *b.stats(t).LastUpdated)
}

// A queue can be looked at before its first use: what it would do is the question.
func TestQueues_BeforeFirstUse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pack := demoPack()
	pack.Digest, pack.Policy = "demo-2", &attune.Policy{Limit: new(4)}
	pack.Actions[0].Policy = &attune.Policy{MaxAttempts: new(3)}
	b.install(t, pack)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	require.Zero(t, b.count(t, `SELECT count(*) FROM queues`))

	want := attune.QueueStats{Queue: queueKey, ActionID: action.ID, Action: deploy, MaxConcurrent: 4, Mode: attune.QueueOpen}
	requireUnused := func() {
		t.Helper()
		require.Empty(t, cmp.Diff(want, b.stats(t)))
		sight := b.sight(t, 10)
		require.Empty(t, cmp.Diff(want, sight.Stats))
		require.Equal(t, b.said(t).Policy, sight.Policy, "what the scopes say is what the queue will be told")
		require.Zero(t, sight.Policy.Revision)
		require.Equal(t, 4, sight.Policy.Limit)
		require.Equal(t, "action demo.deploy", b.said(t).From["max_attempts"].String())
		require.Empty(t, sight.Holders)
		require.Empty(t, sight.Waiting)
		require.Empty(t, sight.Latest)
		listed, err := b.queues.List(t.Context(), attune.Page{})
		require.NoError(t, err)
		require.Empty(t, listed, "only what was used is listed")
		concerned, err := b.queues.ApplyPolicies(t.Context())
		require.NoError(t, err)
		require.Empty(t, concerned, "a queue that has accepted nothing is told nothing")
	}
	requireUnused()

	// An enforcement that is recorded and not accepted yet has chosen the queue, and has not used it.
	ids := b.created(t, deploy, 1)
	require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM queues`))
	want.ID = attune.QueueID(b.count(t, `SELECT id FROM queues`))
	want.LastUpdated = b.stats(t).LastUpdated
	requireUnused()

	b.admit(t, ids...)
	require.EqualValues(t, 1, b.stats(t).QueueLength)
	require.EqualValues(t, 1, b.sight(t, 10).Policy.Revision)
	require.Equal(t, 4, b.stats(t).MaxConcurrent)
}

func TestQueues_Unknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, key := range []attune.QueueKey{"demo.unknown", "demo", "nobody.knows", ""} {
		_, err := b.queues.Stats(t.Context(), key)
		requireCode(t, attune.CodeNotFound, err, fmt.Sprintf("%q", key))
		_, _, err = b.queues.Sight(t.Context(), key, 10)
		requireCode(t, attune.CodeNotFound, err, fmt.Sprintf("%q", key))
	}
}

func TestQueues_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Empty(t, none)

	b.admitOther(t)
	b.admit(t, b.created(t, deploy, 1)...)
	all, err := b.queues.List(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, queueKey, all[0].Queue, "the queue that was made last comes first, although its action is older")
	require.Greater(t, all[0].ID, all[1].ID)
	require.Less(t, all[0].ActionID, all[1].ActionID)
	next, err := b.queues.List(t.Context(), attune.Page{Before: int64(all[0].ID), Limit: 5})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(all[1:], next))
	require.WithinDuration(t, time.Now(), *all[0].OldestEnqueuedAt, time.Minute)
}

// TestQueues_AreNotActions has an action's enforcement wait in the queue of another one: everything about its turn goes by
// the queue that was chosen when the event was recorded.
func TestQueues_AreNotActions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := attune.QueueKey(notify)
	pack := demoPack()
	pack.Digest, pack.Actions[0].Policy = "demo-2", &attune.Policy{Limit: new(3)}
	pack.Actions[1].Policy = &attune.Policy{Limit: new(7)}
	b.install(t, pack)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)

	// That notify's queue is made for deploy's enforcement must not make it deploy's.
	decision := decisionTo(action)
	decision.Queue = other
	recorded := b.decide(t, decision)
	require.Equal(t, other, recorded.Queue)
	require.Zero(t, recorded.Sequence)
	admissions, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{recorded.ID})
	require.NoError(t, err)
	require.Len(t, admissions, 1)
	require.Equal(t, other, admissions[0].Queue)
	require.Equal(t, 7, admissions[0].Policy.Limit)
	ticket := admissions[0].Tickets[0]

	_, err = b.executions.Request(t.Context(), queueKey, grant(ticket))
	requireCode(t, attune.CodeConflict, err, other)
	request, err := b.executions.Request(t.Context(), other, grant(ticket))
	require.NoError(t, err)
	require.Equal(t, deploy, request.Message.Action)
	completion := b.finish(t, reportOf(*request.Message))[0]
	require.Equal(t, other, completion.Queue)
	execution := b.execution(t, request.Message.Execution)
	require.Equal(t, []any{deploy, other}, []any{execution.Action, execution.Queue})

	stats, err := b.queues.Stats(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, notify, stats.Action, "the owner")
	require.EqualValues(t, 1, stats.TotalCompleted)
	require.Zero(t, b.stats(t).TotalEnqueued)
	inQueue, err := b.enforcements.List(t.Context(), attune.EnforcementFilter{Queue: other, Action: deploy}, attune.Page{})
	require.NoError(t, err)
	require.Len(t, inQueue, 1)
	ran, err := b.executions.List(t.Context(), attune.ExecutionFilter{Queue: other, Action: deploy}, attune.Page{})
	require.NoError(t, err)
	require.Len(t, ran, 1)
}

// TestQueues_Lanes follows the lane of an enforcement to everything that names its ticket.
func TestQueues_Lanes(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	ids := b.created(t, deploy, 2)
	b.exec(t, `UPDATE enforcements SET lane = id`)
	lanes := []int32{int32(ids[0]), int32(ids[1])}
	require.Equal(t, lanes[0], b.enforcement(t, ids[0]).Lane)

	tickets := b.admit(t, ids...)
	require.Equal(t, lanes[0], tickets[0].Lane)
	require.Equal(t, lanes[1], tickets[1].Lane)
	inRange, err := b.queues.Tickets(t.Context(), queueKey, 1, 2)
	require.NoError(t, err)
	require.Equal(t, tickets, inRange)
	message := b.run(t, grant(tickets[0]))
	require.Equal(t, lanes[0], b.grants(t, attune.Page{})[0].Lane)
	snapshot := b.rebuild(t)
	require.Equal(t, lanes[0], snapshot.Holders[0].Lane)
	require.Equal(t, lanes[1], snapshot.Waiting[0].Lane)
	ended, waiting, err := b.enforcements.Ended(t.Context(), queueKey, []attune.Grant{grant(tickets[1])})
	require.NoError(t, err)
	require.Empty(t, ended)
	require.Equal(t, lanes[1], waiting[0].Lane)

	requeued := b.fail(t, message)
	require.Equal(t, attune.CompletionRequeued, requeued.Effect)
	require.Equal(t, lanes[0], requeued.Ticket.Lane, "at the back it is in its lane still")
}
