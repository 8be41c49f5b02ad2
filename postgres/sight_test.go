package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

func (b *bundle) sight(t *testing.T, first int) attune.QueueSight {
	t.Helper()
	sight, _, err := b.queues.Sight(t.Context(), queueKey, first)
	require.NoError(t, err)
	return sight
}

// said is what the scopes say about the queue now.
func (b *bundle) said(t *testing.T) policy.Effective {
	t.Helper()
	_, said, err := b.queues.Sight(t.Context(), queueKey, 0)
	require.NoError(t, err)
	return said
}

func TestQueues_Sight(t *testing.T) {
	t.Parallel()

	t.Run("HoldersAndWaiting", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 6)...)
		messages := []attune.ExecutionRequestedMessage{b.request(t, tickets[0]), b.request(t, tickets[1]), b.request(t, tickets[2])}
		b.finish(t, reportOf(messages[0]))
		require.True(t, b.claim(t, messages[1], "worker-1").Granted)
		_, err := b.executions.Cancel(t.Context(), messages[1].Execution, ada)
		require.NoError(t, err)

		sight := b.sight(t, 2)
		require.Equal(t, b.stats(t), sight.Stats)
		require.WithinDuration(t, time.Now(), sight.At, time.Minute)
		running, requested := b.execution(t, messages[1].Execution), b.execution(t, messages[2].Execution)
		require.NotNil(t, running.LeaseUntil)
		require.NotNil(t, sight.Holders[0].CancelRequested)
		sight.Holders[0].CancelRequested = nil
		grants := b.grants(t, attune.Page{})
		require.Empty(t, cmp.Diff([]attune.SlotHolder{
			{
				Enforcement: tickets[1].Enforcement, Sequence: 2, GrantNumber: 2, GrantedAt: grants[1].GrantedAt,
				HeldSince: grants[1].RequestedAt, Execution: running.ID, Attempt: 1, Status: attune.ExecutionRunning,
				Worker: "worker-1", Pool: "default", RequestedAt: &running.RequestedAt, StartedAt: running.StartedAt,
				LeaseUntil: running.LeaseUntil, Timeout: attune.Duration(time.Minute),
			},
			{
				Enforcement: tickets[2].Enforcement, Sequence: 3, GrantNumber: 3, GrantedAt: grants[0].GrantedAt,
				HeldSince: grants[0].RequestedAt, Execution: requested.ID, Attempt: 1, Status: attune.ExecutionRequested,
				Pool: "default", RequestedAt: &requested.RequestedAt, Timeout: attune.Duration(time.Minute),
			},
		}, sight.Holders))
		require.Empty(t, cmp.Diff([]attune.PlaceInLine{
			{Enforcement: tickets[3].Enforcement, Sequence: 4, QueuedAt: tickets[3].EnqueuedAt, Attempt: 1},
			{Enforcement: tickets[4].Enforcement, Sequence: 5, QueuedAt: tickets[4].EnqueuedAt, Attempt: 1},
		}, sight.Waiting))
		require.Empty(t, cmp.Diff(grants, sight.Latest))
		require.Empty(t, b.sight(t, 0).Waiting)

		b.exec(t, `DELETE FROM executions WHERE id = $1`, messages[2].Execution)
		require.Zero(t, b.sight(t, 0).Holders[1].Execution, "a slot that leaks is shown too")
	})

	t.Run("LimitAndWhereItComesFrom", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, attune.Policy{Limit: new(7)})
		b.admit(t, b.created(t, deploy, 1)...)
		sight := b.sight(t, 0)
		require.Equal(t, 7, sight.Stats.MaxConcurrent)
		require.Equal(t, 7, sight.Policy.Limit)
		require.EqualValues(t, 1, sight.Policy.Revision)
		require.Nil(t, sight.Override)
		require.Equal(t, policy.Source{Scope: policy.ScopeGlobal, Origin: policy.OriginPerson}, b.said(t).From["limit"])
		require.Equal(t, policy.Source{Scope: policy.ScopeDefault}, b.said(t).From["overflow"])

		// What the queue was not told yet does not count.
		b.sayGlobally(t, attune.Policy{Limit: new(8)})
		sight = b.sight(t, 0)
		require.Equal(t, 7, sight.Stats.MaxConcurrent)
		require.Equal(t, 8, b.said(t).Policy.Limit)

		until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		b.control(t, attune.QueueOpen, &attune.LimitOverride{Limit: 2, Until: until},
			attune.QueueChange{Number: 1, At: until, Author: authorNamed("ada", ""), Kind: attune.ChangeLimit, From: "7", To: "2"})
		sight = b.sight(t, 0)
		require.Equal(t, 2, sight.Stats.MaxConcurrent)
		require.Equal(t, &attune.LimitOverride{Limit: 2, Until: until}, sight.Override)
		require.Equal(t, 8, sight.Policy.Limit, "changed by hand, it is told the policy too")

		b.exec(t, `UPDATE queues SET override_until = clock_timestamp()`)
		sight = b.sight(t, 0)
		require.Nil(t, sight.Override)
		require.Equal(t, 8, sight.Stats.MaxConcurrent)
	})

	t.Run("Released", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 6)
		empty := b.sight(t, 0).Released
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
		got := b.sight(t, 0).Released
		require.EqualValues(t, 2, got.LastMinute)
		require.EqualValues(t, 3, got.LastFiveMinutes)
		require.EqualValues(t, 4, got.LastHour)
		require.EqualValues(t, 5, got.Sample)
		require.InDelta(t, 3, got.P50.Seconds(), 0.1)
		require.InDelta(t, 4.8, got.P95.Seconds(), 0.1)
		require.WithinDuration(t, time.Now().Add(-2*time.Hour), *got.Since, time.Minute)
	})
}

func TestQueues_SightOfRetries(t *testing.T) {
	t.Parallel()

	t.Run("Hold", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, message := b.runFirst(t)
		b.fail(t, message)
		sight := b.sight(t, 10)
		requireRetries(t, sight.Policy, attune.RetryHold)
		require.Equal(t, policy.Source{Scope: policy.ScopePack, Ref: "demo", Origin: policy.OriginPack}, b.said(t).From["max_attempts"])
		require.Len(t, sight.Holders, 1)
		require.Equal(t, attune.ExecutionRetrying, sight.Holders[0].Status)
		require.Equal(t, attune.ExecutionFailed, sight.Holders[0].AttemptStatus)
		require.Equal(t, b.execution(t, message.Execution).RetryAt, sight.Holders[0].RetryAt)
		require.Zero(t, sight.Released.Sample, "the slot was not given back")
	})

	t.Run("Park", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		b.parked(t)
		sight := b.sight(t, 10)
		require.EqualValues(t, 1, sight.Parked)
		require.Empty(t, sight.Holders)
		require.Empty(t, sight.Waiting)
		require.NoError(t, addsUp(sight.Stats))
	})

	t.Run("Back", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryBack)
		ticket, message := b.runFirst(t)
		b.fail(t, message)
		sight := b.sight(t, 10)
		require.Empty(t, sight.Holders)
		require.Len(t, sight.Waiting, 1)
		require.Equal(t, ticket.Enforcement, sight.Waiting[0].Enforcement)
		require.EqualValues(t, 2, sight.Waiting[0].Sequence)
		require.Equal(t, 2, sight.Waiting[0].Attempt)
		require.EqualValues(t, 1, sight.Released.Sample)
		require.NoError(t, addsUp(sight.Stats))
	})
}

// TestQueues_SightIsOneInstant changes a queue while it is looked at: what is listed is what is counted.
func TestQueues_SightIsOneInstant(t *testing.T) {
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
				case <-looked: // at least one look comes in between
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
		sight := b.sight(t, n)
		require.NoError(t, addsUp(sight.Stats))
		require.Len(t, sight.Waiting, int(sight.Stats.QueueLength))
		require.Len(t, sight.Holders, int(sight.Stats.ActiveCount))
		require.Equal(t, sight.Stats.TotalCompleted, sight.Released.Sample)
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

// watcher keeps what one watch was told.
type watcher struct {
	mu       sync.Mutex
	readings []*postgres.Reading
	stop     context.CancelFunc
	ended    chan struct{}
}

func (b *bundle) watch(t *testing.T) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &watcher{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		b.queues.Watch(ctx, 10*time.Millisecond, time.Hour, func(r *postgres.Reading) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.readings = append(w.readings, r)
		})
	}()
	t.Cleanup(func() { cancel(); <-w.ended })
	return w
}

// last is the latest thing that the watch was told.
func (w *watcher) last() *postgres.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.readings) == 0 {
		return nil
	}
	return w.readings[len(w.readings)-1]
}

func TestQueues_Watch(t *testing.T) {
	t.Parallel()
	const patience, tick = 2 * time.Minute, 5 * time.Millisecond
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Limit: new(3)})
	tickets := b.admit(t, b.created(t, deploy, 4)...)
	b.request(t, tickets[0])
	first := b.watch(t)
	require.Eventually(t, func() bool { return first.last() != nil }, patience, tick)
	seen := first.last()
	require.Zero(t, seen.Leaked)
	require.Len(t, seen.Queues, 1)
	seen.Queues[0].OldestWait = 0
	require.Equal(t, []attune.QueueGauge{{Queue: queueKey, Limit: 3, Active: 1, Waiting: 3}}, seen.Queues)

	// One at a time: the second comes in when the first has gone, and both planted faults are seen.
	second := b.watch(t)
	b.exec(t, shifted(`- interval '1 day'`))
	b.exec(t, `DELETE FROM executions`)
	require.Eventually(t, func() bool {
		r := first.last()
		return r != nil && r.Leaked == 1 && r.Queues[0].Stalled && r.Queues[0].OldestWait > 23*time.Hour
	}, patience, tick)
	require.Nil(t, second.last())
	first.stop()
	require.Eventually(t, func() bool { return second.last() != nil }, patience, tick)
	<-first.ended
	require.Nil(t, first.last(), "what was told last is not true for ever")

	// A lost connection is a lost place: it is won again.
	b.exec(t, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted`)
	require.Eventually(t, func() bool {
		second.mu.Lock()
		defer second.mu.Unlock()
		lost := false
		for i, r := range second.readings {
			if lost && r != nil {
				return true
			}
			lost = lost || r == nil && i > 0 && second.readings[i-1] != nil
		}
		return false
	}, patience, tick)
}
