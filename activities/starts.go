package activities

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// sleepersInParallel bounds the parallel starts of sleeping workflows. It is small, because no ticket waits for these starts.
const sleepersInParallel = 4

// StartSleepers implements [workflows.ActivityStartSleepers]: it starts the EnforcementWorkflow of waiting tickets asleep. A
// grant, a cancel or the end of [workflows.SleepFor] wakes it. A workflow that already runs counts as started.
func (a *QueueActivities) StartSleepers(ctx context.Context, input workflows.TicketsInput) error {
	err := each(ctx, sleepersInParallel, input.Tickets, func(ctx context.Context, ticket attune.Ticket) error {
		options := a.start(input.Queue, input.Names.Of(input.Queue, ticket.Action), ticket)
		options.StartDelay = workflows.SleepFor
		options.StaticSummary = fmt.Sprintf("%s: sequence %d", input.Queue, ticket.Sequence)
		_, err := a.client.ExecuteWorkflow(ctx, options, workflows.EnforcementWorkflowName,
			workflows.EnforcementInput{Enforcement: ticket.Enforcement, Queue: input.Queue})
		return unlessStarted(err)
	})
	if err != nil {
		return workflows.ActivityError(fmt.Errorf("start sleeping workflows of queue %q: %w", input.Queue, err))
	}
	return nil
}

// deliver starts the workflow of a grant, or signals the workflow if it runs. SignalWithStart also wakes a sleeping workflow; a
// plain signal would not. A completed workflow has already acted upon the grant.
func (a *QueueActivities) deliver(ctx context.Context, key attune.QueueKey, action attune.Ref, grant attune.Grant) error {
	options := a.start(key, action, grant.Ticket)
	options.EnableEagerStart = true
	options.StaticSummary = fmt.Sprintf("%s: sequence %d, grant %d", key, grant.Sequence, grant.Number)
	input := workflows.EnforcementInput{Enforcement: grant.Enforcement, Queue: key, Grant: &grant}
	_, err := a.client.ExecuteWorkflow(ctx, options, workflows.EnforcementWorkflowName, input)
	if !alreadyStarted(err) {
		return workflows.Translate(err)
	}
	options.EnableEagerStart = false
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED // a running workflow gets the signal
	signal := func() error {
		_, err := a.client.SignalWithStartWorkflow(ctx, options.ID, workflows.SignalGrant,
			workflows.GrantSignal{Queue: key, Grant: grant}, options, workflows.EnforcementWorkflowName, input)
		return err
	}
	if err = signal(); !alreadyStarted(err) {
		return workflows.Translate(err)
	}
	// The row decides whether the completed workflow was this ticket's: a database that was restored to an earlier time runs a
	// ticket again, or gives its id to another enforcement.
	waiting, err := a.rows.StillWaiting(ctx, key, []attune.Ticket{grant.Ticket})
	if err != nil || len(waiting) == 0 {
		return err
	}
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	return unlessStarted(signal())
}

// wakeSleepers cancels the sleeping workflows of settled tickets. The cancel wakes them.
func (a *QueueActivities) wakeSleepers(ctx context.Context, input workflows.DecisionsInput) error {
	return each(ctx, startsInParallel, input.Settlements, func(ctx context.Context, settlement attune.Settlement) error {
		if settlement.Sequence > input.AsleepUpTo {
			return nil
		}
		err := workflows.Translate(a.client.CancelWorkflow(ctx, workflows.EnforcementWorkflowID(settlement.Enforcement), ""))
		if attune.CodeOf(err) == attune.CodeNotFound {
			return nil
		}
		return err
	})
}

// each calls do for every item, up to limit of them at a time, until one fails.
func each[T any](ctx context.Context, limit int, items []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for _, item := range items {
		group.Go(func() error { return do(ctx, item) })
	}
	return group.Wait()
}

// start returns the options to start the workflow of a ticket, unless the workflow runs. The start replaces a terminated or
// failed run, whose ticket still waits or holds a slot. It replaces a completed run only for a later attempt.
func (a *QueueActivities) start(key attune.QueueKey, action attune.Ref, ticket attune.Ticket) client.StartWorkflowOptions {
	options := client.StartWorkflowOptions{
		ID:                                       workflows.EnforcementWorkflowID(ticket.Enforcement),
		TaskQueue:                                workflows.EnforcementTaskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
	}
	if ticket.Attempt > 1 {
		options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	if a.config.SearchAttributes {
		options.TypedSearchAttributes = workflows.SearchAttributes(key, action)
	}
	return options
}

func alreadyStarted(err error) bool {
	_, started := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err)
	return started
}

func unlessStarted(err error) error {
	if alreadyStarted(err) {
		return nil
	}
	return workflows.Translate(err)
}
