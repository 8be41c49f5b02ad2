package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// attempts records the attempts in the order of their runs.
func (s *stage) attempts() func() []attune.EnforcementID {
	var ran []attune.EnforcementID
	s.run = func(id attune.EnforcementID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		ran = append(ran, id)
	}
	return func() []attune.EnforcementID {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ran
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	failing := func(t *testing.T, placement attune.RetryPlacement, times int) (*stage, func() []attune.EnforcementID) {
		t.Helper()
		s := setup(t, 1)
		s.placement = placement
		s.fails = func(id attune.EnforcementID, attempt int) bool { return id == 100 && attempt <= times }
		ran := s.attempts()
		return s, ran
	}

	t.Run("hold: no ticket overtakes the retry", func(t *testing.T) {
		t.Parallel()
		s, ran := failing(t, attune.RetryHold, 2)
		s.acquire(t, 2)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		require.Equal(t, []attune.EnforcementID{100, 100, 100, 101}, ran())
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		counters := s.view(t).Counters
		require.EqualValues(t, 2, counters.Granted, "the attempts shared one grant")
		require.EqualValues(t, 2, counters.Retried)
		s.requireOrder(t)
	})

	t.Run("back: the other tickets go first", func(t *testing.T) {
		t.Parallel()
		s, ran := failing(t, attune.RetryBack, 2)
		s.acquire(t, 3)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
		require.ElementsMatch(t, []attune.EnforcementID{100, 101, 102, 100, 100}, ran())
		require.Equal(t, []attune.EnforcementID{100, 101}, ran()[:2])
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		require.EqualValues(t, 5, s.view(t).Counters.Completed, "every place gave its slot back")
		s.requireOrder(t)
	})

	t.Run("park: the other tickets go on", func(t *testing.T) {
		t.Parallel()
		s, ran := failing(t, attune.RetryPark, 1)
		s.acquire(t, 3)
		s.eventually(t, "the others executed", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		require.Equal(t, 1, s.count(attune.EnforcementParked))
		require.Equal(t, []attune.EnforcementID{100, 101, 102}, ran())
		s.eventually(t, "its slot is free", func() bool { return s.view(t).Active == 0 })
	})
}

// TestGenerations expects a rebuilt queue to grant again the tickets whose grants were not acted upon.
func TestGenerations(t *testing.T) {
	t.Parallel()
	s := rebuiltUnderway(t)
	s.requireOrder(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Less(t, s.rows[102].grant.Generation, s.generation)
	for _, id := range []attune.EnforcementID{100, 101} {
		require.Equal(t, s.generation, s.rows[id].grant.Generation, "the grant of the queue that is gone allows nothing")
	}
}

// rebuiltUnderway terminates a queue during the delivery of two of its three grants, and waits until all six enforcements have
// been executed.
func rebuiltUnderway(t *testing.T) *stage {
	t.Helper()
	s := setup(t, 3)
	onTheirWay := map[int64]bool{} // by sequence
	goOn := make(chan struct{})
	s.requesting = func(grant attune.Grant) {
		if grant.Sequence < 3 {
			s.mu.Lock()
			onTheirWay[grant.Sequence] = true
			s.mu.Unlock()
			<-goOn
		}
	}
	s.acquire(t, 5)
	gone := int64(0) // a queue can be loaded more than once before its load succeeds
	s.eventually(t, "two are on their way", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		gone = s.generation
		return len(onTheirWay) == 2
	})
	s.eventually(t, "the third ran", func() bool { return s.count(attune.EnforcementExecuted) > 0 })
	require.NoError(t, s.client.TerminateWorkflow(t.Context(), workflows.QueueWorkflowID(queueKey), "", "test"))
	s.acquire(t, 1)
	s.eventually(t, "rebuilt", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.generation > gone
	})
	close(goOn)
	s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 6 })
	s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
	return s
}
