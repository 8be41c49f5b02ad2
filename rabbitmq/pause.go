package rabbitmq

import (
	"context"
	"math/rand/v2"
	"time"
)

// LongestPause bounds the time between two attempts of anything that is tried again.
const LongestPause = 5 * time.Second

const shortestPause = 50 * time.Millisecond

// pauses grow exponentially from about [shortestPause] to [LongestPause]. Half of each is random, so that many processes
// that lost the same broker do not come back in step. The zero value is ready.
type pauses struct{ bound time.Duration }

func (p *pauses) next() time.Duration {
	p.bound = min(max(2*p.bound, 2*shortestPause), LongestPause)
	return p.bound/2 + rand.N(p.bound/2+1)
}

// since forgets earlier failures if what began at start lasted: something that ends at once keeps slowing down.
func (p *pauses) since(start time.Time) {
	if time.Since(start) > LongestPause {
		p.bound = 0
	}
}

// pause returns after d, or earlier with the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// within runs call, which cannot be interrupted, and returns when it does or when ctx ends. What call yields too late goes
// to discard.
func within[T any](ctx context.Context, call func() (T, error), discard func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome)
	go func() {
		value, err := call()
		select {
		case done <- outcome{value, err}:
		case <-ctx.Done():
			if err == nil {
				discard(value)
			}
		}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
