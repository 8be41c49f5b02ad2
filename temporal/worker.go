package temporal

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// stopPatience is how long activities under way may take when a temporal worker stops.
const stopPatience = 10 * time.Second

// Worker is a temporal worker: it polls one task queue. Start it once and stop it once.
type Worker struct {
	taskQueue string
	worker    worker.Worker
}

// NewWorker returns a worker that does not poll yet and has everything registered. ended is called when the worker ends by
// itself.
func NewWorker(c client.Client, taskQueue string, options worker.Options, ended func(error), register ...func(worker.Registry)) *Worker {
	options.WorkerStopTimeout = stopPatience
	options.OnFatalError = ended
	w := worker.New(c, taskQueue, options)
	for _, with := range register {
		with(w)
	}
	return &Worker{taskQueue: taskQueue, worker: w}
}

// Start starts to poll.
func (w *Worker) Start(context.Context) error {
	if err := w.worker.Start(); err != nil {
		return fmt.Errorf("start the temporal worker on %q: %w", w.taskQueue, err)
	}
	return nil
}

// Stop polls no more and gives activities under way 10 s.
func (w *Worker) Stop(context.Context) error {
	w.worker.Stop()
	return nil
}
