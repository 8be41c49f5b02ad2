package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// A namespace belongs to one installation: two would take each other's enforcements for their own, because both count from 1.
// The workflow with the id [InstallationWorkflowID] is the claim: the engine lets one run at a time, and its memo names the
// installation. The claim is looked at when a process starts.

// identityPrefix begins the identity of every process of an installation, as Temporal lists the pollers of a task queue.
const identityPrefix = "attune/"

// Identity names a process to Temporal.
func Identity(installation attune.InstallationID, process string) string {
	return identityPrefix + string(installation) + "/" + process
}

// InstallationWorkflow holds the claim of an installation on its namespace. It does nothing and has no end.
func InstallationWorkflow(ctx workflow.Context, installation attune.InstallationID) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("The workflows of this namespace belong to installation %s of attune.", installation))
	if err := workflow.Await(ctx, func() bool { return false }); err != nil {
		return fmt.Errorf("hold the namespace: %w", err)
	}
	return nil
}

const (
	// pollerSilence is how long a process that lives is silent at most: a poll of its task queue takes up to 70 seconds.
	pollerSilence = 75 * time.Second
	// claimPause is the time between two looks at a claim of another installation.
	claimPause = 2 * time.Second
)

// Claim makes a namespace the installation's, or says why it cannot be.
//
// A namespace that another installation has claimed is taken over when no process of that one has polled it for 75 seconds:
// Claim waits that long. It then ends the workflows that the other has left, because they would take new enforcements for old
// ones; queues are rebuilt from the rows. When a process of the other polls meanwhile, the error is [attune.CodeConflict].
func Claim(ctx context.Context, c client.Client, namespace string, installation attune.InstallationID, log *slog.Logger) error {
	claim := &claim{client: c, namespace: namespace, installation: installation, log: log}
	owner, err := claim.owner(ctx)
	switch {
	case err != nil:
		return err
	case owner == installation:
		return nil
	case owner != "":
		if err := claim.takeOver(ctx, owner); err != nil {
			return err
		}
	}
	if err := claim.start(ctx); err != nil {
		return err
	}
	if owner, err = claim.owner(ctx); err == nil && owner != installation {
		err = claim.conflict(owner)
	}
	return err
}

// Owner is the installation that has claimed a namespace; empty when none has.
func Owner(ctx context.Context, c client.Client, namespace string) (attune.InstallationID, error) {
	return (&claim{client: c, namespace: namespace}).owner(ctx)
}

type claim struct {
	client       client.Client
	namespace    string
	installation attune.InstallationID
	log          *slog.Logger
}

func (c *claim) owner(ctx context.Context) (owner attune.InstallationID, err error) {
	description, err := c.client.DescribeWorkflowExecution(ctx, InstallationWorkflowID, "")
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the claim on namespace %q: %w", c.namespace, Translate(err))
	}
	info := description.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return "", nil
	}
	if err := converter.GetDefaultDataConverter().FromPayload(info.GetMemo().GetFields()[MemoInstallation], &owner); err != nil {
		return "", fmt.Errorf("read the claim on namespace %q: %w", c.namespace, err)
	}
	return owner, nil
}

func (c *claim) start(ctx context.Context) error {
	_, err := c.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: InstallationWorkflowID, TaskQueue: QueueTaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		Memo:                     map[string]any{MemoInstallation: c.installation},
		StaticSummary:            "installation " + string(c.installation),
	}, InstallationWorkflowName, c.installation)
	if err != nil {
		return fmt.Errorf("claim namespace %q: %w", c.namespace, Translate(err))
	}
	return nil
}

func (c *claim) conflict(owner attune.InstallationID) error {
	return attune.Errorf(attune.CodeConflict, "namespace %q belongs to another installation of attune (%s), whose processes are "+
		"running: give this one a namespace of its own (TEMPORAL_NAMESPACE), or stop those first", c.namespace, owner)
}

// takeOver waits until the other installation has been silent for long enough, and ends what it has left.
func (c *claim) takeOver(ctx context.Context, owner attune.InstallationID) error {
	since := time.Now()
	tick := time.NewTicker(claimPause)
	defer tick.Stop()
	for {
		last, err := c.lastPoll(ctx, owner)
		if err != nil {
			return err
		}
		if last.After(since) {
			return c.conflict(owner)
		}
		if silent := time.Since(last); silent > pollerSilence {
			break
		}
		c.log.InfoContext(ctx, "the namespace belongs to another installation: waiting to see whether a process of it is running",
			"namespace", c.namespace, "installation", owner, "last_poll", last)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return attune.WrapError(attune.CodeUnavailable, ctx.Err(), "namespace %q belongs to installation %s", c.namespace, owner)
		}
	}
	c.log.WarnContext(ctx, "the namespace belonged to another installation that no process runs: taken over",
		"namespace", c.namespace, "installation", owner)
	return c.endAll(ctx)
}

// lastPoll is when a process of an installation last asked for work; zero when none has in the last minutes.
func (c *claim) lastPoll(ctx context.Context, owner attune.InstallationID) (last time.Time, err error) {
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		for _, queue := range []string{QueueTaskQueue, EnforcementTaskQueue} {
			description, err := c.client.DescribeTaskQueue(ctx, queue, kind)
			if err != nil {
				return last, fmt.Errorf("look at the pollers of %q: %w", queue, Translate(err))
			}
			for _, poller := range description.GetPollers() {
				at := poller.GetLastAccessTime().AsTime()
				if strings.HasPrefix(poller.GetIdentity(), identityPrefix+string(owner)+"/") && at.After(last) {
					last = at
				}
			}
		}
	}
	return last, nil
}

// leftovers finds the workflows that an installation leaves in its namespace.
const leftovers = "ExecutionStatus = 'Running' AND WorkflowType IN ('" +
	ActionQueueWorkflowName + "', '" + EnforcementWorkflowName + "', '" + InstallationWorkflowName + "')"

// endAll terminates every workflow of attune in the namespace. Terminating does not wait for a temporal worker.
func (c *claim) endAll(ctx context.Context) error {
	for {
		found, err := c.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: c.namespace, Query: leftovers, PageSize: 500,
		})
		if err != nil {
			return fmt.Errorf("list the workflows of namespace %q: %w", c.namespace, Translate(err))
		}
		ended := 0
		for _, execution := range found.GetExecutions() {
			id := execution.GetExecution()
			err := c.client.TerminateWorkflow(ctx, id.GetWorkflowId(), id.GetRunId(), "another installation has taken the namespace over")
			if _, gone := errors.AsType[*serviceerror.NotFound](err); err != nil && !gone {
				return fmt.Errorf("end workflow %q: %w", id.GetWorkflowId(), Translate(err))
			} else if !gone {
				ended++
			}
		}
		if ended == 0 { // the list lags behind: what it still has is gone
			return nil
		}
	}
}
