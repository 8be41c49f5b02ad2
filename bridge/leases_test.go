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

// fakeLeaseStore counts expired leases.
type fakeLeaseStore struct {
	renewed func(batch []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.Renewal, error)

	mu            sync.Mutex
	expired       int   // leases that have expired and are not ended
	ended         []int // per call
	services, own error // the errors of ping, and of ExpireLeases
}

// expireOne adds an expired lease and sets the errors of ping and of ExpireLeases.
func (f *fakeLeaseStore) expireOne(services, own error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expired, f.services, f.own, f.ended = 1, services, own, nil
}

// after waits for the given number of scans and returns the numbers of ended leases.
func (f *fakeLeaseStore) after(scans int) []int {
	<-time.After(time.Duration(scans) * time.Minute / 4) // in the bubble's time
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ended)
}

func (f *fakeLeaseStore) ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.services
}

func (f *fakeLeaseStore) Renew(
	_ context.Context, batch []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.Renewal, error) {
	return f.renewed(batch, lease)
}

func (f *fakeLeaseStore) ExpireLeases(_ context.Context, limit int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own != nil {
		return 0, f.own
	}
	n := min(limit, f.expired)
	f.expired -= n
	f.ended = append(f.ended, n)
	return n, nil
}

func TestLeases_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeLeaseStore{expired: 450}
		var counted atomic.Int64
		leases := bridge.NewLeases(store, nil, "one", time.Minute, store.ping,
			func(_ context.Context, n int) { counted.Add(int64(n)) }, noneRefused(t), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- leases.Run(ctx) }()

		require.Empty(t, store.after(1), "reports that waited for this process are handled first")
		require.Equal(t, []int{200, 200, 50}, store.after(1), "all expired leases, in batches")
		require.EqualValues(t, 450, counted.Load())

		store.expireOne(errors.New("no answer"), nil)
		require.Empty(t, store.after(8), "a service is down, so no worker can renew")
		store.expireOne(nil, nil)
		require.Empty(t, store.after(1), "reports that waited for the service are handled first")
		require.Equal(t, []int{1}, store.after(1))

		store.expireOne(nil, errors.New("the connection is lost"))
		require.Empty(t, store.after(3))
		store.expireOne(nil, nil)
		require.Contains(t, store.after(2), 1, "scans continue after a failure")
		cancel()
		require.NoError(t, <-done)
	})
}

func TestLeases_Handle(t *testing.T) {
	t.Parallel()
	ours, old := attune.AttemptID{Installation: "one", Execution: 1, Attempt: 2}, attune.AttemptID{Installation: "zero", Execution: 1, Attempt: 2}
	a, b := newSigner(t), newSigner(t)
	renewal := func(w signer, attempts ...attune.AttemptID) attune.ExecutionRenewMessage {
		return attune.ExecutionRenewMessage{Worker: "w", Attempts: attempts, Serial: 1, Key: w.public(), Pool: "gpu"}
	}
	batch := append(signAll(t, a, renewal(a, old, ours)), signAll(t, b, renewal(b, ours))...)
	minute := attune.Duration(time.Minute)
	answers := []attune.Renewal{
		{Reply: attune.ExecutionRenewReply{Lease: minute}}, {Reply: attune.ExecutionRenewReply{Lost: []attune.AttemptID{ours}}},
	}
	var fails error
	store := &fakeLeaseStore{renewed: func(got []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.Renewal, error) {
		require.Equal(t, []attune.ExecutionRenewMessage{renewal(a, ours), renewal(b, ours)}, got)
		require.Equal(t, time.Minute, lease)
		return slices.Clone(answers), fails
	}}
	refused := new(refusals)
	signer := bridge.NewSigner(newBridgeKey(t))
	leases := bridge.NewLeases(store, signer, "one", time.Minute, nil, nil, refused.count, slog.New(slog.DiscardHandler))
	signed, err := leases.Handle(t.Context(), batch)
	require.NoError(t, err)
	got := openAll[attune.ExecutionRenewReply](t, signer, batch, signed)
	require.Equal(t, []attune.ExecutionRenewReply{
		{Lease: minute, Lost: []attune.AttemptID{old}}, {Lost: []attune.AttemptID{ours}},
	}, got, "the attempt of another installation is lost")
	require.Empty(t, refused.all())

	answers[0] = attune.Renewal{Reply: attune.ExecutionRenewReply{Lease: minute, Late: []attune.AttemptID{ours}}}
	signed, err = leases.Handle(t.Context(), batch)
	require.NoError(t, err, "the broker delivers a renewal again after a crash, and a slow bridge handles two at once")
	got = openAll[attune.ExecutionRenewReply](t, signer, batch, signed)
	require.Equal(t, []attune.AttemptID{old}, got[0].Lost, "and no attempt is lost by a copy")
	require.Equal(t, []attune.AttemptID{ours}, got[0].Late, "and the worker learns that this renewal did not renew it")
	require.Equal(t, []string{"execution.renew late"}, refused.all())

	for why, forged := range map[attune.Refusal]attune.Renewal{
		attune.RefusedKey:  {Reply: attune.ExecutionRenewReply{Lease: minute}, Forged: []attune.AttemptID{ours}},
		attune.RefusedPool: {Reply: attune.ExecutionRenewReply{Lease: minute}, OtherPool: []attune.AttemptID{ours}},
	} {
		answers[0] = forged
		_, err = leases.Handle(t.Context(), batch)
		requireRefused(t, err, map[int]attune.Refusal{0: why})
		require.Equal(t, []string{"execution.renew " + string(why)}, refused.all())
	}

	fails = attune.Errorf(attune.CodeUnavailable, "away")
	_, err = leases.Handle(t.Context(), batch)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the worker may send its renewal again")
}
