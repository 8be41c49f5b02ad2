package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func TestQueues_Starts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	delays := rateOf("slow", 2, time.Hour)
	delays.Method = attune.RateDelay
	b.say(t, policy.ScopeAction, string(deploy), attune.Policy{Rate: []attune.Rate{delays}, MaxAttempts: new(3), RetryDelay: new(attune.Duration(0))})
	at := time.Now().UTC().Truncate(time.Millisecond)
	started := func(ticket attune.Ticket, after time.Duration) attune.ExecutionRequest {
		g := grant(ticket)
		g.StartedAt = at.Add(after)
		request, err := b.executions.Request(t.Context(), queueKey, g)
		require.NoError(t, err)
		return request
	}
	tickets := b.tickets(t, b.created(t, deploy, 4)...)
	for range 2 {
		require.NotNil(t, started(tickets[0], 0).Message, "a repeated request records the start once")
	}
	second := *started(tickets[1], time.Second).Message
	b.request(t, tickets[2]) // the queue had no rate at this decision

	failed := reportOf(second)
	failed.Status, failed.Reason = attune.ExecutionFailed, attune.ReasonExitCode
	retrying := b.finish(t, failed)[0]
	require.Equal(t, attune.CompletionRetrying, retrying.Effect)
	retried := grant(retrying.Ticket)
	retried.Number, retried.StartedAt = 2, at.Add(2*time.Second)
	request, err := b.executions.Request(t.Context(), queueKey, retried)
	require.NoError(t, err)
	require.NotNil(t, request.Message)

	starts, err := b.queues.Starts(t.Context(), queueKey, attune.Page{})
	require.NoError(t, err)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Start{
		{ID: starts[0].ID, Number: 2, Attempt: 2, Action: action.ID, At: at.Add(2 * time.Second)},
		{ID: starts[1].ID, Number: 2, Attempt: 1, Action: action.ID, At: at.Add(time.Second)},
		{ID: starts[2].ID, Number: 1, Attempt: 1, Action: action.ID, At: at},
	}, starts))

	ms := at.UnixMilli()
	require.Equal(t, []attune.ActionStarts{{Action: action.ID, At: []int64{ms + 1000, ms + 2000}}}, b.rebuild(t).Starts, "as many as the rate counts")

	b.say(t, policy.ScopeQueue, string(deploy), rated(func() attune.Rate {
		r := delays
		r.Limit = 1000
		return r
	}()))
	snapshot := b.rebuild(t)
	require.Equal(t, []attune.ActionStarts{{Action: action.ID, At: []int64{ms, ms + 1000, ms + 2000}}}, snapshot.Starts, "each once")
	require.Len(t, snapshot.Policy.Rates, 1)

	b.say(t, policy.ScopeQueue, string(deploy), attune.Policy{})
	b.say(t, policy.ScopeAction, string(deploy), attune.Policy{})
	require.Empty(t, b.rebuild(t).Starts)
}

func TestQueues_ActionState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	hour, minute := attune.Duration(time.Hour), attune.Duration(time.Minute)
	state := func(id attune.ActionID) attune.ActionState {
		found, err := b.queues.ActionState(t.Context(), queueKey, id,
			[]attune.StartRate{{Name: "two", Limit: 2, Window: hour}, {Name: "three", Limit: 3, Window: hour}},
			[]attune.StartRate{{Name: "one", Limit: 1, Window: hour}, {Name: "short", Limit: 1, Window: minute}})
		require.NoError(t, err)
		return found
	}
	none := []attune.StartProbe{{}, {}}
	require.Equal(t, attune.ActionState{OfQueue: none, OfAction: none}, state(action.ID), "the queue was never used")

	tickets := b.tickets(t, b.created(t, deploy, 2)...)
	at := time.Now().UTC().Truncate(time.Millisecond).Add(-2 * time.Minute)
	for i, ticket := range tickets {
		g := grant(ticket)
		g.StartedAt = at.Add(time.Duration(i) * time.Second)
		_, err := b.executions.Request(t.Context(), queueKey, g)
		require.NoError(t, err)
	}
	opens := func(after time.Duration) *time.Time { return new(at.Add(time.Hour + after)) }
	want := attune.ActionState{
		Active:   2,
		OfQueue:  []attune.StartProbe{{Count: 2, OpensAt: opens(0)}, {Count: 2}},
		OfAction: []attune.StartProbe{{Count: 2, OpensAt: opens(time.Second)}, {}},
	}
	utc := cmp.Transformer("utc", func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) })
	require.Empty(t, cmp.Diff(want, state(action.ID), utc))
	require.Empty(t, cmp.Diff(attune.ActionState{OfQueue: want.OfQueue, OfAction: none}, state(action.ID+1), utc), "of another action")
}
