package e2e_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// TestOrchestratorKilledBeforeItsDecisionIsKept kills the orchestrator after it has sent a grant and before Temporal has
// stored the decision. The next process decides again from the same signals, later, in a changed situation. Whatever it
// decides, it must not lose the running holder: otherwise the next ticket would run at the same time.
func TestOrchestratorKilledBeforeItsDecisionIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy    string
		meanwhile []string // manual changes before the next process decides
		after     []string // manual changes after that
	}{
		// The next process gets the workflow task ten seconds after the first one.
		"the queue timeout of the ticket has expired": {policy: "  queue_timeout: 8s\n"},
		"the queue drains":                            {meanwhile: []string{"drain"}, after: []string{"resume"}},
		"the queue is paused":                         {meanwhile: []string{"pause"}, after: []string{"resume"}},
		"the situation is the same":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			granted := point{(*killTest).reachGranted, (*killTest).observeGranted}
			k := killAt(t, granted, func() *killTest { return newKillTest(t, "orchestrator", stepAction(1)+tt.policy, 1, 1) })
			person := make(chan error, len(tt.meanwhile))
			for _, verb := range tt.meanwhile {
				go func() { person <- k.change("e2e.step", verb) }() // returns when the next process has decided
			}
			k.start("--roles=worker")
			k.start("--roles=orchestrator")
			k.eventually("the first ticket runs", func() bool { return len(k.written()) == 3 })
			for range tt.meanwhile {
				require.NoError(t, <-person)
			}
			k.seen(2)
			for _, verb := range tt.after {
				k.control("e2e.step", verb)
			}
			k.run("e2e.step", map[string]any{"n": 2})
			// The queue's other decisions are tentative until the row of the first ticket shows that the ticket runs.
			k.eventually("the first ticket holds the slot", func() bool {
				var holders []attune.EnforcementID
				for _, holder := range k.seen(3).Holders {
					holders = append(holders, holder.Enforcement)
				}
				return slices.Equal(k.ids, holders)
			})
			require.NotContains(t, k.written(), "+2")

			k.cancel(k.ids[0])
			var s attune.QueueStats
			k.eventually("all tickets have ended", func() bool { s = k.stats("e2e.step"); return s.TotalCompleted+s.TotalDropped == 3 })
			code, output := k.attune("queue", "verify", "e2e.step", "--url", k.base)
			require.Zero(t, code, output)
			wrote := []string{"+0", "-0", "+1", "+2", "-2"}
			if tt.policy != "" && s.TotalDropped == 1 { // the last ticket's queue timeout expired before its grant
				wrote = wrote[:3]
			}
			require.Equal(t, wrote, k.written())
		})
	}
}

// reachGranted holds back the queue's decision from Temporal. The grant itself happens inside the workflow task.
func (k *killTest) reachGranted() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.ActivityDeliverGrants)
	k.ids[0] = k.run("e2e.step", map[string]any{"n": 1, "ms": 600_000})
	return held
}

func (k *killTest) observeGranted() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.published != 1 {
		return s.String(), errors.New("want a request of its execution")
	}
	return s.String(), nil
}

// seen returns the view of the queue when it has accepted the given number of tickets.
func (k *killTest) seen(accepted int64) (view workflows.QueueView) {
	k.t.Helper()
	queues := workflows.NewQueueClient(k.client)
	k.eventually("the queue has accepted the tickets", func() bool {
		var err error
		view, err = queues.View(k.t.Context(), "e2e.step")
		return err == nil && view.Counters.Accepted == accepted
	})
	return view
}
