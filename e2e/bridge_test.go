package e2e_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// TestBridgeKilledAt is [TestOrchestratorKilledAt] for the bridge.
func TestBridgeKilledAt(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]point{
		"a kill between a message and the removal of its outbox row loses no ticket":    {(*killTest).reachRelayed, (*killTest).observeRelayed},
		"a kill between a sequence and its acquire signal loses no ticket":              {(*killTest).reachPlaced, (*killTest).observePlaced},
		"a kill between the end of an execution and its release signal loses no ticket": {(*killTest).reachReported, (*killTest).observeReported},
		"a kill between a release signal and its acknowledgement loses no ticket":       {(*killTest).reachFreed, (*killTest).observeFreed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := killAt(t, at, func() *killTest { return newKillTest(t, "bridge", stepAction(3), 3, 12) })
			k.recover()
		})
	}
}

// enter requests the tickets. The gates control how far the bridge gets with them.
func (k *killTest) enter() {
	k.t.Helper()
	for n := range k.ids {
		k.ids[n] = k.run("e2e.step", map[string]any{"n": n + 1, "ms": 5})
	}
}

// reachRelayed holds back the broker's confirmations from the relay: published rows stay in the outbox.
func (k *killTest) reachRelayed() <-chan struct{} {
	held := k.amqp.toProcess.hold("")
	k.enter()
	return held
}

func (k *killTest) observeRelayed() (string, error) {
	k.t.Helper()
	left, s := k.outbox(), k.survey()
	state := fmt.Sprintf("%d rows are in the outbox; %s", left, s)
	if left == 0 || s.queued != 0 {
		return state, errors.New("want rows in the outbox and an empty line")
	}
	return state, nil
}

// reachPlaced holds back tickets with a sequence from their queue.
func (k *killTest) reachPlaced() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.SignalAcquire)
	k.enter()
	return held
}

func (k *killTest) observePlaced() (string, error) {
	k.t.Helper()
	s, counters := k.survey(), k.counters()
	state := fmt.Sprintf("%s; the queue has seen %d", s, counters.Accepted)
	if s.queued == 0 || counters.Accepted != 1 {
		return state, errors.New("want tickets with a sequence that the queue has not seen")
	}
	return state, nil
}

// reachReported lets executions end and holds back the release signals.
func (k *killTest) reachReported() <-chan struct{} {
	k.start("--roles=worker")
	held := k.temporal.toService.hold(workflows.SignalRelease)
	k.enter()
	return held
}

func (k *killTest) observeReported() (string, error) {
	k.t.Helper()
	ended, counters := k.succeeded(), k.counters()
	state := fmt.Sprintf("%d executions have succeeded; %d slots are released", ended, counters.Completed)
	if ended <= 1 || counters.Completed != 1 {
		return state, errors.New("want ended executions that still hold their slots")
	}
	return state, nil
}

// reachFreed lets the release signals through and holds back the acknowledgements of the reports.
func (k *killTest) reachFreed() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.enter()
	k.eventually("all tickets wait", func() bool { return k.stats("e2e.step").QueueLength == int64(len(k.ids)) })
	k.eventually("the queue has accepted all tickets", func() bool { return k.counters().Accepted == int64(1+len(k.ids)) })
	k.start("--roles=worker")
	held := k.temporal.toProcess.hold("")
	k.control("e2e.step", "resume")
	return held
}

func (k *killTest) observeFreed() (string, error) {
	k.t.Helper()
	ended, counters := k.succeeded(), k.counters()
	state := fmt.Sprintf("%d executions have succeeded; %d slots are released", ended, counters.Completed)
	if ended <= 1 || counters.Completed <= 1 {
		return state, errors.New("want released slots")
	}
	return state, nil
}

func (k *killTest) succeeded() (n int) {
	k.t.Helper()
	for _, row := range k.rows("e2e.step") {
		if row.Execution != nil && row.Execution.Status == attune.ExecutionSucceeded {
			n++
		}
	}
	return n
}

// counters returns the queue's counters. The queue answers only while the orchestrator runs.
func (k *killTest) counters() (c struct{ Accepted, Completed int64 }) {
	k.t.Helper()
	view, err := workflows.NewQueueClient(k.client).View(k.t.Context(), "e2e.step")
	require.NoError(k.t, err)
	c.Accepted, c.Completed = view.Counters.Accepted, view.Counters.Completed
	return c
}

func (k *killTest) outbox() (n int) {
	k.t.Helper()
	db, err := pgx.Connect(k.t.Context(), k.variable("ATTUNE_POSTGRES_URL"))
	require.NoError(k.t, err)
	defer func() { _ = db.Close(k.t.Context()) }()
	require.NoError(k.t, db.QueryRow(k.t.Context(), "SELECT count(*) FROM outbox").Scan(&n))
	return n
}
