package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Registry is the part of a Temporal worker, or of a replayer, that workflows are registered with.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers both workflows under their names.
func Register(registry Registry) {
	registry.RegisterWorkflowWithOptions(ActionQueueWorkflow, workflow.RegisterOptions{Name: ActionQueueWorkflowName})
	registry.RegisterWorkflowWithOptions(EnforcementWorkflow, workflow.RegisterOptions{Name: EnforcementWorkflowName})
}

// QueueWorkerOptions are those of the temporal worker on [QueueTaskQueue]. Few queues are busy at the same time, and each
// runs one task at a time; what matters is that their tasks are picked up at once.
func QueueWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       8,
		MaxConcurrentWorkflowTaskExecutionSize: 64,
		MaxConcurrentActivityTaskPollers:       4,
	}
}

// EnforcementWorkerOptions are those of the temporal worker on [EnforcementTaskQueue]. Nearly all tasks come to it eagerly,
// with the start of a workflow; pollers serve those that wait for a signal.
func EnforcementWorkerOptions() worker.Options {
	return worker.Options{
		MaxConcurrentWorkflowTaskPollers:       4,
		MaxConcurrentWorkflowTaskExecutionSize: 200,
		MaxConcurrentActivityTaskPollers:       4,
	}
}
