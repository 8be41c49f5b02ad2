package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

func TestActionQueueWorkflow_Control(t *testing.T) {
	t.Parallel()

	t.Run("a queue is paused before its first use and resumed later", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		view, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", "maintenance"))
		require.NoError(t, err)
		require.Equal(t, attune.QueuePaused, view.Mode)
		_, err = s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", ""))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "%v", err)
		require.EqualError(t, err, "the queue is already paused")

		s.acquire(t, 3)
		s.eventually(t, "they wait", func() bool { return s.view(t).Waiting == 3 })
		require.Zero(t, s.view(t).Active)
		_, err = s.queues.SetMode(t.Context(), queueKey, attune.QueueOpen, authorNamed("bob", ""))
		require.NoError(t, err)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
		s.eventually(t, "both changes are recorded", func() bool { return len(s.recorded()) == 2 })
		require.Equal(t, []string{"ada: open → paused (maintenance)", "bob: paused → open ()"}, told(s.recorded()))
	})

	t.Run("S11: the limit rises from one to five with a hundred waiting, and falls back", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		next := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-next }
		s.policy.Limit = 1
		s.acquire(t, 100)
		s.eventually(t, "one runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		s.allow(5)
		_, err := s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: 5}, authorNamed("ada", ""))
		require.NoError(t, err)
		s.eventually(t, "five run, with no new arrival", func() bool { return s.count(attune.EnforcementGranted) == 5 })

		_, err = s.queues.SetLimit(t.Context(), queueKey, nil, authorNamed("ada", ""))
		require.NoError(t, err)
		for range 4 {
			next <- struct{}{}
		}
		s.eventually(t, "it drains to one", func() bool {
			return s.count(attune.EnforcementExecuted) == 4 && s.view(t).Active == 1
		})
		close(next)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 100 })
		s.requireOrder(t)
	})

	t.Run("a draining queue rejects newcomers and grants the waiting tickets", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		next := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-next }
		s.acquire(t, 3)
		s.eventually(t, "one runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueueDraining, authorNamed("ada", ""))
		require.NoError(t, err)
		s.acquire(t, 2)
		s.eventually(t, "newcomers are rejected", func() bool { return s.count(attune.EnforcementRejected) == 2 })
		close(next)
		s.eventually(t, "the others ran", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
	})

	t.Run("S5: positions two, five and eight of ten are cancelled", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		next := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-next }
		tickets := s.acquire(t, 10).Tickets
		s.eventually(t, "one runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		for _, position := range []int{2, 5, 8} {
			_, err := s.queues.CancelByPerson(t.Context(), queueKey, tickets[position-1], authorNamed("ada", ""))
			require.NoError(t, err)
		}
		_, err := s.queues.CancelByPerson(t.Context(), queueKey, tickets[0], authorNamed("ada", ""))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "a holder does not wait: %v", err)
		s.eventually(t, "the rows say so", func() bool { return s.count(attune.EnforcementCancelled) == 3 })
		close(next)
		s.eventually(t, "the other seven ran", func() bool { return s.count(attune.EnforcementExecuted) == 7 })
		s.requireOrder(t)
	})

	t.Run("a ticket is cancelled before it arrives", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		s.acquire(t, 1)
		s.eventually(t, "the queue runs", func() bool { return s.count(attune.EnforcementExecuted) == 1 })
		admission := s.accept(2)
		view, err := s.queues.CancelByPerson(t.Context(), queueKey, admission.Tickets[0], authorNamed("ada", ""))
		require.NoError(t, err)
		require.Zero(t, view.Waiting)
		_, err = s.queues.CancelByPerson(t.Context(), queueKey, admission.Tickets[0], authorNamed("ada", ""))
		require.EqualError(t, err, fmt.Sprintf("enforcement %d does not wait in this queue", admission.Tickets[0].Enforcement))
		require.NoError(t, s.queues.Acquire(t.Context(), admission))
		s.eventually(t, "it stays cancelled, and the next one runs", func() bool {
			return s.count(attune.EnforcementCancelled) == 1 && s.count(attune.EnforcementExecuted) == 2
		})
	})

	t.Run("manual overrides survive the end of the workflow", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 2)
		_, err := s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: 1, Until: time.Now().Add(time.Hour)}, authorNamed("ada", ""))
		require.NoError(t, err)
		_, err = s.queues.SetMode(t.Context(), queueKey, attune.QueueDraining, authorNamed("ada", ""))
		require.NoError(t, err)
		s.eventually(t, "both changes are recorded", func() bool { return len(s.recorded()) == 2 })
		require.NoError(t, s.client.TerminateWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), "", "test"))
		s.acquire(t, 1)
		s.eventually(t, "it knows", func() bool {
			view, err := s.queues.View(t.Context(), queueKey)
			return err == nil && view.Mode == attune.QueueDraining && view.Limit == 1
		})
	})

	t.Run("invalid input is refused and leaves no record", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 1)
		for says, call := range map[string]func() error{
			"the name is missing": func() error {
				_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, attune.Author{Principal: attune.Principal{Method: attune.AuthToken}})
				return err
			},
			"limit -1": func() error {
				_, err := s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: -1}, authorNamed("ada", ""))
				return err
			},
			"use a time in the future": func() error {
				_, err := s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: 1, Until: time.Unix(1, 0)}, authorNamed("ada", ""))
				return err
			},
		} {
			err := call()
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, says)
		}
		require.Empty(t, s.recorded())
	})
}

// TestActionQueueWorkflow_Inspection loses a release. An inspection frees the slot.
func TestActionQueueWorkflow_Inspection(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.inspectAfter = 300 * time.Millisecond
	s := setupWorld(t, w)
	report := s.report
	s.report = func(ticket attune.Ticket) {
		if ticket.Sequence != 1 {
			report(ticket)
		}
	}
	next := make(chan struct{})
	s.run = func(id attune.EnforcementID) {
		if id != 100 {
			<-next
		}
	}
	s.acquire(t, 3)
	s.eventually(t, "the second runs", func() bool {
		return s.count(attune.EnforcementGranted) == 1 && s.count(attune.EnforcementExecuted) == 1
	})
	require.EqualValues(t, 1, s.view(t).Counters.Recovered)
	close(next) // from here on, an inspection can also find a late release
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
	s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
	s.requireOrder(t)
}

func (w *world) recorded() []attune.QueueChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.control.Changes
}

// allow raises the limit that requireOrder checks, for a manual limit.
func (w *world) allow(limit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.policy.Limit = limit
}

func told(changes []attune.QueueChange) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.Who()+": "+c.From+" → "+c.To+" ("+c.Note+")")
	}
	return lines
}

// authorNamed is an author that the API has authenticated.
func authorNamed(name, note string) attune.Author {
	return attune.Author{Principal: attune.Principal{Name: name, Method: attune.AuthToken}, Note: note}
}
