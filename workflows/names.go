package workflows

import (
	"strconv"

	"github.com/attune-go/attune"
)

// Stored in Temporal's history: a changed name breaks running workflows.
const (
	ActionQueueWorkflowName = "ActionQueueWorkflow"
	EnforcementWorkflowName = "EnforcementWorkflow"

	InstallationWorkflowName = "InstallationWorkflow"
	InstallationWorkflowID   = "installation"
	MemoInstallation         = "installation"
	SignalWatermark          = "watermark"

	// QueueTaskQueue and EnforcementTaskQueue are separate, so that thousands of enforcements cannot delay the queues.
	QueueTaskQueue       = "attune-queues"
	EnforcementTaskQueue = "attune-enforcements"

	SignalAcquire            = "acquire"
	SignalRelease            = "release"
	SignalCancel             = "cancel"
	SignalRetry              = "retry"
	SignalForceContinueAsNew = "force-continue-as-new"
	SignalGrant              = "grant"

	UpdatePause      = "pause"
	UpdateResume     = "resume"
	UpdateDrain      = "drain"
	UpdateSetLimit   = "set-limit"
	UpdateClearLimit = "clear-limit"
	UpdateCancel     = "cancel"
	UpdateChange     = "change" // any number of the changes above

	MemoQueue = "queue"

	QueryQueue    = "queue"
	QueryPosition = "position"
	QueryWhy      = "why"

	ActivityLoadQueue        = "LoadQueue"
	ActivityReadTickets      = "ReadTickets"
	ActivityStillWaiting     = "StillWaiting"
	ActivityDeliverGrants    = "DeliverGrants"
	ActivityStartSleepers    = "StartSleepers"
	ActivityRecordDecisions  = "RecordDecisions"
	ActivityInspectHolders   = "InspectHolders"
	ActivityEndReplaced      = "EndReplaced"
	ActivityAcquireTicket    = "AcquireTicket"
	ActivityRequestExecution = "RequestExecution"
	ActivityReleaseTicket    = "ReleaseTicket"
	ActivityCancelTicket     = "CancelTicket"
)

// QueueWorkflowID returns the workflow id of a queue.
func QueueWorkflowID(key attune.QueueKey) string { return "queue/" + string(key) }

// EnforcementWorkflowID returns the workflow id of an enforcement.
func EnforcementWorkflowID(id attune.EnforcementID) string {
	return "enforcement/" + strconv.FormatInt(int64(id), 10)
}
