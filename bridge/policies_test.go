package bridge_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/policy"
)

// policyWorld stands in for the rows of policies and the queues in Temporal.
type policyWorld struct {
	mutex        sync.Mutex
	databaseDown bool
	unreachable  map[attune.QueueKey]bool
	applied      int
	busy         []attune.Admission   // what ApplyPolicies returns
	changes      [][]attune.Admission // what the next calls of FollowPolicies return
	untold       map[attune.QueueKey]int64
	sent         map[attune.QueueKey][]int64
}

func newPolicyWorld() *policyWorld {
	return &policyWorld{
		unreachable: map[attune.QueueKey]bool{}, untold: map[attune.QueueKey]int64{}, sent: map[attune.QueueKey][]int64{},
	}
}

func (w *policyWorld) do(change func()) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	change()
}

func (w *policyWorld) resolve(queues []attune.Admission) []attune.Admission {
	for _, queue := range queues {
		w.untold[queue.Queue] = queue.Policy.Revision
	}
	return queues
}

func (w *policyWorld) ApplyPolicies(context.Context) ([]attune.Admission, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.databaseDown {
		return nil, attune.Errorf(attune.CodeUnavailable, "the database is away")
	}
	w.applied++
	return w.resolve(w.busy), nil
}

func (w *policyWorld) FollowPolicies(context.Context) ([]attune.Admission, bool, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.changes) == 0 {
		return nil, false, nil
	}
	next := w.changes[0]
	w.changes = w.changes[1:]
	return w.resolve(next), true, nil
}

func (w *policyWorld) UntoldPolicies(context.Context, int) (untold []attune.Admission, err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for key, revision := range w.untold {
		untold = append(untold, queueAt(key, revision))
	}
	return untold, nil
}

func (w *policyWorld) PoliciesTold(_ context.Context, told []attune.Admission) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, queue := range told {
		if w.untold[queue.Queue] <= queue.Policy.Revision {
			delete(w.untold, queue.Queue)
		}
	}
	return nil
}

func (w *policyWorld) SetPolicy(_ context.Context, key attune.QueueKey, policy attune.QueuePolicy) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.unreachable[key] {
		return attune.Errorf(attune.CodeUnavailable, "Temporal is away")
	}
	w.sent[key] = append(w.sent[key], policy.Revision)
	return nil
}

func (w *policyWorld) Reach(context.Context, policy.Scope, string) (policy.Reach, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return policy.Reach{Told: int64(len(w.sent)), NotTold: int64(len(w.untold))}, nil
}

func queueAt(key attune.QueueKey, revision int64) attune.Admission {
	return attune.Admission{Queue: key, Policy: attune.QueuePolicy{Revision: revision}}
}

func (w *policyWorld) policies() *bridge.Policies {
	return bridge.NewPolicies(w, w, slog.New(slog.DiscardHandler))
}

func TestPolicies_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPolicyWorld()
		w.databaseDown, w.busy = true, []attune.Admission{queueAt("a", 2), queueAt("b", 5)}
		w.unreachable["a"] = true
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.policies().Run(ctx) }()
		pass := func() { // passes the time of several tries
			<-time.After(time.Minute)
			synctest.Wait()
		}
		pass()
		require.Zero(t, w.applied)
		w.do(func() { w.databaseDown = false })
		pass()
		require.Equal(t, 1, w.applied)
		require.Equal(t, map[attune.QueueKey][]int64{"b": {5}}, w.sent, "a queue that cannot be reached does not block the others")
		w.do(func() { w.changes = [][]attune.Admission{{queueAt("c", 1)}, {queueAt("b", 6)}} })
		pass()
		require.Equal(t, map[attune.QueueKey][]int64{"b": {5, 6}, "c": {1}}, w.sent, "nor does it block later changes")
		w.do(func() { w.unreachable["a"] = false })
		pass()
		require.Equal(t, 1, w.applied)
		require.Equal(t, map[attune.QueueKey][]int64{"a": {2}, "b": {5, 6}, "c": {1}}, w.sent, "each queue gets each policy once")
		require.Empty(t, w.untold)
		require.Empty(t, ended, "it runs as long as the process does")
		cancel()
		require.NoError(t, <-ended)
	})
}

// A process that ends between the change of a row and the signal leaves the queue untold, and another process tells the queue.
func TestPolicies_RunTellsWhatAnotherProcessHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPolicyWorld()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.policies().Run(ctx) }()
		<-time.After(time.Minute)
		w.do(func() { w.untold["a"] = 3 })
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, map[attune.QueueKey][]int64{"a": {3}}, w.sent)
		cancel()
	})
}

func TestPolicies_RunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newPolicyWorld()
	w.databaseDown = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, w.policies().Run(ctx))
}

func TestAnnouncer(t *testing.T) {
	t.Parallel()
	announce := func(t *testing.T, w *policyWorld) policy.Reach {
		t.Helper()
		reach, err := bridge.NewAnnouncer(w.policies(), w, slog.New(slog.DiscardHandler)).Announce(t.Context(), policy.ScopeGlobal, "")
		require.NoError(t, err)
		return reach
	}

	t.Run("every queue is told before the answer", func(t *testing.T) {
		t.Parallel()
		w := newPolicyWorld()
		w.changes = [][]attune.Admission{{queueAt("a", 2), queueAt("b", 5)}, {queueAt("c", 1)}}
		require.Equal(t, policy.Reach{Told: 3}, announce(t, w))
		require.Equal(t, map[attune.QueueKey][]int64{"a": {2}, "b": {5}, "c": {1}}, w.sent)
	})

	t.Run("a queue that cannot be reached is counted, and the answer comes", func(t *testing.T) {
		t.Parallel()
		w := newPolicyWorld()
		w.unreachable["a"] = true
		w.changes = [][]attune.Admission{{queueAt("a", 2), queueAt("b", 5)}}
		require.Equal(t, policy.Reach{Told: 1, NotTold: 1}, announce(t, w))
	})

	t.Run("it waits for the queues that another process is telling, for a moment", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newPolicyWorld()
			w.untold["a"] = 2
			go func() {
				<-time.After(time.Second)
				w.do(func() { delete(w.untold, "a") })
			}()
			began := time.Now()
			require.Zero(t, announce(t, w).NotTold)
			require.Less(t, time.Since(began), 1100*time.Millisecond)
			w.untold["b"] = 3
			began = time.Now()
			require.EqualValues(t, 1, announce(t, w).NotTold)
			require.Equal(t, 2*time.Second, time.Since(began))
		})
	})
}
