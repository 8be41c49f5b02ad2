package baseline

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// patience is how long a count may stand still before a wait for it fails.
const patience = 3 * time.Minute

// Count counts what is done. Any number of goroutines add to it; one at a time waits for it.
type Count struct {
	n        atomic.Int64
	progress chan struct{} // has a value after n was raised
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

// Await returns when the count has reached target. It fails when the count stands still for three minutes, or when ctx ends.
func (c *Count) Await(ctx context.Context, target int64) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for c.Value() < target {
		select {
		case <-c.progress:
			timer.Reset(patience)
		case <-timer.C:
			return fmt.Errorf("nothing was done for %s: %d more are expected", patience, target-c.Value())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Time returns the time from the first of n starts until n more have been counted. start is called by as many goroutines at
// a time as there are starters; its first error ends the measurement.
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
	return elapsed, group.Wait()
}

// InParallel calls do n times, by as many goroutines at a time as there are callers, and returns its first error.
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
