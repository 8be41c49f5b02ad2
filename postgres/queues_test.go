package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// admitOther adds enforcements to another queue, which must not appear in the first one.
func (b *bundle) admitOther(t *testing.T) {
	t.Helper()
	admissions, err := b.enforcements.Admit(t.Context(), b.created(t, notify, 2))
	require.NoError(t, err)
	require.Len(t, admissions[0].Tickets, 2)
}

// An unused queue can be read before its first use.
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
		detail := b.detail(t, 10)
		require.Empty(t, cmp.Diff(want, detail.Stats))
		require.Equal(t, b.ownQueue(t, 0, b.said(t).Policy), detail.Policy, "what the scopes say is what the queue will be told")
		require.Zero(t, detail.Policy.Revision)
		require.Equal(t, 4, detail.Policy.Limit)
		require.Equal(t, "action demo.deploy", b.said(t).From["max_attempts"].String())
		require.Empty(t, detail.Holders)
		require.Empty(t, detail.Waiting)
		require.Empty(t, detail.Latest)
		listed, err := b.queues.List(t.Context(), attune.Page{})
		require.NoError(t, err)
		require.Empty(t, listed, "only what was used is listed")
		concerned, err := b.queues.ApplyPolicies(t.Context())
		require.NoError(t, err)
		require.Empty(t, concerned, "a queue that has accepted nothing is told nothing")
	}
	requireUnused()

	// A recorded enforcement that is not accepted yet does not make the queue used.
	ids := b.created(t, deploy, 1)
	require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM queues`))
	want.ID = attune.QueueID(b.count(t, `SELECT id FROM queues`))
	want.LastUpdated = b.stats(t).LastUpdated
	requireUnused()

	b.admit(t, ids...)
	require.EqualValues(t, 1, b.stats(t).QueueLength)
	require.EqualValues(t, 1, b.detail(t, 10).Policy.Revision)
	require.Equal(t, 4, b.stats(t).MaxConcurrent)
}

func TestQueues_Unknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, key := range []attune.QueueKey{"demo.unknown", "demo", "nobody.knows", ""} {
		_, err := b.queues.Stats(t.Context(), key)
		requireCode(t, attune.CodeNotFound, err, fmt.Sprintf("%q", key))
		_, _, err = b.queues.Detail(t.Context(), key, 10)
		requireCode(t, attune.CodeNotFound, err, fmt.Sprintf("%q", key))
	}
}

// TestQueues_AreNotActions lets an enforcement of one action wait in the queue of another action: its turn depends on the
// queue that was chosen when the event was recorded.
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

	// The queue of notify belongs to notify, although an enforcement of deploy is the first in it.
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
