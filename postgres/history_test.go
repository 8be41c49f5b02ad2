package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/replay"
)

func TestQueues_HistoryHasRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", 2, time.Hour)))
	ids := b.gated(t, deploy, 3)
	require.Len(t, b.tickets(t, ids...), 2)
	refused := b.enforcement(t, ids[2])
	history := func(from, to time.Time, most int) (replay.History, error) {
		return b.queues.History(t.Context(), queueKey, from, to, most)
	}
	from, to := refused.CreatedAt.Add(-time.Hour), refused.CreatedAt.Add(time.Hour)
	h, err := history(from, to, 3)
	require.NoError(t, err)
	require.Len(t, h.Places, 2)
	require.Len(t, h.Refused, 1)
	got := h.Refused[0]
	require.Equal(t, ids[2], got.Enforcement)
	require.True(t, refused.CreatedAt.Equal(got.EnqueuedAt))
	require.Equal(t, attune.ReasonRateLimited, got.Reason)
	require.Equal(t, attune.EnforcementRejected, got.Status)
	require.Zero(t, got.Sequence)

	h, err = history(from, refused.CreatedAt, 3)
	require.NoError(t, err)
	require.Empty(t, h.Refused, "it arrived at the end of the period")
	_, err = history(from, to, 2)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "refused arrivals count")
}

func TestQueues_RecordedRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := append(b.inLanes(t, deploy, "=a", "=b"), b.gated(t, deploy, 1)...)
	require.Len(t, b.tickets(t, ids...), 3)
	found := map[attune.EnforcementID]attune.RecordedRun{}
	require.NoError(t, b.queues.RecordedRuns(t.Context(), append(ids, 999_999), func(run attune.RecordedRun) error {
		found[run.Enforcement] = run
		return nil
	}))
	require.Len(t, found, 3)
	second := found[ids[1]]
	require.EqualValues(t, 2, second.Lane)
	require.Equal(t, attune.LaneOf("b"), second.LaneName)
	require.JSONEq(t, `{"n": 1}`, string(second.Parameters))
	require.Equal(t, attune.ManualTrigger, second.Event.Trigger)
	require.Equal(t, attune.SourceManual, second.Event.Source)
	require.Empty(t, second.Event.Payload, "the parameters of a direct run are not read twice")
	require.False(t, second.Event.ReceivedAt.IsZero())
	require.Zero(t, found[ids[2]].Lane)

	stop := attune.Errorf(attune.CodeTooLarge, "enough")
	err := b.queues.RecordedRuns(t.Context(), ids, func(attune.RecordedRun) error { return stop })
	require.ErrorIs(t, err, stop)
	require.Equal(t, attune.CodeTooLarge, attune.CodeOf(err))
}

func TestQueues_Accepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", 4, time.Hour)))
	ids := b.gated(t, deploy, 5)
	tickets := b.tickets(t, ids...)
	require.Len(t, tickets, 4, "the last one is refused, and has used nothing")
	b.settle(t, tickets[1], attune.EnforcementRejected, attune.ReasonQueueFull)
	now := time.Now().Add(time.Minute)
	accepted, all, err := b.queues.Accepted(t.Context(), queueKey, now.Add(-time.Hour), now, 4)
	require.NoError(t, err)
	require.True(t, all)
	require.Len(t, accepted, 4)
	for i, one := range accepted {
		require.Equal(t, ids[i], one.Enforcement)
		require.Equal(t, i == 1, one.Unused, "only the second one ended without a run")
	}
	accepted, all, err = b.queues.Accepted(t.Context(), queueKey, now.Add(-time.Hour), now, 3)
	require.NoError(t, err)
	require.False(t, all)
	require.Len(t, accepted, 3)
	require.Equal(t, ids[1], accepted[0].Enforcement, "the latest ones")

	later := b.enforcement(t, ids[2]).CreatedAt
	accepted, _, err = b.queues.Accepted(t.Context(), queueKey, later, now, 4)
	require.NoError(t, err)
	require.Len(t, accepted, 2)
	accepted, _, err = b.queues.Accepted(t.Context(), queueKey, later.Add(-time.Hour), later, 4)
	require.NoError(t, err)
	require.Len(t, accepted, 2)
	require.Equal(t, []bool{false, false}, []bool{accepted[0].Unused, accepted[1].Unused}, "the second one ended after the time")
}

func TestQueues_Propose(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", 4, time.Hour)))
	require.Len(t, b.tickets(t, b.gated(t, deploy, 1)...), 1)
	document := policy.Level{
		Scope: policy.ScopeAction, Ref: string(deploy), Origin: policy.OriginPerson,
		Policy: attune.Policy{Key: new("parameters.n"), Rate: []attune.Rate{rateOf("own", 1, time.Minute)}},
	}
	proposal, err := b.queues.Propose(t.Context(), queueKey, []policy.Level{document})
	require.NoError(t, err)
	require.Len(t, proposal.Actions, 1)
	action := proposal.Actions[0]
	require.Equal(t, deploy, action.Ref)
	require.Nil(t, action.Current.Policy.Key)
	require.Equal(t, "parameters.n", *action.Proposed.Policy.Key)
	require.Equal(t, []string{"rate own of action demo.deploy", "rate all of global"}, gateNames(action.Proposed.Gates))
	require.Equal(t, []string{"rate all of global"}, gateNames(action.Current.Gates))
	require.Equal(t, action.Action, proposal.Resolved.Actions[0].Action)

	document.Ref = string(notify)
	_, err = b.queues.Propose(t.Context(), queueKey, []policy.Level{document})
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

func gateNames(gates policy.Gates) (names []string) {
	for _, gate := range gates {
		names = append(names, gate.ID().String())
	}
	return names
}
