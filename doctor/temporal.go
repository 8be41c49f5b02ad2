package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// TemporalServer reads from Temporal. All fields are required.
type TemporalServer struct {
	Client    client.Client
	Namespace string
}

// engine reads the version of the server and the retention of the namespace.
func (t TemporalServer) engine(ctx context.Context) (Engine, error) {
	service := t.Client.WorkflowService()
	system, err := service.GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
	if err != nil {
		return Engine{}, fmt.Errorf("ask Temporal for its version: %w", workflows.Translate(err))
	}
	described, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: t.Namespace})
	if _, missing := errors.AsType[*serviceerror.NamespaceNotFound](err); missing {
		return Engine{}, attune.WrapError(attune.CodeNotFound, err,
			"Temporal has no namespace %q: create it, or set TEMPORAL_NAMESPACE", t.Namespace)
	}
	if err != nil {
		return Engine{}, fmt.Errorf("describe the namespace %q of Temporal: %w", t.Namespace, workflows.Translate(err))
	}
	return Engine{
		Server: system.GetServerVersion(), Namespace: t.Namespace,
		Retention: described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(),
	}, nil
}

// pollers returns a function that reads the last poll of each temporal worker of a task queue.
func (t TemporalServer) pollers(queue string) func(context.Context) (workflows, activities []time.Time, err error) {
	return func(ctx context.Context) (forWorkflows, forActivities []time.Time, err error) {
		if forWorkflows, err = t.pollersOf(ctx, queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW); err != nil {
			return nil, nil, err
		}
		forActivities, err = t.pollersOf(ctx, queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		return forWorkflows, forActivities, err
	}
}

func (t TemporalServer) pollersOf(ctx context.Context, queue string, kind enumspb.TaskQueueType) ([]time.Time, error) {
	described, err := t.Client.DescribeTaskQueue(ctx, queue, kind)
	if err != nil {
		return nil, fmt.Errorf("list the pollers of the task queue %q: %w", queue, workflows.Translate(err))
	}
	var pollers []time.Time
	for _, p := range described.GetPollers() {
		pollers = append(pollers, p.GetLastAccessTime().AsTime())
	}
	return pollers, nil
}
