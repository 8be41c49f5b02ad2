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

// A namespace belongs to one installation. Two installations would confuse their enforcements, because both number them from 1.
// The workflow with the id [InstallationWorkflowID] is the claim on the namespace: Temporal runs at most one, and its memo
// names the installation. Every process checks the claim when it starts.

// identityPrefix begins the identity of every process of an installation. Temporal shows identities in the pollers of a task
// queue.
const identityPrefix = "attune/"

// Identity returns the identity of a process for Temporal.
func Identity(installation attune.InstallationID, process string) string {
	return identityPrefix + string(installation) + "/" + process
}

// InstallationWorkflow is the claim of an installation on its namespace. It runs forever and does nothing.
func InstallationWorkflow(ctx workflow.Context, installation attune.InstallationID) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("The workflows of this namespace belong to installation %s of attune.", installation))
	if err := workflow.Await(ctx, func() bool { return false }); err != nil {
		return fmt.Errorf("hold the namespace: %w", err)
	}
	return nil
}

const (
	// pollerTimeout is when a process without a poll counts as stopped. A running process polls at least every 70 seconds.
	pollerTimeout = 75 * time.Second
	// claimPause is the pause between two checks of another installation's pollers.
	claimPause = 2 * time.Second
)

// Claim claims a namespace for an installation.
//
// If the namespace belongs to another installation, Claim waits until the claim of that installation, and the last poll by its
// processes, are 75 s ago. A poll during the wait means that the installation runs: the error is [attune.CodeConflict].
// Otherwise Claim takes the namespace over and terminates the workflows of the other installation, because they would confuse
// new enforcements with old ones. Queues are then rebuilt from the rows.
func Claim(ctx context.Context, c client.Client, namespace string, installation attune.InstallationID, log *slog.Logger) error {
	claim := &claim{client: c, namespace: namespace, installation: installation, log: log}
	owner, claimedAt, err := claim.owner(ctx)
	switch {
	case err != nil:
		return err
	case owner == installation:
		return nil
	case owner != "":
		if err := claim.takeOver(ctx, owner, claimedAt); err != nil {
			return err
		}
	}
	if err := claim.start(ctx); err != nil {
		return err
	}
	if owner, _, err = claim.owner(ctx); err == nil && owner != installation {
		err = claim.conflict(owner)
	}
	return err
}

// Owner returns the installation that has claimed a namespace; empty without a claim.
func Owner(ctx context.Context, c client.Client, namespace string) (attune.InstallationID, error) {
	owner, _, err := (&claim{client: c, namespace: namespace}).owner(ctx)
	return owner, err
}

// claim is the claim of an installation on a namespace.
type claim struct {
	client       client.Client
	namespace    string
	installation attune.InstallationID
	log          *slog.Logger
}

// owner returns the installation that has claimed the namespace, and when it did; empty without a claim.
func (c *claim) owner(ctx context.Context) (owner attune.InstallationID, claimedAt time.Time, err error) {
	description, err := c.client.DescribeWorkflowExecution(ctx, InstallationWorkflowID, "")
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return "", claimedAt, nil
	}
	if err != nil {
		return "", claimedAt, fmt.Errorf("read the claim on namespace %q: %w", c.namespace, Translate(err))
	}
	info := description.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return "", claimedAt, nil
	}
	if err := converter.GetDefaultDataConverter().FromPayload(info.GetMemo().GetFields()[MemoInstallation], &owner); err != nil {
		return "", claimedAt, fmt.Errorf("read the claim on namespace %q: %w", c.namespace, err)
	}
	return owner, info.GetStartTime().AsTime(), nil
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
	return attune.Errorf(attune.CodeConflict, "namespace %q belongs to another installation of attune (%s), and its processes "+
		"are running: use another namespace for this installation (TEMPORAL_NAMESPACE), or stop those processes first", c.namespace, owner)
}

// takeOver waits until the other installation counts as stopped, and terminates its workflows. An installation polls only after
// it has claimed the namespace, so a young claim counts as a sign of life.
func (c *claim) takeOver(ctx context.Context, owner attune.InstallationID, claimedAt time.Time) error {
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
		if time.Since(last) > pollerTimeout && time.Since(claimedAt) > pollerTimeout {
			break
		}
		c.log.InfoContext(ctx, "the namespace belongs to another installation: waiting for a sign that it is running",
			"namespace", c.namespace, "installation", owner, "last_poll", last)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return attune.WrapError(attune.CodeUnavailable, ctx.Err(), "namespace %q belongs to installation %s", c.namespace, owner)
		}
	}
	c.log.WarnContext(ctx, "took the namespace over from another installation without running processes",
		"namespace", c.namespace, "installation", owner)
	return c.endAll(ctx)
}

// lastPoll returns the time of the latest poll by a process of an installation; zero without one in the last minutes.
func (c *claim) lastPoll(ctx context.Context, owner attune.InstallationID) (last time.Time, err error) {
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		for _, queue := range []string{QueueTaskQueue, EnforcementTaskQueue} {
			description, err := c.client.DescribeTaskQueue(ctx, queue, kind)
			if err != nil {
				return last, fmt.Errorf("list the pollers of task queue %q: %w", queue, Translate(err))
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

// leftoverQuery finds attune's running workflows in a namespace.
const leftoverQuery = "ExecutionStatus = 'Running' AND WorkflowType IN ('" +
	ActionQueueWorkflowName + "', '" + EnforcementWorkflowName + "', '" + InstallationWorkflowName + "')"

// endAll terminates every workflow of attune in the namespace. Unlike a cancel, that needs no temporal worker.
func (c *claim) endAll(ctx context.Context) error {
	for {
		found, err := c.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: c.namespace, Query: leftoverQuery, PageSize: 500,
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
		if ended == 0 { // the list is eventually consistent: it can still contain terminated workflows
			return nil
		}
	}
}
