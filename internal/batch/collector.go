// Package batch collects what arrives on a channel into batches.
//
// A large batch costs less per value; a small batch is handled sooner. So a single value is handled at once. After a batch
// with several values, the next batch waits for more values: under load the delay costs little.
package batch

import (
	"context"
	"time"
)

// Collector collects values of one channel. Only one goroutine may use a Collector.
type Collector[T any] struct {
	Max    int           // most values of a batch, 1 or more
	Linger time.Duration // how long a batch waits for more values after a batch with several; 0 means not at all

	several bool // the last batch had more than one value
}

// Next waits for a value and returns it with the other values that the channel has, or that arrive within Linger. It returns
// nil when the channel is closed or ctx has ended. A value that the channel still has when ctx ends may be lost.
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

// wait collects values until Linger is over, the batch is full, the channel is closed, or ctx ends.
func (b *Collector[T]) wait(ctx context.Context, values <-chan T, batch []T) []T {
	linger := time.NewTimer(b.Linger)
	defer linger.Stop()
	for len(batch) < b.Max {
		select {
		case value, open := <-values:
			if !open {
				return batch
			}
			batch = append(batch, value)
		case <-linger.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// take collects the values that the channel has, without waiting.
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
