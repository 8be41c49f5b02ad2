package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
)

const maxWait = time.Hour // longer than a test: a session that wakes earlier got a notification

// relay is a session that leads or waits to lead.
type relay struct {
	led   chan func(context.Context) error // receives wait when the session leads
	ended chan error                       // receives the result of Lead
	stop  context.CancelFunc
}

// lead starts a session that leads until it is stopped or loses its connection.
func lead(t *testing.T, outbox *postgres.Outbox) *relay {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &relay{led: make(chan func(context.Context) error, 1), ended: make(chan error, 1), stop: stop}
	var wg sync.WaitGroup
	wg.Go(func() {
		r.ended <- outbox.Lead(ctx, func(ctx context.Context, wait func(context.Context) error) error {
			r.led <- wait
			<-ctx.Done()
			return ctx.Err()
		})
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return r
}

const soon = 2 * time.Minute // a deadline for what happens at once on a healthy machine

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func TestOutbox_Rows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.created(t, deploy, 3)

	rows, err := b.outbox.Pending(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Less(t, rows[0].ID, rows[1].ID)
	message := attune.EnforcementCreatedMessage{Enforcement: ids[0]}
	require.Equal(t, message.RoutingKey(), rows[0].RoutingKey)
	require.Equal(t, message.MessageID(), rows[0].MessageID)

	for range 2 {
		require.NoError(t, b.outbox.Remove(t.Context(), []int64{rows[0].ID, rows[1].ID}))
	}
	requireAnnounced(t, b, ids[2])
}

func TestOutbox_Lead(t *testing.T) {
	t.Parallel()

	t.Run("one session leads at a time, and the next takes over", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		outbox := b.outbox.WithTiming(10*time.Millisecond, maxWait, maxWait)
		first := lead(t, outbox)
		receive(t, first.led)
		second := lead(t, outbox)
		require.Never(t, func() bool { return len(second.led) > 0 }, 300*time.Millisecond, 20*time.Millisecond)
		first.stop()
		require.ErrorIs(t, receive(t, first.ended), context.Canceled)
		receive(t, second.led)
	})

	t.Run("a waiting session can be stopped", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first := lead(t, b.outbox)
		receive(t, first.led)
		second := lead(t, b.outbox)
		second.stop()
		require.ErrorIs(t, receive(t, second.ended), context.Canceled)
		require.Empty(t, first.ended)
	})

	t.Run("a new row wakes the leader, even if the row comes before the wait", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		leader := lead(t, b.outbox.WithTiming(time.Second, maxWait, maxWait))
		wait := receive(t, leader.led)
		woken := make(chan error, 1)
		go func() { woken <- wait(t.Context()) }()
		require.Never(t, func() bool { return len(woken) > 0 }, 100*time.Millisecond, 20*time.Millisecond)
		b.created(t, deploy, 1)
		require.NoError(t, receive(t, woken))

		// When this connection has the notification, the leader's most likely has it too.
		witness := b.conn(t)
		_, err := witness.Exec(t.Context(), `LISTEN attune_outbox`)
		require.NoError(t, err)
		b.created(t, deploy, 3)
		for range 3 {
			_, err := witness.WaitForNotification(t.Context())
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		require.NoError(t, wait(ctx))
	})

	t.Run("a wait ends after the maximum wait or with its context", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		impatient := lead(t, b.outbox.WithTiming(time.Second, time.Millisecond, 10*time.Millisecond))
		wait := receive(t, impatient.led)
		for range 50 { // long enough for several pings of the connection
			require.NoError(t, wait(t.Context()))
		}
		b.created(t, deploy, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Eventually(t, func() bool { return errors.Is(wait(ctx), context.Canceled) }, soon, time.Millisecond)
	})

	t.Run("a lost connection ends the lead", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		outbox := b.outbox.WithTiming(10*time.Millisecond, maxWait, maxWait)
		leader := lead(t, outbox)
		wait := receive(t, leader.led)
		require.EqualValues(t, 1, b.count(t, `
			SELECT count(pg_terminate_backend(pid)) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`))
		requireCode(t, attune.CodeUnavailable, receive(t, leader.ended), "listen to the outbox")
		requireCode(t, attune.CodeUnavailable, wait(t.Context()))
		receive(t, lead(t, outbox).led)
	})

	t.Run("Lead returns the error of lead", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		broken := errors.New("broken")
		for _, want := range []error{nil, broken} {
			err := b.outbox.Lead(t.Context(), func(context.Context, func(context.Context) error) error { return want })
			require.ErrorIs(t, err, want)
		}
	})
}

func TestOutbox_Backlog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empty, err := b.outbox.Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, attune.OutboxBacklog{}, empty)

	b.exec(t, `INSERT INTO outbox (routing_key, message_id, body, created_at)
		SELECT 'enforcement.created', n::text, '{}', clock_timestamp() - n * interval '1 minute' FROM generate_series(1, 3) n`)
	backlog, err := b.outbox.Backlog(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, backlog.Rows)
	require.InDelta(t, 180, backlog.Oldest.Seconds(), 60)
}
