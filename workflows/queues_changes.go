package workflows

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// SetMode opens, pauses or drains a queue. It waits until the change is recorded and returns the new status of the queue. A
// change without effect is [attune.CodeConflict], an invalid change is [attune.CodeInvalid], and [attune.CodeUnavailable] means
// that the change can still be made later. All methods for changes behave so.
func (q *QueueClient) SetMode(
	ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeMode, Mode: mode})
}

// SetLimit sets a manual limit instead of the policy's; nil clears it.
func (q *QueueClient) SetLimit(
	ctx context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeLimit, Limit: limit})
}

// SetLaneLimit sets a manual limit of one lane, in place of the policy's limit per key; nil clears it.
func (q *QueueClient) SetLaneLimit(
	ctx context.Context, key attune.QueueKey, lane int32, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeLaneLimit, Lane: lane, Limit: limit})
}

// CancelByPerson cancels a waiting ticket. A ticket that does not wait is [attune.CodeConflict].
func (q *QueueClient) CancelByPerson(
	ctx context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeCancel, Ticket: ticket})
}

func (q *QueueClient) change(ctx context.Context, key attune.QueueKey, request attune.ChangeRequest) (attune.QueueStatus, error) {
	request.ID = uuid.NewString()
	if err := request.Validate(); err != nil {
		return attune.QueueStatus{}, err
	}
	return q.changer.submit(ctx, key, request)
}

// update sends changes as one update. It starts the workflow if it does not run: a queue can be paused before its first use.
func (q *QueueClient) update(ctx context.Context, key attune.QueueKey, requests []attune.ChangeRequest) (result ChangesResult, err error) {
	options := q.start(key)
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	start := q.client.NewWithStartWorkflowOperation(options, ActionQueueWorkflowName, QueueInput{Queue: key})
	handle, err := q.client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateName: UpdateChange, Args: []any{ChangesInput{Changes: requests}}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err == nil {
		err = handle.Get(ctx, &result)
	}
	if refused, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return result, attune.Errorf(attune.Code(refused.Type()), "%s", refused.Message())
	}
	if err != nil {
		return result, fmt.Errorf("change queue %q: %w", key, Translate(err))
	}
	return result, nil
}
