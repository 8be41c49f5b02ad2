package workflows

import (
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Registry registers workflows: a temporal worker or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflows under their names.
func Register(registry Registry) {
	registry.RegisterWorkflowWithOptions(ActionQueueWorkflow, workflow.RegisterOptions{Name: ActionQueueWorkflowName})
	registry.RegisterWorkflowWithOptions(EnforcementWorkflow, workflow.RegisterOptions{Name: EnforcementWorkflowName})
	registry.RegisterWorkflowWithOptions(InstallationWorkflow, workflow.RegisterOptions{Name: InstallationWorkflowName})
}

// The SDK caches up to 10 000 workflows per process. That is enough for both kinds: an evicted queue replays at most
// [maxHistory] events, an enforcement leaves the cache after a second, and a sleeping workflow is not in the cache.

// QueueWorkerOptions returns the options of the temporal worker on [QueueTaskQueue]. Each queue runs one task at a time, and the tasks
// must start at once: a change of a policy can be for hundreds of queues, and a task that waits for a free slot of the worker for 5 s
// is given to any worker, without the cache. The SDK divides the pollers between the worker's sticky task queue and the common one,
// so 8 pollers serve both.
func QueueWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       8,
		MaxConcurrentWorkflowTaskExecutionSize: 1000,
		MaxConcurrentActivityTaskPollers:       4,
		Interceptors:                           []interceptor.WorkerInterceptor{&heartbeats{}},
	}
}

// EnforcementWorkerOptions returns the options of the temporal worker on [EnforcementTaskQueue]. Most of its tasks arrive
// eagerly, with the start of a workflow; pollers serve the workflows that wait for a signal. The maximum of parallel tasks also
// bounds eager starts, so it is far above the parallel starts of one batch of grants.
func EnforcementWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       4,
		MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityTaskPollers:       4,
		Interceptors:                           []interceptor.WorkerInterceptor{&heartbeats{}},
	}
}
