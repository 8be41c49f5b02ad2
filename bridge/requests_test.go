package bridge_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

// fakePools are attempts that wait for a claim, and the queues of their requests.
type fakePools struct {
	mu        sync.Mutex
	unclaimed map[string]int // attempts by pool
	waiting   map[string]int // requests by pool
	away      string         // the pool whose queue does not answer
	published []int          // requests per call
}

func (f *fakePools) Unclaimed(context.Context, time.Duration) (map[string]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unclaimed, nil
}

func (f *fakePools) Waiting(_ context.Context, pool string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if pool == f.away {
		return 0, errors.New("away")
	}
	return f.waiting[pool], nil
}

func (f *fakePools) Resend(_ context.Context, pool string, _ time.Duration, limit int) ([]attune.ExecutionRequestedMessage, error) {
	requests := make([]attune.ExecutionRequestedMessage, limit)
	for i := range requests {
		requests[i].Pool = pool
	}
	return requests, nil
}

func (f *fakePools) Publish(_ context.Context, messages ...attune.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range messages {
		f.waiting[m.(attune.ExecutionRequestedMessage).Pool]++
	}
	f.published = append(f.published, len(messages))
	return nil
}

// set changes the attempts and requests, and returns the calls of Publish since the last set.
func (f *fakePools) set(unclaimed, waiting map[string]int, away string) []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	published := f.published
	f.unclaimed, f.waiting, f.away, f.published = unclaimed, waiting, away, nil
	return published
}

func TestRequests_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pools, counted := new(fakePools), 0
		requests := bridge.NewRequests(pools, pools, time.Minute, func(_ context.Context, n int) { counted += n }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- requests.Run(ctx) }()
		after := func(scans int) {
			<-time.After(time.Duration(scans)*time.Minute + time.Second) // in the bubble's time
			synctest.Wait()
		}
		type byPool = map[string]int

		pools.set(byPool{"gpu": 700, "default": 3}, byPool{"gpu": 700, "default": 4}, "")
		after(3)
		require.Empty(t, pools.set(byPool{"gpu": 3}, byPool{"gpu": 1}, ""), "requests that wait for a worker are not lost")
		after(3)
		require.Equal(t, []int{2}, pools.set(byPool{"gpu": 1200}, byPool{}, ""), "what is missing is published once")
		after(4)
		require.Equal(t, []int{500, 500, 200}, pools.set(byPool{"gpu": 5, "small": 2}, byPool{}, "gpu"), "in batches")
		after(3)
		require.Equal(t, []int{2}, pools.set(nil, byPool{}, ""), "a queue that does not answer does not hold up the others")
		require.Equal(t, 1204, counted)
		cancel()
		require.NoError(t, <-done)
	})
}
