package api

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	// burstSeconds is how much a caller that has been quiet may send at once: what it may send in this many seconds.
	burstSeconds = 2
	// maxBuckets bounds the memory of a limiter, about 200 bytes each.
	maxBuckets = 10_000
	// sweepPeriod bounds how often a full limiter looks for buckets that it can drop.
	sweepPeriod = time.Second
)

// limiter limits how often each of many keys may do something, in this process. A nil limiter allows everything. It is safe for
// concurrent use.
type limiter struct {
	perSecond float64
	burst     float64
	now       func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket // guarded by mu
	others  *bucket            // guarded by mu; of every key that finds no room
	sweptAt time.Time          // guarded by mu
}

// bucket is what one key may still do. The mutex of its limiter guards it.
type bucket struct {
	left     float64 // at the time filledAt; at most the burst
	filledAt time.Time
	reserved int           // reservations that are not settled
	settled  chan struct{} // closed when the next reservation is settled; nil: no caller waits
}

// newLimiter returns a limiter; perSecond 0 sets no limit.
func newLimiter(perSecond int) *limiter {
	if perSecond == 0 {
		return nil
	}
	return newSlowLimiter(float64(perSecond), burstSeconds*perSecond)
}

// newSlowLimiter returns a limiter for a rate that can be less than 1 a second. A key that has been quiet may do burst at once.
func newSlowLimiter(perSecond float64, burst int) *limiter {
	l := &limiter{perSecond: perSecond, burst: float64(burst), now: time.Now, buckets: map[string]*bucket{}}
	l.others = &bucket{left: l.burst}
	return l
}

// take takes one of what the key may do. If nothing is left, it returns how long the key must wait, more than 0.
func (l *limiter) take(key string) (wait time.Duration) {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeFrom(l.filled(key))
}

// reserve takes one of what the key may do for an attempt whose outcome is not known yet. The caller calls settle with the outcome. If
// nothing is left, reserve waits until other attempts of the key are settled: only as many as may fail are under way at one time, and
// an attempt is not refused because of others that succeed. If too many have failed, or ctx ends, reserve returns a nil settle, and
// how long the key must wait, more than 0.
func (l *limiter) reserve(ctx context.Context, key string) (settle func(succeeded bool), wait time.Duration) {
	if l == nil {
		return func(bool) {}, 0
	}
	for {
		b, wait, settled := l.tryReserve(key)
		switch {
		case wait == 0:
			return func(succeeded bool) { l.settle(b, succeeded) }, 0
		case settled == nil:
			return nil, wait
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return nil, wait
		}
	}
}

// tryReserve reserves if something is left. If not, and attempts are under way, it returns what is closed when one of them is settled.
func (l *limiter) tryReserve(key string) (b *bucket, wait time.Duration, settled <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b = l.filled(key)
	switch wait = l.takeFrom(b); {
	case wait == 0:
		b.reserved++
		return b, 0, nil
	case b.reserved == 0:
		return b, wait, nil
	}
	if b.settled == nil {
		b.settled = make(chan struct{})
	}
	return b, wait, b.settled
}

// settle ends a reservation. An attempt that succeeded gives back what it took.
func (l *limiter) settle(b *bucket, succeeded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.reserved--
	if succeeded {
		b.left = min(b.left+1, l.burst)
	}
	if b.settled != nil {
		close(b.settled)
		b.settled = nil
	}
}

// rounding is how much less than 1 counts as 1: the sums of a bucket are not exact.
const rounding = 1e-6

func (l *limiter) takeFrom(b *bucket) (wait time.Duration) {
	if missing := 1 - b.left; missing > rounding {
		return time.Duration(missing / l.perSecond * float64(time.Second))
	}
	b.left--
	return 0
}

// filled returns the bucket of a key, filled up since its last use. When there is no room for another bucket, the limiter drops the full
// buckets, which are as good as new ones. If no bucket is full, the key shares the bucket of all others.
func (l *limiter) filled(key string) *bucket {
	now := l.now()
	b, known := l.buckets[key]
	if !known {
		b = l.add(key, now)
	}
	b.left, b.filledAt = l.leftAt(b, now), now
	return b
}

func (l *limiter) leftAt(b *bucket, now time.Time) float64 {
	return min(b.left+max(0, now.Sub(b.filledAt).Seconds())*l.perSecond, l.burst)
}

func (l *limiter) add(key string, now time.Time) *bucket {
	if len(l.buckets) >= maxBuckets && now.Sub(l.sweptAt) >= sweepPeriod {
		l.sweptAt = now
		maps.DeleteFunc(l.buckets, func(_ string, b *bucket) bool { return b.reserved == 0 && l.leftAt(b, now) >= l.burst })
	}
	if len(l.buckets) >= maxBuckets {
		return l.others
	}
	added := &bucket{left: l.burst, filledAt: now}
	l.buckets[key] = added
	return added
}
