package baseline

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// stallTimeout is how long a count may stay the same before a wait for it fails.
const stallTimeout = 3 * time.Minute

// Count counts finished work. Any number of goroutines may call Add; one goroutine at a time may call Await or Time.
type Count struct {
	n        atomic.Int64
	progress chan struct{} // written by Add, read by Await; one element stands for any number of additions
}

// NewCount returns a count that starts at 0.
func NewCount() *Count { return &Count{progress: make(chan struct{}, 1)} }

// Value returns the count.
func (c *Count) Value() int64 { return c.n.Load() }

// Add raises the count.
func (c *Count) Add(n int64) {
	c.n.Add(n)
	select {
	case c.progress <- struct{}{}:
	default:
	}
}

// Await waits until the count reaches target. It fails when the count stays the same for three minutes, or when ctx ends.
func (c *Count) Await(ctx context.Context, target int64) error {
	timer := time.NewTimer(stallTimeout)
	defer timer.Stop()
	for c.Value() < target {
		select {
		case <-c.progress:
			timer.Reset(stallTimeout)
		case <-timer.C:
			return fmt.Errorf("no progress for %s: %d more are expected", stallTimeout, target-c.Value())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Time calls start n times, from the given number of goroutines, and returns the time from the first call until the count has
// grown by n. The first error of start ends the measurement.
func (c *Count) Time(ctx context.Context, n, starters int, start func(context.Context) error) (time.Duration, error) {
	target := c.Value() + int64(n)
	begun := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return InParallel(groupCtx, n, starters, start) })
	var elapsed time.Duration
	group.Go(func() error {
		err := c.Await(groupCtx, target)
		elapsed = time.Since(begun)
		return err
	})
	err := group.Wait() // the second function sets elapsed
	return elapsed, err
}

// InParallel calls do n times from the given number of goroutines. It stops at the first error and returns it.
func InParallel(ctx context.Context, n, callers int, do func(context.Context) error) error {
	var left atomic.Int64
	left.Store(int64(n))
	group, ctx := errgroup.WithContext(ctx)
	for range callers {
		group.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := do(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
