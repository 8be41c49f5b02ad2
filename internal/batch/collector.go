// Package batch collects what arrives on a channel into batches.
//
// A large batch costs less per value; a small batch is handled sooner. A value that comes alone is therefore handled alone.
// Only while several values come at a time does a batch wait for more: by then each value would have to wait for the batch
// in front of it anyway.
package batch

import (
	"context"
	"time"
)

// Collector collects values of one channel. Its methods belong to one goroutine.
type Collector[T any] struct {
	Max    int           // values of a batch, 1 or more
	Linger time.Duration // how long a batch waits for more, if the one before held several; 0: never

	several bool // the last batch held more than one
}

// Next waits for a value and returns it together with those that are there, or come while it lingers. It returns none when
// the channel is closed, and none from the end of ctx on: a value that is there by then may get lost.
func (b *Collector[T]) Next(ctx context.Context, values <-chan T) []T {
	var batch []T
	select {
	case value, open := <-values:
		if !open || ctx.Err() != nil {
			return nil
		}
		batch = append(batch, value)
	case <-ctx.Done():
		return nil
	}
	if b.several && b.Linger > 0 {
		batch = b.wait(ctx, values, batch)
	}
	batch = b.take(values, batch)
	b.several = len(batch) > 1
	return batch
}

// wait collects until the time is up, the batch is full or nothing more can come.
func (b *Collector[T]) wait(ctx context.Context, values <-chan T, batch []T) []T {
	patience := time.NewTimer(b.Linger)
	defer patience.Stop()
	for len(batch) < b.Max {
		select {
		case value, open := <-values:
			if !open {
				return batch
			}
			batch = append(batch, value)
		case <-patience.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// take collects what is there.
func (b *Collector[T]) take(values <-chan T, batch []T) []T {
	for len(batch) < b.Max {
		select {
		case value, open := <-values:
			if !open {
				return batch
			}
			batch = append(batch, value)
		default:
			return batch
		}
	}
	return batch
}
