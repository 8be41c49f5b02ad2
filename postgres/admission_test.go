package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

func TestEnforcements_Admit(t *testing.T) {
	t.Parallel()

	t.Run("enforcements get dense sequences in the order of the ids", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 6)
		order := []attune.EnforcementID{ids[2], ids[0], ids[1], ids[0]}
		tickets := b.admit(t, order...)
		require.Equal(t, []int64{1, 2, 3}, sequencesOf(tickets))
		for i, id := range order[:3] {
			require.Equal(t, id, tickets[i].Enforcement)
			enforcement := b.enforcement(t, id)
			require.Equal(t, attune.EnforcementQueued, enforcement.Status)
			require.Equal(t, queueKey, enforcement.Queue)
			require.EqualValues(t, i+1, enforcement.Sequence)
			require.Equal(t, tickets[i].EnqueuedAt, *enforcement.QueuedAt)
			require.Equal(t, tickets[i].EnqueuedAt.Truncate(time.Millisecond), tickets[i].EnqueuedAt)
		}
		later := b.admit(t, ids[5], ids[4], ids[3])
		require.Equal(t, []int64{4, 5, 6}, sequencesOf(later))
		require.Equal(t, ids[5], later[0].Enforcement)
		require.False(t, later[0].EnqueuedAt.Before(tickets[2].EnqueuedAt))
	})

	t.Run("a redelivery returns the same tickets", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 4)
		first, err := b.enforcements.Admit(t.Context(), ids[:3])
		require.NoError(t, err)
		again, err := b.enforcements.Admit(t.Context(), ids[:3])
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(first, again))

		mixed, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{ids[3], ids[1]})
		require.NoError(t, err)
		require.Equal(t, []int64{2, 4}, sequencesOf(mixed[0].Tickets))
	})

	t.Run("enforcements that do not wait are skipped", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		b.request(t, tickets[0])
		b.settle(t, tickets[1], attune.EnforcementCancelled, attune.ReasonCancelled)
		admissions, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{tickets[0].Enforcement, tickets[1].Enforcement, 4711})
		require.NoError(t, err)
		require.Empty(t, admissions)
		admissions, err = b.enforcements.Admit(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, admissions)
	})

	t.Run("an enforcement of a disabled action is rejected", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		gone, stays := b.created(t, deploy, 2), b.created(t, notify, 1)
		pack := demoPack()
		pack.Digest, pack.Rules, pack.Actions = "demo-2", nil, pack.Actions[1:]
		b.install(t, pack)

		admissions, err := b.enforcements.Admit(t.Context(), slices.Concat(gone, stays))
		require.NoError(t, err)
		require.Len(t, admissions, 1)
		require.Equal(t, attune.QueueKey(notify), admissions[0].Queue)
		for _, id := range gone {
			enforcement := b.enforcement(t, id)
			require.Equal(t, attune.EnforcementRejected, enforcement.Status)
			require.Equal(t, attune.ReasonActionDisabled, enforcement.Reason)
			require.Contains(t, enforcement.Detail, deploy)
			require.NotNil(t, enforcement.FinishedAt)
		}
		require.Zero(t, b.stats(t).TotalEnqueued, "its queue has accepted nothing")
		used, err := b.queues.List(t.Context(), attune.Page{})
		require.NoError(t, err)
		require.Len(t, used, 1)
		require.Equal(t, attune.QueueKey(notify), used[0].Queue)
	})

	t.Run("times of acceptance never go back", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.created(t, deploy, 2)
		b.admit(t, ids[0])
		_, err := b.conn(t).Exec(t.Context(), `UPDATE queues SET last_queued_at = now() + interval '1 hour'`)
		require.NoError(t, err)
		require.Greater(t, time.Until(b.admit(t, ids[1])[0].EnqueuedAt), 50*time.Minute)
	})
}

func TestEnforcements_AdmitPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.created(t, deploy, 4)
	admit := func(id attune.EnforcementID) attune.QueuePolicy {
		admissions, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{id})
		require.NoError(t, err)
		return admissions[0].Policy
	}
	want := policy.Defaults()
	require.Equal(t, b.ownQueue(t, 1, want), admit(ids[0]))
	require.Equal(t, b.ownQueue(t, 1, want), admit(ids[1]), "nothing changed")

	pack := demoPack()
	pack.Digest = "demo-2"
	pack.Policy = &attune.Policy{
		Limit: new(2), Overflow: new(attune.OverflowDropOldest), MaxAttempts: new(3), RetryPlacement: new(attune.RetryPark),
	}
	pack.Actions[0].Policy = &attune.Policy{
		Limit: new(5), QueueTimeout: new(attune.Duration(time.Minute)), RetryDelay: new(attune.Duration(0)),
	}
	b.install(t, pack)
	want.Limit, want.Overflow, want.QueueTimeout = 5, attune.OverflowDropOldest, attune.Duration(time.Minute)
	want.MaxAttempts, want.RetryDelay, want.RetryPlacement = 3, 0, attune.RetryPark
	require.Equal(t, b.ownQueue(t, 2, want), admit(ids[2]))

	// Without another arrival, ApplyPolicies returns the change. It can be repeated.
	pack.Digest, pack.Actions[0].Policy = "demo-3", nil
	b.install(t, pack)
	want.Limit, want.QueueTimeout, want.RetryDelay = 2, 0, policy.Defaults().RetryDelay
	for range 2 {
		concerned, err := b.queues.ApplyPolicies(t.Context())
		require.NoError(t, err)
		require.Empty(t, cmp.Diff([]attune.Admission{{Queue: queueKey, Policy: b.ownQueue(t, 3, want)}}, concerned))
	}
	require.Equal(t, b.ownQueue(t, 3, want), admit(ids[3]))

	// An idle queue gets a changed policy once.
	for _, id := range ids {
		b.settle(t, attune.Ticket{Enforcement: id, Sequence: b.enforcement(t, id).Sequence}, attune.EnforcementExpired, attune.ReasonQueueTimeout)
	}
	b.sayGlobally(t, attune.Policy{MaxQueued: new(9)})
	want.MaxQueued = 9
	concerned, err := b.queues.ApplyPolicies(t.Context())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Admission{{Queue: queueKey, Policy: b.ownQueue(t, 4, want)}}, concerned))
	concerned, err = b.queues.ApplyPolicies(t.Context())
	require.NoError(t, err)
	require.Empty(t, concerned)
}

func TestEnforcements_AdmitConcurrently(t *testing.T) {
	t.Parallel()

	// Two queues and overlapping batches in opposite orders: a wrong order of locks would deadlock.
	t.Run("overlapping batches of several queues do not deadlock", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		const each = 60
		ids := slices.Concat(b.created(t, deploy, each), b.created(t, notify, each))
		backwards := slices.Clone(ids)
		slices.Reverse(backwards)
		var batches [][]attune.EnforcementID
		for _, order := range [][]attune.EnforcementID{ids, backwards} {
			batches = append(batches, slices.Collect(slices.Chunk(order, 13))...)
			batches = append(batches, slices.Collect(slices.Chunk(order, 40))...)
		}
		errs := make([]error, len(batches))
		var wg sync.WaitGroup
		for i, batch := range batches {
			wg.Go(func() { _, errs[i] = b.enforcements.Admit(t.Context(), batch) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))

		for _, key := range []attune.QueueKey{queueKey, attune.QueueKey(notify)} {
			snapshot, err := b.queues.Rebuild(t.Context(), key)
			require.NoError(t, err)
			require.EqualValues(t, each, snapshot.LastSequence)
			require.Len(t, snapshot.Waiting, each)
			require.True(t, slices.IsSortedFunc(snapshot.Waiting, func(x, y attune.Ticket) int { return x.EnqueuedAt.Compare(y.EnqueuedAt) }))
			for i, ticket := range snapshot.Waiting {
				require.EqualValues(t, i+1, ticket.Sequence)
			}
		}
	})

	t.Run("concurrent first uses of many queues do not deadlock", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		actions := b.installWide(t, 80)
		batches := slices.Collect(slices.Chunk(b.bulk(t, 16, actions...), len(actions)))
		errs := make([]error, len(batches))
		var wg sync.WaitGroup
		for i, batch := range batches {
			if i%2 == 1 {
				slices.Reverse(batch)
			}
			wg.Go(func() { _, errs[i] = b.enforcements.Admit(t.Context(), batch) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.EqualValues(t, len(actions), b.count(t, `SELECT count(*) FROM queues WHERE last_sequence = 16 AND policy_revision = 1`))
	})
}

// TestEnforcements_AdmitWhileAnActionIsEnabled enables a disabled action again while its enforcement is being admitted: between
// the lock of the enforcements and the lock of the queues. The enforcement must be rejected or queued. If it stayed created, it
// would be lost, because its message is acknowledged.
func TestEnforcements_AdmitWhileAnActionIsEnabled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	disabled, enabled := b.created(t, deploy, 1)[0], b.created(t, notify, 1)[0]
	b.exec(t, `UPDATE actions SET enabled = false WHERE ref = $1`, deploy)

	blocker := b.conn(t)
	tx, err := blocker.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM queues WHERE key = $1 FOR UPDATE`, notify)
	require.NoError(t, err)
	admitted := make(chan error, 1)
	go func() {
		_, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{disabled, enabled})
		admitted <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(t, fmt.Sprintf(`SELECT count(*) FROM pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))`, blocker.PgConn().PID())) == 1
	}, time.Minute, 10*time.Millisecond)
	b.exec(t, `UPDATE actions SET enabled = true WHERE ref = $1`, deploy)
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-admitted)

	require.Equal(t, attune.EnforcementQueued, b.enforcement(t, enabled).Status)
	require.Equal(t, attune.EnforcementRejected, b.enforcement(t, disabled).Status, "the lock of the enforcements saw it disabled")
}

// counter counts the statements that are sent to the database.
type counter struct{ statements atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	c.statements.Add(1)
}

func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func TestEnforcements_AdmitIsSetBased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.bulk(t, 1000, deploy)
	slices.Reverse(ids)

	counted := new(counter)
	tracing := open(t, postgres.Config{URL: b.url, Tracer: counted})
	before := counted.statements.Load()
	tickets := tracing.admit(t, ids...)
	require.Len(t, tickets, 1000)
	require.Equal(t, ids[0], tickets[0].Enforcement)
	require.Equal(t, ids[999], tickets[999].Enforcement)
	// begin, lock enforcements, lock queues, read policies, four updates, read tickets, commit
	require.LessOrEqual(t, counted.statements.Load()-before, int64(10))
}
