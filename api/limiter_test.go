package api

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// setClock is a time that a test sets.
type setClock struct{ now time.Time }

func (c *setClock) time() time.Time { return c.now }

func newTestLimiter(perSecond int) (*limiter, *setClock) {
	c := &setClock{now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)}
	l := newLimiter(perSecond)
	l.now = c.time
	return l, c
}

func TestLimiter(t *testing.T) {
	t.Parallel()

	t.Run("a limiter takes no more than the rate and the burst", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			perSecond := rapid.IntRange(1, 50).Draw(t, "rate")
			l, c := newTestLimiter(perSecond)
			taken, began := 0, c.now
			for range rapid.IntRange(1, 200).Draw(t, "requests") {
				c.now = c.now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "pause")) * time.Millisecond)
				wait := l.take("a")
				require.LessOrEqual(t, wait, time.Second/time.Duration(perSecond)+time.Millisecond)
				if wait == 0 {
					taken++
				}
			}
			most := burstSeconds*float64(perSecond) + float64(perSecond)*c.now.Sub(began).Seconds()
			require.LessOrEqual(t, float64(taken), most+1e-6)
		})
	})

	t.Run("who waits as told is served", func(t *testing.T) {
		t.Parallel()
		l, c := newTestLimiter(3)
		for range burstSeconds * 3 {
			require.Zero(t, l.take("a"))
		}
		wait := l.take("a")
		require.Positive(t, wait)
		require.Zero(t, l.take("b"), "another key is not limited")
		c.now = c.now.Add(wait)
		require.Zero(t, l.take("a"))
	})

	t.Run("a limit of 0 is none", func(t *testing.T) {
		t.Parallel()
		l := newLimiter(0)
		for range 1000 {
			require.Zero(t, l.take("a"))
			settle, wait := l.reserve(t.Context(), "a")
			require.Zero(t, wait)
			settle(false)
		}
	})

	t.Run("memory is bounded, and quiet keys make room", func(t *testing.T) {
		t.Parallel()
		l, c := newTestLimiter(1)
		for n := range 3 * maxBuckets {
			l.take(strconv.Itoa(n))
			require.LessOrEqual(t, len(l.buckets), maxBuckets)
		}
		require.Positive(t, l.take("late"), "keys without room share one bucket")
		c.now = c.now.Add(burstSeconds * time.Second)
		require.Zero(t, l.take("later"))
		require.Less(t, len(l.buckets), maxBuckets, "full buckets were dropped")
	})
}

func TestLimiter_Reserve(t *testing.T) {
	t.Parallel()

	t.Run("as many attempts are under way as may fail, and the others wait for their outcomes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(5)
			const most = burstSeconds * 5
			var started, refused atomic.Int32
			outcome := make(chan struct{})
			for range 100 {
				go func() {
					settle, wait := l.reserve(t.Context(), "a")
					if settle == nil && wait > 0 {
						refused.Add(1)
						return
					}
					started.Add(1)
					<-outcome
					settle(false)
				}()
			}
			synctest.Wait()
			require.EqualValues(t, most, started.Load())
			require.Zero(t, refused.Load(), "an attempt is not refused before the others have failed")
			close(outcome)
			synctest.Wait()
			require.EqualValues(t, most, started.Load())
			require.EqualValues(t, 100-most, refused.Load())
		})
	})

	t.Run("attempts that succeed take nothing from each other", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(1)
			var succeeded atomic.Int32
			for range 100 {
				go func() {
					if settle, wait := l.reserve(t.Context(), "a"); settle != nil && wait == 0 {
						settle(true)
						succeeded.Add(1)
					}
				}()
			}
			synctest.Wait()
			require.EqualValues(t, 100, succeeded.Load())
			require.Zero(t, l.take("a"), "everything was given back")
		})
	})

	t.Run("an attempt that is given up does not wait", func(t *testing.T) {
		t.Parallel()
		l, _ := newTestLimiter(1)
		for range burstSeconds {
			settle, _ := l.reserve(t.Context(), "a")
			require.NotNil(t, settle)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		settle, wait := l.reserve(ctx, "a")
		require.Nil(t, settle)
		require.Positive(t, wait)
	})
}

func TestProven(t *testing.T) {
	t.Parallel()
	c := &setClock{now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)}
	p := newRates(Config{}).proven
	p.now = c.time
	require.False(t, p.has("a"))
	p.add("a")
	require.True(t, p.has("a"))
	p.remove("a")
	require.False(t, p.has("a"))
	p.add("a")
	c.now = c.now.Add(provenAge)
	require.False(t, p.has("a"))
	for n := range 2 * maxProven {
		p.add(strconv.Itoa(n))
		require.LessOrEqual(t, len(p.tokens), maxProven)
	}
}
