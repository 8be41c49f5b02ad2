package workflows

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// Pause stops grants. It returns the queue as it is afterwards, like every change here. A change that changes nothing is
// [attune.CodeConflict].
func (q *Queues) Pause(ctx context.Context, key attune.QueueKey, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdatePause, ChangeRequest{By: by, Note: note})
}

// Resume opens a queue that is paused or drains.
func (q *Queues) Resume(ctx context.Context, key attune.QueueKey, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdateResume, ChangeRequest{By: by, Note: note})
}

// Drain has a queue reject newcomers and grant those who wait.
func (q *Queues) Drain(ctx context.Context, key attune.QueueKey, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdateDrain, ChangeRequest{By: by, Note: note})
}

// SetLimit puts a limit in force instead of the policy's.
func (q *Queues) SetLimit(ctx context.Context, key attune.QueueKey, limit attune.LimitOverride, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdateSetLimit, LimitRequest{ChangeRequest: ChangeRequest{By: by, Note: note}, LimitOverride: limit})
}

// ClearLimit gives the limit back to the policy.
func (q *Queues) ClearLimit(ctx context.Context, key attune.QueueKey, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdateClearLimit, ChangeRequest{By: by, Note: note})
}

// CancelTicket takes a waiting ticket out of a queue. One that does not wait is [attune.CodeConflict].
func (q *Queues) CancelTicket(ctx context.Context, key attune.QueueKey, ticket attune.Ticket, by, note string) (QueueView, error) {
	return q.update(ctx, key, UpdateCancel, CancelRequest{ChangeRequest: ChangeRequest{By: by, Note: note}, Ticket: ticket})
}

// update starts the queue if it does not run: it can be paused before its first use.
func (q *Queues) update(ctx context.Context, key attune.QueueKey, name string, request any) (QueueView, error) {
	start := q.client.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: QueueWorkflowID(key), TaskQueue: QueueTaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, ActionQueueWorkflowName, QueueInput{Queue: key})
	handle, err := q.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateName: name, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	var view QueueView
	if err == nil {
		err = handle.Get(ctx, &view)
	}
	if refused, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return view, attune.Errorf(attune.Code(refused.Type()), "%s", refused.Message())
	}
	if err != nil {
		return view, fmt.Errorf("%s queue %q: %w", name, key, Translate(err))
	}
	return view, nil
}
