package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// A namespace belongs to one installation. Two installations would confuse their enforcements, because both number them from 1.
// The workflow with the id [InstallationWorkflowID] shows who owns the namespace: Temporal runs at most one, and its memo
// names the installation. Every process checks the owner when it starts, and every [watermarkInterval] from then on.

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
	Watermark    int64                 `json:"watermark"` // the highest one of the previous run
}

// WatermarkSignal reports the watermark of a database.
//
// Stored in Temporal's history: the payload of signal [SignalWatermark].
type WatermarkSignal struct {
	Installation attune.InstallationID `json:"installation"`
	Watermark    int64                 `json:"watermark"`
}

// InstallationWorkflow shows that an installation owns its namespace. Its history remembers the watermark of the database, also
// while no temporal worker runs. It runs forever.
func InstallationWorkflow(ctx workflow.Context, input InstallationInput) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("The workflows of this namespace belong to installation %s of attune.", input.Installation))
	raised := signalChannel(ctx, SignalWatermark, "The watermark of the database has risen.")
	for !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		var signal WatermarkSignal
		raised.Receive(ctx, &signal)
		for _, next := range append(drain[WatermarkSignal](raised), signal) {
			input.Watermark = input.after(next)
		}
	}
	return workflow.NewContinueAsNewError(ctx, InstallationWorkflowName, input)
}

// after returns the watermark after a signal. A signal of another installation changes nothing.
func (in *InstallationInput) after(signal WatermarkSignal) int64 {
	if signal.Installation != in.Installation {
		return in.Watermark
	}
	return max(in.Watermark, signal.Watermark)
}

// startInstallation returns the options and the input to start the workflow of an installation.
func startInstallation(installation attune.Installation) (client.StartWorkflowOptions, InstallationInput) {
	return client.StartWorkflowOptions{
		ID: InstallationWorkflowID, TaskQueue: QueueTaskQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		Memo:                     map[string]any{MemoInstallation: installation.ID},
		StaticSummary:            "installation " + string(installation.ID),
	}, InstallationInput{Installation: installation.ID, Watermark: installation.Watermark}
}

// Owner returns the installation that owns a namespace, with the watermark that Temporal remembers; the zero value without an
// owner.
func Owner(ctx context.Context, c client.Client, namespace string) (attune.Installation, error) {
	found, err := readOwner(ctx, c, namespace)
	return found.Installation, err
}

// owner is what Temporal knows of the owner of a namespace; the zero value without an owner.
type owner struct {
	attune.Installation
	since time.Time // when the owner took the namespace, or its workflow continued as new
}

func readOwner(ctx context.Context, c client.Client, namespace string) (owner, error) {
	description, err := c.DescribeWorkflowExecution(ctx, InstallationWorkflowID, "")
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return owner{}, nil
	}
	if err != nil {
		return owner{}, fmt.Errorf("read the owner of namespace %q: %w", namespace, Translate(err))
	}
	info := description.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return owner{}, nil
	}
	found := InstallationInput{}
	if err := decode(info.GetMemo().GetFields()[MemoInstallation], &found.Installation); err != nil {
		return owner{}, fmt.Errorf("read the owner of namespace %q: %w", namespace, err)
	}
	if err := found.remember(ctx, c, namespace, info.GetExecution()); err != nil {
		return owner{}, fmt.Errorf("read the watermark of namespace %q: %w", namespace, err)
	}
	return owner{attune.Installation{ID: found.Installation, Watermark: found.Watermark}, info.GetStartTime().AsTime()}, nil
}

// remember reads the watermark from the history of a run, newest events first. A page with signals is enough: processes that raise
// the watermark at the same time report values that differ by their number at most.
func (in *InstallationInput) remember(ctx context.Context, c client.Client, namespace string, run *commonpb.WorkflowExecution) error {
	request := &workflowservice.GetWorkflowExecutionHistoryReverseRequest{Namespace: namespace, Execution: run, MaximumPageSize: 100}
	for {
		page, err := c.WorkflowService().GetWorkflowExecutionHistoryReverse(ctx, request)
		if err != nil {
			return Translate(err)
		}
		for _, event := range page.GetHistory().GetEvents() {
			in.Watermark = max(in.Watermark, in.watermarkIn(event))
		}
		request.NextPageToken = page.GetNextPageToken()
		if in.Watermark > 0 || len(request.NextPageToken) == 0 {
			return nil
		}
	}
}

// watermarkIn returns the watermark that an event brought; 0 for other events, and for those that attune did not write.
func (in *InstallationInput) watermarkIn(event *historypb.HistoryEvent) int64 {
	if started := event.GetWorkflowExecutionStartedEventAttributes(); started != nil {
		var input InstallationInput
		if decode(first(started.GetInput()), &input) == nil {
			return input.Watermark
		}
	}
	if signaled := event.GetWorkflowExecutionSignaledEventAttributes(); signaled.GetSignalName() == SignalWatermark {
		var signal WatermarkSignal
		if decode(first(signaled.GetInput()), &signal) == nil {
			return in.after(signal)
		}
	}
	return 0
}

func first(payloads *commonpb.Payloads) *commonpb.Payload {
	if all := payloads.GetPayloads(); len(all) > 0 {
		return all[0]
	}
	return nil
}

func decode(payload *commonpb.Payload, value any) error {
	return converter.GetDefaultDataConverter().FromPayload(payload, value)
}
