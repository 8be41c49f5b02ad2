package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func (b *bundle) detail(t *testing.T, first int) attune.QueueDetail {
	t.Helper()
	detail, _, err := b.queues.Detail(t.Context(), queueKey, first)
	require.NoError(t, err)
	return detail
}

// said returns the policy that the documents resolve to now.
func (b *bundle) said(t *testing.T) policy.Effective {
	t.Helper()
	_, said, err := b.queues.Detail(t.Context(), queueKey, 0)
	require.NoError(t, err)
	return said
}

func TestQueues_Detail(t *testing.T) {
	t.Parallel()

	t.Run("holders and waiting enforcements are listed in order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 6)...)
		messages := []attune.ExecutionRequestedMessage{b.request(t, tickets[0]), b.request(t, tickets[1]), b.request(t, tickets[2])}
		b.finish(t, reportOf(messages[0]))
		require.True(t, b.claim(t, messages[1], "worker-1").Granted)
		_, err := b.executions.Cancel(t.Context(), messages[1].Execution, ada)
		require.NoError(t, err)

		detail := b.detail(t, 2)
		require.Equal(t, b.stats(t), detail.Stats)
		require.WithinDuration(t, time.Now(), detail.At, time.Minute)
		running, requested := b.execution(t, messages[1].Execution), b.execution(t, messages[2].Execution)
		require.NotNil(t, running.LeaseUntil)
		require.NotNil(t, detail.Holders[0].CancelRequested)
		detail.Holders[0].CancelRequested = nil
		grants := b.grants(t, attune.Page{})
		require.Empty(t, cmp.Diff([]attune.SlotHolder{
			{
				Enforcement: tickets[1].Enforcement, Action: deploy, Sequence: 2, GrantNumber: 2, GrantedAt: grants[1].GrantedAt,
				HeldSince: grants[1].RequestedAt, Execution: running.ID, Attempt: 1, Status: attune.ExecutionRunning,
				Worker: "worker-1", Pool: "default", RequestedAt: &running.RequestedAt, StartedAt: running.StartedAt,
				LeaseUntil: running.LeaseUntil, Timeout: attune.Duration(time.Minute),
			},
			{
				Enforcement: tickets[2].Enforcement, Action: deploy, Sequence: 3, GrantNumber: 3, GrantedAt: grants[0].GrantedAt,
				HeldSince: grants[0].RequestedAt, Execution: requested.ID, Attempt: 1, Status: attune.ExecutionRequested,
				Pool: "default", RequestedAt: &requested.RequestedAt, Timeout: attune.Duration(time.Minute),
			},
		}, detail.Holders))
		require.Empty(t, cmp.Diff([]attune.Waiter{
			{Enforcement: tickets[3].Enforcement, Action: deploy, Sequence: 4, QueuedAt: tickets[3].EnqueuedAt, Attempt: 1},
			{Enforcement: tickets[4].Enforcement, Action: deploy, Sequence: 5, QueuedAt: tickets[4].EnqueuedAt, Attempt: 1},
		}, detail.Waiting))
		require.Len(t, detail.Latest, len(grants))
		for i, latest := range detail.Latest {
			require.Equal(t, grants[i].Number, latest.Number)
			require.Equal(t, grants[i].GrantedAt, latest.GrantedAt)
			require.Equal(t, grants[i].ReleasedAt, latest.ReleasedAt)
		}
		require.Empty(t, b.detail(t, 0).Waiting)

		b.exec(t, `DELETE FROM executions WHERE id = $1`, messages[2].Execution)
		require.Zero(t, b.detail(t, 0).Holders[1].Execution, "a slot that leaks is shown too")
	})

	t.Run("the limit and its origin are returned", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, attune.Policy{Limit: new(7)})
		b.admit(t, b.created(t, deploy, 1)...)
		detail := b.detail(t, 0)
		require.Equal(t, 7, detail.Stats.MaxConcurrent)
		require.Equal(t, 7, detail.Policy.Limit)
		require.EqualValues(t, 1, detail.Policy.Revision)
		require.Nil(t, detail.Override)
		require.Equal(t, policy.Source{Scope: policy.ScopeGlobal, Origin: policy.OriginPerson, Revision: 1}, b.said(t).From["limit"])
		require.Equal(t, policy.Source{Scope: policy.ScopeDefault}, b.said(t).From["overflow"])

		// A policy that the queue has not received yet is not in force.
		b.sayGlobally(t, attune.Policy{Limit: new(8)})
		detail = b.detail(t, 0)
		require.Equal(t, 7, detail.Stats.MaxConcurrent)
		require.Equal(t, 8, b.said(t).Policy.Limit)

		until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		b.control(t, attune.QueueOpen, &attune.LimitOverride{Limit: 2, Until: until},
			attune.QueueChange{Number: 1, At: until, Author: authorNamed("ada", ""), Kind: attune.ChangeLimit, From: "7", To: "2"})
		detail = b.detail(t, 0)
		require.Equal(t, 2, detail.Stats.MaxConcurrent)
		require.Equal(t, &attune.LimitOverride{Limit: 2, Until: until}, detail.Override)
		require.Equal(t, 8, detail.Policy.Limit, "changed by hand, it is told the policy too")

		b.exec(t, `UPDATE queues SET override_until = clock_timestamp()`)
		detail = b.detail(t, 0)
		require.Nil(t, detail.Override)
		require.Equal(t, 8, detail.Stats.MaxConcurrent)
	})

	t.Run("releases are counted and hold times computed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 6)
		empty := b.detail(t, 0).Released
		require.Equal(t, attune.Releases{}, empty)
		for _, message := range messages[:5] {
			b.finish(t, reportOf(message))
		}
		// Held for 1, 2, 3, 4 and 5 s; given back now, now, 2 min, 30 min and 2 h ago.
		for number, ago := range map[int]string{1: "0", 2: "0", 3: "2 minutes", 4: "30 minutes", 5: "2 hours"} {
			b.exec(t, `UPDATE grants g SET released_at = n.at, requested_at = n.at - number * interval '1 second',
				queued_at = n.at - number * interval '1 second'
				FROM (SELECT clock_timestamp() - $2::text::interval AS at) n WHERE number = $1`, number, ago)
		}
		got := b.detail(t, 0).Released
		require.EqualValues(t, 2, got.LastMinute)
		require.EqualValues(t, 3, got.LastFiveMinutes)
		require.EqualValues(t, 4, got.LastHour)
		require.EqualValues(t, 5, got.Sample)
		require.InDelta(t, 3, got.P50.Seconds(), 0.1)
		require.InDelta(t, 4.8, got.P95.Seconds(), 0.1)
		require.WithinDuration(t, time.Now().Add(-2*time.Hour), *got.Since, time.Minute)
	})
}

func TestQueues_DetailOfRetries(t *testing.T) {
	t.Parallel()

	t.Run("a retry in place is listed with the holders", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, message := b.runFirst(t)
		b.fail(t, message)
		detail := b.detail(t, 10)
		requireRetries(t, detail.Policy, attune.RetryHold)
		require.Equal(t, policy.Source{Scope: policy.ScopePack, Ref: "demo", Origin: policy.OriginPack, Revision: 1}, b.said(t).From["max_attempts"])
		require.Len(t, detail.Holders, 1)
		require.Equal(t, attune.ExecutionRetrying, detail.Holders[0].Status)
		require.Equal(t, attune.ExecutionFailed, detail.Holders[0].AttemptStatus)
		require.Equal(t, b.execution(t, message.Execution).RetryAt, detail.Holders[0].RetryAt)
		require.Zero(t, detail.Released.Sample, "the slot was not given back")
	})

	t.Run("a parked enforcement is counted", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		b.parked(t)
		detail := b.detail(t, 10)
		require.EqualValues(t, 1, detail.Parked)
		require.Empty(t, detail.Holders)
		require.Empty(t, detail.Waiting)
		require.NoError(t, addsUp(detail.Stats))
	})

	t.Run("a retry at the back is listed with the waiting enforcements", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryBack)
		ticket, message := b.runFirst(t)
		b.fail(t, message)
		detail := b.detail(t, 10)
		require.Empty(t, detail.Holders)
		require.Len(t, detail.Waiting, 1)
		require.Equal(t, ticket.Enforcement, detail.Waiting[0].Enforcement)
		require.EqualValues(t, 2, detail.Waiting[0].Sequence)
		require.Equal(t, 2, detail.Waiting[0].Attempt)
		require.EqualValues(t, 1, detail.Released.Sample)
		require.NoError(t, addsUp(detail.Stats))
	})
}

// TestQueues_DetailIsOneInstant changes a queue while its details are read: lists and counts agree.
func TestQueues_DetailIsOneInstant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 40
	tickets := b.admit(t, b.created(t, deploy, n)...)
	done, looked := make(chan error, 1), make(chan struct{})
	go func() {
		var err error
		for i, ticket := range tickets {
			if i == n/2 {
				select {
				case <-looked: // at least one read comes in between
				case <-t.Context().Done():
				}
			}
			var request attune.ExecutionRequest
			if request, err = b.executions.Request(context.WithoutCancel(t.Context()), queueKey, grant(ticket)); err != nil {
				break
			}
			reports := []attune.ExecutionCompletedMessage{reportOf(*request.Message)}
			if _, err = b.executions.Finish(context.WithoutCancel(t.Context()), reports); err != nil {
				break
			}
		}
		done <- err
	}()
	for looks := 0; ; looks++ {
		detail := b.detail(t, n)
		require.NoError(t, addsUp(detail.Stats))
		require.Len(t, detail.Waiting, int(detail.Stats.QueueLength))
		require.Len(t, detail.Holders, int(detail.Stats.ActiveCount))
		require.Equal(t, detail.Stats.TotalCompleted, detail.Released.Sample)
		if looks == 0 {
			close(looked)
		}
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		default:
		}
	}
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
