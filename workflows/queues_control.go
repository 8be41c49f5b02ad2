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

// SetMode opens, pauses or drains a queue. It returns the queue as it is afterwards, like every change here. One that
// changes nothing is [attune.CodeConflict].
func (q *Queues) SetMode(ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author) (attune.QueueStatus, error) {
	updates := map[attune.QueueMode]string{
		attune.QueueOpen: UpdateResume, attune.QueuePaused: UpdatePause, attune.QueueDraining: UpdateDrain,
	}
	name, known := updates[mode]
	if !known {
		return attune.QueueStatus{}, attune.Errorf(attune.CodeInvalid, "mode %q: use %q, %q or %q",
			mode, attune.QueueOpen, attune.QueuePaused, attune.QueueDraining)
	}
	return q.update(ctx, key, name, ChangeRequest{Author: author})
}

// SetLimit puts a limit in force instead of the policy's; nil gives it back to the policy.
func (q *Queues) SetLimit(
	ctx context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	request := ChangeRequest{Author: author}
	if limit == nil {
		return q.update(ctx, key, UpdateClearLimit, request)
	}
	return q.update(ctx, key, UpdateSetLimit, LimitRequest{ChangeRequest: request, LimitOverride: *limit})
}

// CancelTicket takes a waiting ticket out of a queue. One that does not wait is [attune.CodeConflict].
func (q *Queues) CancelTicket(
	ctx context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author,
) (attune.QueueStatus, error) {
	return q.update(ctx, key, UpdateCancel, CancelRequest{ChangeRequest: ChangeRequest{Author: author}, Ticket: ticket})
}

// update starts the queue if it does not run: it can be paused before its first use.
func (q *Queues) update(ctx context.Context, key attune.QueueKey, name string, request any) (attune.QueueStatus, error) {
	options := q.start(key)
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	start := q.client.NewWithStartWorkflowOperation(options, ActionQueueWorkflowName, QueueInput{Queue: key})
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
		return view.QueueStatus, attune.Errorf(attune.Code(refused.Type()), "%s", refused.Message())
	}
	if err != nil {
		return view.QueueStatus, fmt.Errorf("%s queue %q: %w", name, key, Translate(err))
	}
	return view.QueueStatus, nil
}
