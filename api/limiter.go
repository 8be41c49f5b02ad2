package api

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
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
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // guarded by mu
	others  *rate.Limiter            // of every key that finds no room
	sweptAt time.Time                // guarded by mu
}

// newLimiter returns a limiter; perSecond 0 sets no limit.
func newLimiter(perSecond int) *limiter {
	if perSecond == 0 {
		return nil
	}
	l := &limiter{rate: rate.Limit(perSecond), burst: burstSeconds * perSecond, now: time.Now, buckets: map[string]*rate.Limiter{}}
	l.others = rate.NewLimiter(l.rate, l.burst)
	return l
}

// take takes one of what the key may do. If nothing is left, it returns how long the key must wait, more than 0.
func (l *limiter) take(key string) (wait time.Duration) {
	if l == nil {
		return 0
	}
	now := l.now()
	reservation := l.bucket(key, now).ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// left returns how long the key must wait, without taking anything. 0 means that something is left.
func (l *limiter) left(key string) (wait time.Duration) {
	if l == nil {
		return 0
	}
	now := l.now()
	missing := 1 - l.bucket(key, now).TokensAt(now)
	return max(0, time.Duration(missing/float64(l.rate)*float64(time.Second)))
}

// bucket returns the bucket of a key. When there is no room for another one, it drops those that are full, which are as good as
// new ones. If none is, the key shares the bucket of all others.
func (l *limiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, known := l.buckets[key]; known {
		return found
	}
	if len(l.buckets) >= maxBuckets && now.Sub(l.sweptAt) >= sweepPeriod {
		l.sweptAt = now
		maps.DeleteFunc(l.buckets, func(_ string, b *rate.Limiter) bool { return b.TokensAt(now) >= float64(l.burst) })
	}
	if len(l.buckets) >= maxBuckets {
		return l.others
	}
	added := rate.NewLimiter(l.rate, l.burst)
	l.buckets[key] = added
	return added
}
