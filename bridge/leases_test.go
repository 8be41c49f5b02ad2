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
	out     int   // leases that have run out
	ended   []int // per call
	away    error
	renewed func(batch []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error)
}

func (f *fakeLessor) Renew(
	_ context.Context, batch []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.ExecutionRenewReply, error) {
	return f.renewed(batch, lease)
}

func (f *fakeLessor) ExpireLeases(_ context.Context, limit int) (int, error) {
	if f.away != nil {
		return 0, f.away
	}
	n := min(limit, f.out)
	f.out -= n
	f.ended = append(f.ended, n)
	return n, nil
}

func TestLeases_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lessor := &fakeLessor{out: 450}
		var service error
		counted := 0
		leases := bridge.NewLeases(lessor, time.Minute, func(context.Context) error { return service },
			func(_ context.Context, n int) { counted += n }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- leases.Run(ctx) }()

		looks := func(n int) { <-time.After(time.Duration(n) * 15 * time.Second); synctest.Wait() } // of the bubble's own time
		looks(1)
		require.Empty(t, lessor.ended, "reports that have waited for this process go first")
		looks(1)
		require.Equal(t, []int{200, 200, 50}, lessor.ended, "all there are, in batches")
		require.Equal(t, 450, counted)

		lessor.out, lessor.ended = 1, nil
		service = errors.New("nobody answers")
		looks(8)
		require.Empty(t, lessor.ended, "a service is away, and so no worker can be heard")
		service = nil
		looks(1)
		require.Empty(t, lessor.ended, "reports that have waited for the service go first")
		looks(1)
		require.Equal(t, []int{1}, lessor.ended)

		lessor.out, lessor.ended, lessor.away = 1, nil, errors.New("the connection is lost")
		looks(3)
		lessor.away = nil
		looks(2)
		require.Contains(t, lessor.ended, 1, "a look that fails is not the last")
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
	leases := bridge.NewLeases(lessor, time.Minute, nil, nil, slog.New(slog.DiscardHandler))
	got, err := leases.Handle(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, replies, got)

	fails = attune.Errorf(attune.CodeUnavailable, "away")
	_, err = leases.Handle(t.Context(), batch)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker learns that it may ask again")
}
