package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the pause between two tries.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// backoff is the pause between tries: it doubles each time, with up to a third of it taken off at random, so that many
// workers do not come back at the same instant.
type backoff struct{ last time.Duration }

// wait pauses and reports whether ctx still stands.
func (b *backoff) wait(ctx context.Context) bool {
	b.last = min(max(2*b.last, firstPause), maxPause)
	timer := time.NewTimer(b.last - rand.N(b.last/3))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
