package e2e_test

import (
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
			k := newKilling(t, "orchestrator", stepAction(1)+tt.policy, 1, 1)
			held := k.temporal.toService.hold(workflows.ActivityDeliverGrants)
			k.ids[0] = k.run("e2e.step", map[string]any{"n": 1, "ms": 600_000})
			<-held
			k.eventually("its execution has been requested", func() bool { return k.survey().published == 1 })
			k.kill()
			person := make(chan error, len(tt.meanwhile))
			for _, verb := range tt.meanwhile {
				go func() { person <- k.change(verb) }() // is answered when the next process has decided
			}
			k.start("--roles=worker")
			k.start("--roles=orchestrator")
			k.eventually("it runs", func() bool { return len(k.written()) == 3 })
			for range tt.meanwhile {
				require.NoError(t, <-person)
			}
			k.seen(2)
			for _, verb := range tt.after {
				k.control(verb)
			}
			k.run("e2e.step", map[string]any{"n": 2})
			view := k.seen(3)
			var holders []attune.EnforcementID
			for _, holder := range view.Holders {
				holders = append(holders, holder.Enforcement)
			}
			require.Equal(t, k.ids, holders, "the slot is held by whom it was granted: %+v", view)

			require.NotContains(t, k.written(), "+2")

			k.cancel(k.ids[0])
			k.eventually("both have ended", func() bool { return k.stats("e2e.step").TotalCompleted == 3 })
			code, output := k.attune("queue", "verify", "e2e.step", "--url", k.base)
			require.Zero(t, code, output)
			require.Equal(t, []string{"+0", "-0", "+1", "+2", "-2"}, k.written())
		})
	}
}

// seen returns what the queue looks like once it has as many tickets behind it.
func (k *killing) seen(accepted int64) (view workflows.QueueView) {
	k.t.Helper()
	queues := workflows.NewQueues(k.client)
	k.eventually("the queue has seen the tickets", func() bool {
		var err error
		view, err = queues.View(k.t.Context(), "e2e.step")
		return err == nil && view.Counters.Accepted == accepted
	})
	return view
}
