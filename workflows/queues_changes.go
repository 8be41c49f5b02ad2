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

// SetMode opens, pauses or drains a queue. Like every change here, it returns the queue as it is afterwards, once the change
// is recorded. A change that changes nothing is [attune.CodeConflict], and one that no queue can make [attune.CodeInvalid].
func (q *QueueClient) SetMode(
	ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeMode, Mode: mode})
}

// SetLimit puts a limit in force instead of the policy's; nil gives it back to the policy.
func (q *QueueClient) SetLimit(
	ctx context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeLimit, Limit: limit})
}

// CancelTicket takes a waiting ticket out of a queue. A ticket that does not wait is [attune.CodeConflict].
func (q *QueueClient) CancelTicket(
	ctx context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author,
) (attune.QueueStatus, error) {
	return q.change(ctx, key, attune.ChangeRequest{Author: author, Kind: attune.ChangeCancel, Ticket: ticket})
}

func (q *QueueClient) change(ctx context.Context, key attune.QueueKey, request attune.ChangeRequest) (attune.QueueStatus, error) {
	request.ID = uuid.NewString()
	if err := request.Validate(); err != nil {
		return attune.QueueStatus{}, err
	}
	return q.changes.make(ctx, key, request)
}

// update sends changes as one update. It starts the queue if it does not run: a queue can be paused before its first use.
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
