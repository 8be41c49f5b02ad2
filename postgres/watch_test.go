package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
)

// watcher keeps the readings of one watch.
type watcher struct {
	mu       sync.Mutex
	readings []*postgres.Reading
	stop     context.CancelFunc
	ended    chan struct{}
}

func (b *bundle) watch(t *testing.T) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &watcher{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		b.queues.Watch(ctx, 10*time.Millisecond, time.Hour, func(r *postgres.Reading) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.readings = append(w.readings, r)
		})
	}()
	t.Cleanup(func() { cancel(); <-w.ended })
	return w
}

// last returns the latest reading.
func (w *watcher) last() *postgres.Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.readings) == 0 {
		return nil
	}
	return w.readings[len(w.readings)-1]
}

func TestQueues_Watch(t *testing.T) {
	t.Parallel()
	const timeout, tick = 2 * time.Minute, 5 * time.Millisecond
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Limit: new(3)})
	tickets := b.admit(t, b.created(t, deploy, 4)...)
	b.request(t, tickets[0])
	first := b.watch(t)
	require.Eventually(t, func() bool { return first.last() != nil }, timeout, tick)
	seen := first.last()
	require.Zero(t, seen.Leaked)
	require.Len(t, seen.Queues, 1)
	seen.Queues[0].OldestWait = 0
	require.Equal(t, []attune.QueueGauge{{Queue: queueKey, Limit: 3, Active: 1, Waiting: 3}}, seen.Queues)

	// One process watches at a time: the second takes over when the first ends, and both faults are seen.
	second := b.watch(t)
	b.exec(t, shifted(`- interval '1 day'`))
	b.exec(t, `DELETE FROM executions`)
	require.Eventually(t, func() bool {
		r := first.last()
		return r != nil && r.Leaked == 1 && r.Queues[0].Stalled && r.Queues[0].OldestWait > 23*time.Hour
	}, timeout, tick)
	require.Nil(t, second.last())
	first.stop()
	require.Eventually(t, func() bool { return second.last() != nil }, timeout, tick)
	<-first.ended
	require.Nil(t, first.last(), "what was told last is not true for ever")

	// A lost connection loses the lock. The watch gets it again.
	b.exec(t, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
		WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted`)
	require.Eventually(t, func() bool {
		second.mu.Lock()
		defer second.mu.Unlock()
		lost := false
		for i, r := range second.readings {
			if lost && r != nil {
				return true
			}
			lost = lost || r == nil && i > 0 && second.readings[i-1] != nil
		}
		return false
	}, timeout, tick)
}
