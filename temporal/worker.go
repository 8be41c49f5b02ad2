package temporal

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// stopTimeout is how long running activities may take when a temporal worker stops.
const stopTimeout = 10 * time.Second

// Worker is a temporal worker: it polls one task queue. Start it once and stop it once.
type Worker struct {
	taskQueue string
	worker    worker.Worker
}

// NewWorker returns a worker with everything registered, which polls after [Worker.Start]. ended is called if the worker
// ends by itself.
func NewWorker(c client.Client, taskQueue string, options worker.Options, ended func(error), register ...func(worker.Registry)) *Worker {
	options.WorkerStopTimeout = stopTimeout
	options.OnFatalError = ended
	w := worker.New(c, taskQueue, options)
	for _, add := range register {
		add(w)
	}
	return &Worker{taskQueue: taskQueue, worker: w}
}

// Start starts polling.
func (w *Worker) Start(context.Context) error {
	if err := w.worker.Start(); err != nil {
		return fmt.Errorf("start the temporal worker on %q: %w", w.taskQueue, err)
	}
	return nil
}

// Stop ends polling and waits up to 10 s for running activities.
func (w *Worker) Stop(context.Context) error {
	w.worker.Stop()
	return nil
}
