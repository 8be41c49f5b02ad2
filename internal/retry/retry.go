// Package retry says how long attune waits before it tries again what another process must answer: a broker, a database, a
// bridge. The retries of actions are none of its business: a policy says those.
//
// Each pause is about twice as long as the one before. A part of it is random, so that many processes that have lost the same
// service do not come back in step. Everything ends with its context.
package retry

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// Longest bounds a pause. The first one is 50 to 100 ms, and the longest are half of this bound at least.
	Longest = 5 * time.Second

	first  = 75 * time.Millisecond
	growth = 2
	spread = 1. / 3 // of an interval, up and down
)

func newPauses() *backoff.ExponentialBackOff {
	longest := float64(Longest) / (1 + spread)
	return &backoff.ExponentialBackOff{
		InitialInterval: first, Multiplier: growth, RandomizationFactor: spread, MaxInterval: time.Duration(longest),
	}
}

// Get calls try until it succeeds, and returns its value. It returns earlier with the cause when ctx ends, or with an error
// that try has marked as [Final]. When ctx has ended before, it tries nothing. Before each pause failed is told the error and
// how long the pause is; nil is not told.
func Get[T any](ctx context.Context, try func() (T, error), failed func(err error, pause time.Duration)) (T, error) {
	if err := context.Cause(ctx); err != nil {
		var none T
		return none, err
	}
	return backoff.Retry(ctx, try,
		backoff.WithBackOff(newPauses()), backoff.WithMaxElapsedTime(0), backoff.WithNotify(failed))
}

// Do is [Get] without a value.
func Do(ctx context.Context, try func() error, failed func(err error, pause time.Duration)) error {
	_, err := Get(ctx, func() (struct{}, error) { return struct{}{}, try() }, failed)
	return err
}

// Final marks an error that another try does not mend. [Get] and [Do] return it without the mark.
func Final(err error) error { return backoff.Permanent(err) }

// Loop calls run again and again until ctx ends. Before each pause ended is told what run returned, which may be nil, and how
// long the pause is. A run that lasted longer than [Longest] counts as a success: the pause after it is a first one.
func Loop(ctx context.Context, run func(context.Context) error, ended func(err error, pause time.Duration)) {
	pauses := newPauses()
	for ctx.Err() == nil {
		started := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > Longest {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		ended(err, pause)
		wait(ctx, pause)
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
