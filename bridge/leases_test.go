package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// fakeLeaseStore has leases that have run out.
type fakeLeaseStore struct {
	renewed func(batch []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error)

	mu            sync.Mutex
	out           int   // leases that have run out
	ended         []int // per call
	services, own error // why the services, or it alone, do not answer
}

// oneMore has one more lease run out, while the services, or this one alone, answer or not.
func (f *fakeLeaseStore) oneMore(services, own error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out, f.services, f.own, f.ended = 1, services, own, nil
}

// after lets that many looks pass and returns what they ended.
func (f *fakeLeaseStore) after(looks int) []int {
	<-time.After(time.Duration(looks) * time.Minute / 4) // of the bubble's own time
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ended)
}

func (f *fakeLeaseStore) answer(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.services
}

func (f *fakeLeaseStore) Renew(
	_ context.Context, batch []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.ExecutionRenewReply, error) {
	return f.renewed(batch, lease)
}

func (f *fakeLeaseStore) ExpireLeases(_ context.Context, limit int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own != nil {
		return 0, f.own
	}
	n := min(limit, f.out)
	f.out -= n
	f.ended = append(f.ended, n)
	return n, nil
}

func TestLeases_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeLeaseStore{out: 450}
		var counted atomic.Int64
		leases := bridge.NewLeases(store, time.Minute, store.answer,
			func(_ context.Context, n int) { counted.Add(int64(n)) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- leases.Run(ctx) }()

		require.Empty(t, store.after(1), "reports that have waited for this process go first")
		require.Equal(t, []int{200, 200, 50}, store.after(1), "all there are, in batches")
		require.EqualValues(t, 450, counted.Load())

		store.oneMore(errors.New("nobody answers"), nil)
		require.Empty(t, store.after(8), "a service is away, and so no worker can be heard")
		store.oneMore(nil, nil)
		require.Empty(t, store.after(1), "reports that have waited for the service go first")
		require.Equal(t, []int{1}, store.after(1))

		store.oneMore(nil, errors.New("the connection is lost"))
		require.Empty(t, store.after(3))
		store.oneMore(nil, nil)
		require.Contains(t, store.after(2), 1, "a look that fails is not the last")
		cancel()
		require.NoError(t, <-done)
	})
}

func TestLeases_Handle(t *testing.T) {
	t.Parallel()
	batch := []attune.ExecutionRenewMessage{{Worker: "a"}, {Worker: "b"}}
	replies := []attune.ExecutionRenewReply{{Lease: attune.Duration(time.Minute)}, {Lost: []attune.AttemptID{{Execution: 1, Attempt: 2}}}}
	var fails error
	store := &fakeLeaseStore{renewed: func(got []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error) {
		require.Equal(t, batch, got)
		require.Equal(t, time.Minute, lease)
		return replies, fails
	}}
	leases := bridge.NewLeases(store, time.Minute, nil, nil, slog.New(slog.DiscardHandler))
	got, err := leases.Handle(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, replies, got)

	fails = attune.Errorf(attune.CodeUnavailable, "away")
	_, err = leases.Handle(t.Context(), batch)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker learns that it may ask again")
}
