package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
)

// A namespace belongs to one installation. Two installations would confuse their enforcements, because both number them from 1.
// The workflow with the id [InstallationWorkflowID] shows who owns the namespace: Temporal runs at most one, and its memo
// names the installation. Every process checks the owner when it starts.

// identityPrefix begins the identity of every process of an installation. Temporal shows identities in the pollers of a task
// queue.
const identityPrefix = "attune/"

// Identity returns the identity of a process for Temporal.
func Identity(installation attune.InstallationID, process string) string {
	return identityPrefix + string(installation) + "/" + process
}

// InstallationInput is the input of [InstallationWorkflow].
//
// Stored in Temporal's history: in the start of the workflow.
type InstallationInput struct {
	Installation attune.InstallationID `json:"installation"`
	Watermark    int64                 `json:"watermark"` // the highest one that a process has reported
}

// InstallationWorkflow shows that an installation owns its namespace, and remembers the watermark of its database in its memo. It
// runs forever.
func InstallationWorkflow(ctx workflow.Context, input InstallationInput) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("The workflows of this namespace belong to installation %s of attune.", input.Installation))
	raised := signalChannel(ctx, SignalWatermark, "The watermark of the database has risen.")
	for !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		var watermark int64
		raised.Receive(ctx, &watermark)
		for _, next := range append(drain[int64](raised), watermark) {
			input.Watermark = max(input.Watermark, next)
		}
		if err := workflow.UpsertMemo(ctx, map[string]any{MemoWatermark: input.Watermark}); err != nil {
			return fmt.Errorf("write the watermark: %w", err)
		}
	}
	return workflow.NewContinueAsNewError(ctx, InstallationWorkflowName, input)
}

const (
	// pollerTimeout is when a process without a poll counts as stopped. A running process polls at least every 70 seconds.
	pollerTimeout = 75 * time.Second
	// takeoverPause is the pause between two checks of another installation's pollers.
	takeoverPause = 2 * time.Second
	// endsInParallel bounds the parallel terminations of the workflows of another installation.
	endsInParallel = 32
)

// TakeNamespace makes an installation the owner of a namespace.
//
// If the namespace belongs to another installation, TakeNamespace waits until that installation took the namespace, and its
// processes polled for the last time, 75 s ago. A poll during the wait means that the installation runs: the error is
// [attune.CodeConflict]. Otherwise TakeNamespace terminates the workflows of the other installation, because they would confuse
// new enforcements with old ones, and takes the namespace over. Queues are then rebuilt from the rows.
func TakeNamespace(ctx context.Context, c client.Client, namespace string, installation attune.InstallationID, log *slog.Logger) error {
	o := &ownership{client: c, namespace: namespace, installation: installation, log: log}
	owner, err := o.owner(ctx)
	switch {
	case err != nil:
		return err
	case owner.installation == installation:
		return nil
	case owner.installation != "":
		if err := o.takeOver(ctx, owner); err != nil {
			return err
		}
	}
	if err := o.start(ctx); err != nil {
		return err
	}
	if owner, err = o.owner(ctx); err == nil && owner.installation != installation {
		err = o.conflict(owner.installation)
	}
	return err
}

// Owner returns the installation that owns a namespace, with the watermark that Temporal remembers; the zero value without an
// owner.
func Owner(ctx context.Context, c client.Client, namespace string) (attune.Installation, error) {
	owner, err := (&ownership{client: c, namespace: namespace}).owner(ctx)
	return attune.Installation{ID: owner.installation, Watermark: owner.watermark}, err
}

// Restored reports whether the database of an installation was restored to an earlier time: its watermark is lower than the one
// that Temporal remembers. A restore to a time after the latest rise of the watermark is not noticed.
func Restored(ctx context.Context, c client.Client, namespace string, installation attune.Installation) (bool, error) {
	owner, err := Owner(ctx, c, namespace)
	return err == nil && owner.ID == installation.ID && owner.Watermark > installation.Watermark, err
}

// ownership takes a namespace for an installation.
type ownership struct {
	client       client.Client
	namespace    string
	installation attune.InstallationID
	log          *slog.Logger
}

// owner is what Temporal knows of the owner of a namespace; the zero value without an owner.
type owner struct {
	installation attune.InstallationID
	watermark    int64
	since        time.Time // when the owner took the namespace, or its workflow continued as new
}

func (o *ownership) owner(ctx context.Context) (owner, error) {
	description, err := o.client.DescribeWorkflowExecution(ctx, InstallationWorkflowID, "")
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return owner{}, nil
	}
	if err != nil {
		return owner{}, fmt.Errorf("read the owner of namespace %q: %w", o.namespace, Translate(err))
	}
	info := description.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return owner{}, nil
	}
	found := owner{since: info.GetStartTime().AsTime()}
	memo, data := info.GetMemo().GetFields(), converter.GetDefaultDataConverter()
	err = data.FromPayload(memo[MemoInstallation], &found.installation)
	if err == nil {
		err = data.FromPayload(memo[MemoWatermark], &found.watermark)
	}
	if err != nil {
		return owner{}, fmt.Errorf("read the owner of namespace %q: %w", o.namespace, err)
	}
	return found, nil
}

func (o *ownership) start(ctx context.Context) error {
	_, err := o.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: InstallationWorkflowID, TaskQueue: QueueTaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		Memo:                     map[string]any{MemoInstallation: o.installation, MemoWatermark: int64(0)},
		StaticSummary:            "installation " + string(o.installation),
	}, InstallationWorkflowName, InstallationInput{Installation: o.installation})
	if err != nil {
		return fmt.Errorf("take namespace %q: %w", o.namespace, Translate(err))
	}
	return nil
}

func (o *ownership) conflict(owner attune.InstallationID) error {
	return attune.Errorf(attune.CodeConflict, "namespace %q belongs to another installation of attune (%s), and its processes "+
		"are running: use another namespace for this installation (TEMPORAL_NAMESPACE), or stop those processes first", o.namespace, owner)
}

// takeOver waits until the other installation counts as stopped, and terminates its workflows. An installation polls only after
// it has taken the namespace, so a recent take counts as a sign of life.
func (o *ownership) takeOver(ctx context.Context, other owner) error {
	since := time.Now()
	tick := time.NewTicker(takeoverPause)
	defer tick.Stop()
	for {
		last, err := o.lastPoll(ctx, other.installation)
		if err != nil {
			return err
		}
		if last.After(since) {
			return o.conflict(other.installation)
		}
		if time.Since(last) > pollerTimeout && time.Since(other.since) > pollerTimeout {
			break
		}
		o.log.InfoContext(ctx, "the namespace belongs to another installation: waiting for a sign that it is running",
			"namespace", o.namespace, "installation", other.installation, "last_poll", last)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return attune.WrapError(attune.CodeUnavailable, ctx.Err(), "namespace %q belongs to installation %s",
				o.namespace, other.installation)
		}
	}
	o.log.WarnContext(ctx, "took the namespace over from another installation without running processes",
		"namespace", o.namespace, "installation", other.installation)
	return o.endAll(ctx)
}

// lastPoll returns the time of the latest poll by a process of an installation; zero without one in the last minutes.
func (o *ownership) lastPoll(ctx context.Context, owner attune.InstallationID) (last time.Time, err error) {
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		for _, queue := range []string{QueueTaskQueue, EnforcementTaskQueue} {
			description, err := o.client.DescribeTaskQueue(ctx, queue, kind)
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
func (o *ownership) endAll(ctx context.Context) error {
	for {
		found, err := o.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: o.namespace, Query: leftoverQuery, PageSize: 500,
		})
		if err != nil {
			return fmt.Errorf("list the workflows of namespace %q: %w", o.namespace, Translate(err))
		}
		ended, err := o.end(ctx, found.GetExecutions())
		if err != nil || ended == 0 { // the list is eventually consistent: it can still contain terminated workflows
			return err
		}
	}
}

// end terminates workflows, and returns how many of them ran.
func (o *ownership) end(ctx context.Context, executions []*workflowpb.WorkflowExecutionInfo) (int64, error) {
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(endsInParallel)
	for _, execution := range executions {
		group.Go(func() error {
			id := execution.GetExecution()
			err := o.client.TerminateWorkflow(ctx, id.GetWorkflowId(), id.GetRunId(), "another installation has taken the namespace over")
			if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
				return nil
			}
			if err != nil {
				return fmt.Errorf("end workflow %q: %w", id.GetWorkflowId(), Translate(err))
			}
			ended.Add(1)
			return nil
		})
	}
	err := group.Wait()
	return ended.Load(), err
}
