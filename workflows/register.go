package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Registry is the part of a Temporal worker, or of a replayer, that workflows are registered with.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflows under their names.
func Register(registry Registry) {
	registry.RegisterWorkflowWithOptions(ActionQueueWorkflow, workflow.RegisterOptions{Name: ActionQueueWorkflowName})
	registry.RegisterWorkflowWithOptions(EnforcementWorkflow, workflow.RegisterOptions{Name: EnforcementWorkflowName})
	registry.RegisterWorkflowWithOptions(InstallationWorkflow, workflow.RegisterOptions{Name: InstallationWorkflowName})
}

// Workflows are cached by the SDK, in one cache per process, of 10 000. That suits both kinds: a queue that was evicted costs
// the replay of at most [maxHistory] events, an enforcement leaves the cache after a second, and a sleeping workflow, of which
// there may be more than 10 000, is not in the cache while it sleeps.

// QueueWorkerOptions are those of the temporal worker on [QueueTaskQueue]. Few queues are busy at the same time, and each
// runs one task at a time; what matters is that their tasks are picked up at once. The SDK's pollers share themselves
// between the worker's own task queue and the common one, so 8 of them keep some on either.
func QueueWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       8,
		MaxConcurrentWorkflowTaskExecutionSize: 64,
		MaxConcurrentActivityTaskPollers:       4,
	}
}

// EnforcementWorkerOptions are those of the temporal worker on [EnforcementTaskQueue]. Nearly all tasks come to it eagerly,
// with the start of a workflow; pollers serve those that wait for a signal. The bound on tasks at a time is also that on
// workflows that can be started eagerly, and so it is far above one batch of grants.
func EnforcementWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       4,
		MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityTaskPollers:       4,
	}
}
