package workflows_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// TestActionQueueWorkflow_Storms runs the scenarios with many simultaneous events.
func TestActionQueueWorkflow_Storms(t *testing.T) {
	t.Parallel()

	t.Run("S10: a ticket that is cancelled at the moment of its grant ends once", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 2)
		tickets := s.accept(40)
		var wg sync.WaitGroup
		wg.Go(func() { require.NoError(t, s.queues.Acquire(t.Context(), tickets)) })
		for _, ticket := range tickets.Tickets {
			if ticket.Sequence%2 == 0 {
				wg.Go(func() { require.NoError(t, s.queues.CancelByWorkflow(t.Context(), queueKey, []attune.Ticket{ticket})) })
			}
		}
		wg.Wait()
		s.eventually(t, "all ended", func() bool {
			return s.count(attune.EnforcementExecuted)+s.count(attune.EnforcementCancelled) == 40
		})
		s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 && s.view(t).Waiting == 0 })
		c := s.view(t).Counters
		require.EqualValues(t, 40, c.Completed+c.Cancelled)
		require.EqualValues(t, s.count(attune.EnforcementCancelled), c.Cancelled)
		s.requireOrder(t)
	})

	t.Run("S15: one of two orchestrators stops, and nothing is lost", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 3)
		stop := s.startWorkers(t)
		for range 8 {
			s.acquire(t, 10)
		}
		s.eventually(t, "some executed", func() bool { return s.count(attune.EnforcementExecuted) > 10 })
		stop()
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 80 })
		s.requireOrder(t)
	})

	t.Run("S17: a deadline and a slot at the same instant have one outcome", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		const timeout = time.Second
		hold := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-hold }
		s.acquire(t, 1)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		s.policy.QueueTimeout, s.policy.Revision = attune.Duration(timeout), 2
		admission := s.acquire(t, 20)
		<-time.After(time.Until(admission.Tickets[0].EnqueuedAt.Add(timeout)) - 5*time.Millisecond)
		close(hold)
		s.eventually(t, "all ended", func() bool {
			return s.count(attune.EnforcementExecuted)+s.count(attune.EnforcementExpired) == 21
		})
		s.eventually(t, "no ticket holds a slot or waits", func() bool { return s.view(t).Active == 0 && s.view(t).Waiting == 0 })
		c := s.view(t).Counters
		require.EqualValues(t, 21, c.Completed+c.Expired)
		require.EqualValues(t, s.count(attune.EnforcementExpired), c.Expired)
		s.requireOrder(t)
	})

	t.Run("S20: a queue processes more than a hundred signals per task and continues as new under load", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 10)
		first := ""
		runs := map[string]bool{}
		for round := range 4 {
			admission := s.accept(160)
			var wg sync.WaitGroup
			for _, ticket := range admission.Tickets {
				wg.Go(func() {
					one := attune.Admission{Queue: queueKey, Policy: admission.Policy, Tickets: []attune.Ticket{ticket}}
					s.eventually(t, "the signal is taken", func() bool { return s.queues.Acquire(t.Context(), one) == nil })
				})
			}
			wg.Go(func() { require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey)) })
			wg.Wait()
			run := s.runID(t, workflows.QueueWorkflowID(queueKey))
			if round == 0 {
				first = run
			}
			runs[run] = true
		}
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 640 })
		s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
		s.eventually(t, "a run after the first", func() bool {
			require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
			return s.runID(t, workflows.QueueWorkflowID(queueKey)) != first
		})
		require.Len(t, s.started, 640, "each was granted and ran once")
		s.requireOrder(t)
	})
}
