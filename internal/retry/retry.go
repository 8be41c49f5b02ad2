// Package retry repeats calls to another process (the broker, the database, the bridge) until they succeed. It has nothing to do
// with the retries of actions: package policy declares those.
//
// Each pause is about twice as long as the pause before. A part of each pause is random, so that many processes that have lost
// the same service do not reconnect at the same moment. Every function ends when its context ends.
package retry

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// MaxPause bounds a pause. The first pause is 50 to 100 ms. After some tries, a pause is between half of MaxPause and MaxPause.
	MaxPause = 5 * time.Second

	firstInterval = 75 * time.Millisecond
	growth        = 2
	randomShare   = 1. / 3 // a pause is an interval, plus or minus this share of it
)

func newPauses() *backoff.ExponentialBackOff {
	maxInterval := float64(MaxPause) / (1 + randomShare)
	return &backoff.ExponentialBackOff{
		InitialInterval: firstInterval, Multiplier: growth, RandomizationFactor: randomShare, MaxInterval: time.Duration(maxInterval),
	}
}

// Get calls try until try succeeds, and returns its value. Get returns an error in two cases: try returns an error that is
// marked as [Final], or ctx ends (the error is the cause of ctx). When ctx has already ended, Get does not call try. Before each
// pause Get calls notify with the error of try and the length of the pause; notify may be nil.
func Get[T any](ctx context.Context, try func() (T, error), notify func(err error, pause time.Duration)) (T, error) {
	if err := context.Cause(ctx); err != nil {
		var none T
		return none, err
	}
	return backoff.Retry(ctx, try,
		backoff.WithBackOff(newPauses()), backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
}

// Do is [Get] without a value.
func Do(ctx context.Context, try func() error, notify func(err error, pause time.Duration)) error {
	_, err := Get(ctx, func() (struct{}, error) { return struct{}{}, try() }, notify)
	return err
}

// Final marks an error after which another try makes no sense. [Get] and [Do] return the error without the mark.
func Final(err error) error { return backoff.Permanent(err) }

// Loop calls run again and again until ctx ends. Before each pause Loop calls notify with the result of run, which may be nil,
// and the length of the pause. A run that lasted longer than [MaxPause] counts as a success: the next pause is as short as the
// first.
func Loop(ctx context.Context, run func(context.Context) error, notify func(err error, pause time.Duration)) {
	pauses := newPauses()
	for ctx.Err() == nil {
		started := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > MaxPause {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		notify(err, pause)
		Wait(ctx, pause)
	}
}

// Wait returns after d, or when ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
