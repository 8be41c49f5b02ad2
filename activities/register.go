package activities

import (
	"go.temporal.io/sdk/activity"

	"github.com/attune-go/attune/workflows"
)

// Registry registers activities: a temporal worker.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// Register registers the activities of queues under their names.
func (a *QueueActivities) Register(registry Registry) {
	register(registry, workflows.ActivityLoadQueue, a.LoadQueue)
	register(registry, workflows.ActivityReadTickets, a.ReadTickets)
	register(registry, workflows.ActivityStillWaiting, a.StillWaiting)
	register(registry, workflows.ActivityDeliverGrants, a.DeliverGrants)
	register(registry, workflows.ActivityStartSleepers, a.StartSleepers)
	register(registry, workflows.ActivityRecordDecisions, a.RecordDecisions)
	register(registry, workflows.ActivityInspectHolders, a.InspectHolders)
	register(registry, workflows.ActivityEndReplaced, a.EndReplaced)
}

// Register registers the activities of enforcements under their names.
func (a *EnforcementActivities) Register(registry Registry) {
	register(registry, workflows.ActivityAcquireTicket, a.AcquireTicket)
	register(registry, workflows.ActivityRequestExecution, a.RequestExecution)
	register(registry, workflows.ActivityReleaseTicket, a.ReleaseTicket)
	register(registry, workflows.ActivityCancelTicket, a.CancelTicket)
}

func register(registry Registry, name string, fn any) {
	registry.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
}
