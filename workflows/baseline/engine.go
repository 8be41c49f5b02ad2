// Package baseline measures the minimum work that Temporal does per enforcement: a workflow that starts eagerly and runs one
// local activity. Benchmarks run the baseline and attune in turn on one server, and report the ratio.
//
// The engine uses the number of parallel starters with the highest throughput: see [Engine.MostProductive]. No result depends
// on the speed of the machine: a wait fails only after three minutes without progress.
package baseline

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune/workflows"
)

// WorkflowName is the type of the engine's workflows.
const WorkflowName = "BareWorkflow"

const (
	taskQueue    = "bench-engine"
	activityName = "BareActivity"
)

// Engine runs bare workflows, with the options of attune's own temporal workers.
type Engine struct {
	client  client.Client
	worker  worker.Worker
	started atomic.Int64
	done    *Count
}

// NewEngine returns an engine on the server and in the namespace of c. The caller starts and stops it.
func NewEngine(c client.Client) *Engine {
	e := &Engine{client: c, worker: worker.New(c, taskQueue, workflows.EnforcementWorkerOptions()), done: NewCount()}
	e.worker.RegisterWorkflowWithOptions(bareWorkflow, workflow.RegisterOptions{Name: WorkflowName})
	e.worker.RegisterActivityWithOptions(func(context.Context) error {
		e.done.Add(1)
		return nil
	}, activity.RegisterOptions{Name: activityName})
	return e
}

// Start starts the engine's temporal worker.
func (e *Engine) Start() error {
	if err := e.worker.Start(); err != nil {
		return fmt.Errorf("start the worker of the bare engine: %w", err)
	}
	return nil
}

// Stop stops the engine's temporal worker.
func (e *Engine) Stop() { e.worker.Stop() }

// Run starts n workflows and returns the time from the first start until the last local activity has run.
func (e *Engine) Run(ctx context.Context, n, starters int) (time.Duration, error) {
	return e.done.Time(ctx, n, starters, e.start)
}

// start starts one workflow. Without a reply in time, start repeats the call with the same id, so the workflow starts only
// once.
func (e *Engine) start(ctx context.Context) error {
	options := client.StartWorkflowOptions{
		ID: "bare/" + strconv.FormatInt(e.started.Add(1), 10), TaskQueue: taskQueue, EnableEagerStart: true,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
	}
	return UntilAnswered(ctx, func(ctx context.Context) error {
		_, err := e.client.ExecuteWorkflow(ctx, options, WorkflowName)
		return err
	})
}

// MostProductive returns the number of parallel starters, from 4 to 64, with the highest throughput.
func (e *Engine) MostProductive(ctx context.Context) (int, error) {
	const each = 60
	if _, err := e.Run(ctx, each, 16); err != nil { // warm up
		return 0, err
	}
	best, fastest := 0, time.Duration(0)
	for _, starters := range []int{4, 8, 16, 32, 64} {
		first, err := e.Run(ctx, each, starters)
		if err != nil {
			return 0, err
		}
		second, err := e.Run(ctx, each, starters)
		if err != nil {
			return 0, err
		}
		if elapsed := min(first, second); best == 0 || elapsed < fastest {
			best, fastest = starters, elapsed
		}
	}
	return best, nil
}

func bareWorkflow(ctx workflow.Context) error {
	return workflow.ExecuteLocalActivity(Briefly(ctx), activityName).Get(ctx, nil)
}

// Briefly sets the options of the baselines' local activities: one try of up to a minute. They take milliseconds; the timeout
// allows for a busy machine.
func Briefly(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}
