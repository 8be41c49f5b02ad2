package e2e_test

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// survey counts the traces of the tickets in the services, without the first ticket.
type survey struct {
	queued, granted int // rows of enforcements
	executions      int // rows
	published       int // requests that wait for a worker on the broker
	begun, ended    int // workflows of enforcements: all, and closed ones
}

func (s survey) String() string {
	return fmt.Sprintf("%d enforcements are queued and %d granted; %d executions; %d messages for workers; "+
		"%d workflows begun, %d of them ended",
		s.queued, s.granted, s.executions, s.published, s.begun, s.ended)
}

func (k *killTest) survey() survey {
	k.t.Helper()
	s := survey{published: k.depth(rabbitmq.QueueExecutionRequested("default"))}
	for _, row := range k.rows("e2e.step") {
		if !slices.Contains(k.ids, row.Enforcement.ID) {
			continue
		}
		if row.Enforcement.Status == attune.EnforcementQueued {
			s.queued++
		}
		if row.Enforcement.Status == attune.EnforcementGranted {
			s.granted++
		}
		if row.Execution != nil {
			s.executions++
		}
		begun, ended := k.workflow(row.Enforcement.ID)
		if begun {
			s.begun++
		}
		if ended {
			s.ended++
		}
	}
	return s
}

func (k *killTest) ended(id attune.EnforcementID) bool {
	k.t.Helper()
	_, ended := k.workflow(id)
	return ended
}

// workflow reports whether the workflow of an enforcement exists, and whether it has ended.
func (k *killTest) workflow(id attune.EnforcementID) (begun, ended bool) {
	k.t.Helper()
	answer, err := k.client.DescribeWorkflowExecution(k.t.Context(), workflows.EnforcementWorkflowID(id), "")
	if err != nil {
		require.ErrorAs(k.t, err, new(*serviceerror.NotFound))
		return false, false
	}
	return true, answer.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

func (k *killTest) history(id string) []*historypb.HistoryEvent {
	k.t.Helper()
	var all []*historypb.HistoryEvent
	events := k.client.GetWorkflowHistory(k.t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(k.t, err)
		all = append(all, event)
	}
	return all
}

func (k *killTest) depth(queue string) int {
	k.t.Helper()
	found, err := k.broker.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(k.t, err, "inspect queue %q", queue)
	return found.Messages
}
