package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// fakeLessor has leases that have run out, and is away whenever fail says so.
type fakeLessor struct {
	out     int // leases that have run out
	looks   int
	ended   []int // per look
	fail    func(look int) error
	renewed func(batch []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error)
}

func (f *fakeLessor) Renew(
	_ context.Context, batch []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.ExecutionRenewReply, error) {
	return f.renewed(batch, lease)
}

func (f *fakeLessor) ExpireLeases(_ context.Context, limit int) (int, error) {
	f.looks++
	if err := f.fail(f.looks); err != nil {
		return 0, err
	}
	n := min(limit, f.out)
	f.out -= n
	f.ended = append(f.ended, n)
	return n, nil
}

func TestLeases_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{out: 450, fail: func(look int) error {
			if look == 2 {
				return errors.New("the database is away")
			}
			return nil
		}}
		counted := 0
		leases := bridge.NewLeases(lessor, time.Minute, func(_ context.Context, n int) { counted += n }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- leases.Run(ctx) }()

		elapse := func(d time.Duration) { <-time.After(d); synctest.Wait() } // of the bubble's own time
		elapse(14 * time.Second)
		require.Zero(t, lessor.looks, "there is time: a lease is renewed several times")
		elapse(2 * time.Second)
		require.Equal(t, []int{200}, lessor.ended, "the second look failed")
		elapse(15 * time.Second)
		require.Equal(t, []int{200, 200, 50}, lessor.ended, "all there are, in batches")
		require.Equal(t, 450, counted)
		elapse(30 * time.Second)
		require.Equal(t, []int{200, 200, 50, 0, 0}, lessor.ended)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestLeases_Handle(t *testing.T) {
	t.Parallel()
	batch := []attune.ExecutionRenewMessage{{Worker: "a"}, {Worker: "b"}}
	replies := []attune.ExecutionRenewReply{{Lease: attune.Duration(time.Minute)}, {Lost: []attune.AttemptID{{Execution: 1, Attempt: 2}}}}
	var fails error
	lessor := &fakeLessor{renewed: func(got []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error) {
		require.Equal(t, batch, got)
		require.Equal(t, time.Minute, lease)
		return replies, fails
	}}
	leases := bridge.NewLeases(lessor, time.Minute, nil, slog.New(slog.DiscardHandler))
	got, err := leases.Handle(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, replies, got)

	fails = attune.Errorf(attune.CodeUnavailable, "away")
	_, err = leases.Handle(t.Context(), batch)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker learns that it may ask again")
}
