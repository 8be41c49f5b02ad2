package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// asleep returns a stage at limit 1 with a holder that runs until release is closed, and n tickets whose workflows sleep.
func asleep(t *testing.T, n int) (s *stage, tickets []attune.Ticket, release chan struct{}) {
	t.Helper()
	w := newWorld(1)
	w.sleepAfter = 200 * time.Millisecond
	s = setupWorld(t, w)
	release = make(chan struct{})
	s.run = func(attune.EnforcementID) { <-release }
	tickets = s.acquire(t, n+1).Tickets
	s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
	for _, ticket := range tickets[1:] {
		s.eventually(t, "its workflow is asleep", func() bool { return s.status(t, ticket) == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING })
	}
	s.rests(t, workflows.QueueWorkflowID(queueKey)) // the queue knows that they sleep
	return s, tickets, release
}

// status returns the status of an enforcement's workflow; unspecified without one.
func (s *stage) status(t *testing.T, ticket attune.Ticket) enumspb.WorkflowExecutionStatus {
	t.Helper()
	description, err := s.client.DescribeWorkflowExecution(t.Context(), workflows.EnforcementWorkflowID(ticket.Enforcement), "")
	if attune.CodeOf(workflows.Translate(err)) == attune.CodeNotFound {
		return enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED
	}
	require.NoError(t, err)
	return description.GetWorkflowExecutionInfo().GetStatus()
}

func (s *stage) becomes(t *testing.T, ticket attune.Ticket, status enumspb.WorkflowExecutionStatus) {
	t.Helper()
	s.eventually(t, "the workflow of the enforcement is "+status.String(), func() bool { return s.status(t, ticket) == status })
}

func TestSleep(t *testing.T) {
	t.Parallel()

	t.Run("a ticket that waits for long has a sleeping workflow, and its grant wakes it", func(t *testing.T) {
		t.Parallel()
		s, tickets, release := asleep(t, 3)
		history := s.client.GetWorkflowHistory(t.Context(), workflows.EnforcementWorkflowID(tickets[1].Enforcement), "", false,
			enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		event, err := history.Next()
		require.NoError(t, err)
		require.Equal(t, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, event.GetEventType())
		require.False(t, history.HasNext(), "it has done nothing yet")

		repeated := s.view(t).Counters.Repeated
		close(release)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 4 })
		for _, ticket := range tickets {
			s.becomes(t, ticket, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
		}
		s.requireOrder(t)
		require.Equal(t, repeated, s.view(t).Counters.Repeated, "the grant wakes the workflow, which acquires nothing")
	})

	t.Run("cancelling the workflow takes the ticket out of the line", func(t *testing.T) {
		t.Parallel()
		s, tickets, release := asleep(t, 2)
		require.NoError(t, s.client.CancelWorkflow(t.Context(), workflows.EnforcementWorkflowID(tickets[1].Enforcement), ""))
		s.becomes(t, tickets[1], enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED)
		s.eventually(t, "cancelled", func() bool { return s.count(attune.EnforcementCancelled) == 1 })
		close(release)
		s.eventually(t, "the others executed", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		s.requireOrder(t)
	})

	t.Run("the workflow of a ticket that ends in the line stops sleeping", func(t *testing.T) {
		t.Parallel()
		s, tickets, release := asleep(t, 2)
		defer close(release)
		_, err := s.queues.CancelByPerson(t.Context(), queueKey, tickets[2], authorNamed("ada", ""))
		require.NoError(t, err)
		s.becomes(t, tickets[2], enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
		require.Equal(t, 1, s.count(attune.EnforcementCancelled))
		require.Equal(t, 1, s.view(t).Waiting)
	})

	t.Run("a grant starts a terminated workflow again", func(t *testing.T) {
		t.Parallel()
		s, tickets, release := asleep(t, 1)
		require.NoError(t, s.client.TerminateWorkflow(t.Context(), workflows.EnforcementWorkflowID(tickets[1].Enforcement), "", "test"))
		close(release)
		s.eventually(t, "executed", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		s.becomes(t, tickets[1], enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	})
}
