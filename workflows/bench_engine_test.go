package workflows_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune/workflows"
)

// engine runs the least workflow there is: started eagerly, one local activity, done.
type engine struct {
	client   client.Client
	started  atomic.Int64
	done     atomic.Int64
	progress chan struct{}
}

const (
	engineTaskQueue    = "bench-engine"
	engineWorkflowName = "BareWorkflow"
	engineActivityName = "BareActivity"
)

func newEngine(b *testing.B, c client.Client) *engine {
	b.Helper()
	e := &engine{client: c, progress: make(chan struct{}, 1)}
	w := worker.New(c, engineTaskQueue, workflows.EnforcementWorkerOptions())
	registerBare(w, engineWorkflowName, bareWorkflow)
	registerBareActivity(w, engineActivityName, func(context.Context) error {
		e.done.Add(1)
		wake(e.progress)
		return nil
	})
	require.NoError(b, w.Start())
	b.Cleanup(w.Stop)
	return e
}

// run returns the time from the first of n starts until the last of the n local activities has run.
func (e *engine) run(b *testing.B, n, starters int) time.Duration {
	b.Helper()
	return timeToDo(b, starters, n, &e.done, e.progress, func() error {
		_, err := e.client.ExecuteWorkflow(b.Context(), client.StartWorkflowOptions{
			ID: "bare/" + strconv.FormatInt(e.started.Add(1), 10), TaskQueue: engineTaskQueue, EnableEagerStart: true,
		}, engineWorkflowName)
		return err
	})
}

// mostProductive finds how many starters at the same time get the most out of the engine.
func (e *engine) mostProductive(b *testing.B) int {
	b.Helper()
	const each = 60
	e.run(b, each, 16) // warm up
	best, fastest := 0, time.Duration(0)
	for _, starters := range []int{4, 8, 16, 32, 64} {
		elapsed := min(e.run(b, each, starters), e.run(b, each, starters))
		if best == 0 || elapsed < fastest {
			best, fastest = starters, elapsed
		}
	}
	b.Logf("the engine does most with %d starters", best)
	return best
}

func bareWorkflow(ctx workflow.Context) error {
	return workflow.ExecuteLocalActivity(shortly(ctx), engineActivityName).Get(ctx, nil)
}

func shortly(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: 5 * time.Second, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

func registerBare(w worker.Worker, name string, run any) {
	w.RegisterWorkflowWithOptions(run, workflow.RegisterOptions{Name: name})
}

func registerBareActivity(w worker.Worker, name string, run any) {
	w.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: name})
}

// timeToDo returns the time from the first of n starts until n more have been done.
func timeToDo(
	b *testing.B, starters, n int, done *atomic.Int64, progress <-chan struct{}, start func() error,
) time.Duration {
	b.Helper()
	target := done.Load() + int64(n)
	begun := time.Now()
	starting := inParallel(b, starters, n, start)
	await(b, progress, func() bool { return done.Load() >= target })
	elapsed := time.Since(begun)
	starting.Wait()
	return elapsed
}

// inParallel has do called n times, by as many callers at a time as there are starters. Wait for what it returns.
func inParallel(b *testing.B, starters, n int, do func() error) *sync.WaitGroup {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var starting sync.WaitGroup
	for range starters {
		starting.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					b.Errorf("start: %v", err)
					return
				}
			}
		})
	}
	return &starting
}
