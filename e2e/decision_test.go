package e2e_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// TestOrchestratorKilledBeforeItsDecisionIsKept kills the orchestrator after a grant is out and before Temporal has the
// decision behind it. The next process decides anew from the same signals, but later, when things are no longer as they were.
// Whatever it decides now, it must not forget who runs: the next ticket would run beside it.
func TestOrchestratorKilledBeforeItsDecisionIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy    string
		meanwhile []string // what a person does to the queue before the next process decides
		after     []string // and when it has
	}{
		// The task is given to the next process ten seconds after the first got it.
		"the time in the line is over":                        {policy: "  queue_timeout: 8s\n"},
		"the queue drains":                                    {meanwhile: []string{"drain"}, after: []string{"resume"}},
		"the queue is paused":                                 {meanwhile: []string{"pause"}, after: []string{"resume"}},
		"nothing has changed, and the ticket is decided anew": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			granted := point{(*killing).reachGranted, (*killing).standsGranted}
			k := killAt(t, granted, func() *killing { return newKilling(t, "orchestrator", stepAction(1)+tt.policy, 1, 1) })
			person := make(chan error, len(tt.meanwhile))
			for _, verb := range tt.meanwhile {
				go func() { person <- k.change("e2e.step", verb) }() // is answered when the next process has decided
			}
			k.start("--roles=worker")
			k.start("--roles=orchestrator")
			k.eventually("it runs", func() bool { return len(k.written()) == 3 })
			for range tt.meanwhile {
				require.NoError(t, <-person)
			}
			k.seen(2)
			for _, verb := range tt.after {
				k.control("e2e.step", verb)
			}
			k.run("e2e.step", map[string]any{"n": 2})
			// What the queue has decided beside it is tentative, until the row of the first has said that it runs.
			k.eventually("the slot is held by whom it was granted", func() bool {
				var holders []attune.EnforcementID
				for _, holder := range k.seen(3).Holders {
					holders = append(holders, holder.Enforcement)
				}
				return slices.Equal(k.ids, holders)
			})
			require.NotContains(t, k.written(), "+2")

			k.cancel(k.ids[0])
			var s attune.QueueStats
			k.eventually("both have ended", func() bool { s = k.stats("e2e.step"); return s.TotalCompleted+s.TotalDropped == 3 })
			code, output := k.attune("queue", "verify", "e2e.step", "--url", k.base)
			require.Zero(t, code, output)
			wrote := []string{"+0", "-0", "+1", "+2", "-2"}
			if tt.policy != "" && s.TotalDropped == 1 { // its own time in the line was over before somebody made room
				wrote = wrote[:3]
			}
			require.Equal(t, wrote, k.written())
		})
	}
}

// reachGranted keeps the decision of the queue from Temporal. What it has led to happens inside of the workflow task.
func (k *killing) reachGranted() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.ActivityDeliverGrants)
	k.ids[0] = k.run("e2e.step", map[string]any{"n": 1, "ms": 600_000})
	return held
}

func (k *killing) standsGranted() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.published != 1 {
		return s.String(), errors.New("want a request of its execution")
	}
	return s.String(), nil
}

// seen returns what the queue looks like once it has as many tickets behind it.
func (k *killing) seen(accepted int64) (view workflows.QueueView) {
	k.t.Helper()
	queues := workflows.NewQueueClient(k.client)
	k.eventually("the queue has seen the tickets", func() bool {
		var err error
		view, err = queues.View(k.t.Context(), "e2e.step")
		return err == nil && view.Counters.Accepted == accepted
	})
	return view
}
