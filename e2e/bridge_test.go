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

// TestBridgeKilledAt is [TestOrchestratorKilledAt] for the process between the broker and the queues.
func TestBridgeKilledAt(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]point{
		"between a message and the end of its outbox row":   {(*killing).reachRelayed, (*killing).standsRelayed},
		"between the place in the line and the signal":      {(*killing).reachPlaced, (*killing).standsPlaced},
		"between the end of an execution and its slot's":    {(*killing).reachReported, (*killing).standsReported},
		"between the signal that frees a slot and its word": {(*killing).reachFreed, (*killing).standsFreed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := killAt(t, at, func() *killing { return newKilling(t, "bridge", stepAction(3), 3, 12) })
			k.recover()
		})
	}
}

// enter runs the tickets. What the bridge does with them is up to the gates.
func (k *killing) enter() {
	k.t.Helper()
	for n := range k.ids {
		k.ids[n] = k.run("e2e.step", map[string]any{"n": n + 1, "ms": 5})
	}
}

// reachRelayed keeps the broker's confirmations from the relay: rows stay in the outbox whose messages are out.
func (k *killing) reachRelayed() <-chan struct{} {
	held := k.amqp.toProcess.hold("")
	k.enter()
	return held
}

func (k *killing) standsRelayed() (string, error) {
	k.t.Helper()
	left, s := k.outbox(), k.survey()
	said := fmt.Sprintf("%d rows are in the outbox; %s", left, s)
	if left == 0 || s.queued != 0 {
		return said, errors.New("want rows in the outbox and nobody in the line")
	}
	return said, nil
}

// reachPlaced keeps tickets that have their place from their queue.
func (k *killing) reachPlaced() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.SignalAcquire)
	k.enter()
	return held
}

func (k *killing) standsPlaced() (string, error) {
	k.t.Helper()
	s, counters := k.survey(), k.counters()
	said := fmt.Sprintf("%s; the queue has seen %d", s, counters.Accepted)
	if s.queued == 0 || counters.Accepted != 1 {
		return said, errors.New("want tickets with a place of which the queue has not heard")
	}
	return said, nil
}

// reachReported lets executions end and keeps it from their queue.
func (k *killing) reachReported() <-chan struct{} {
	k.start("--roles=worker")
	held := k.temporal.toService.hold(workflows.SignalRelease)
	k.enter()
	return held
}

func (k *killing) standsReported() (string, error) {
	k.t.Helper()
	ended, counters := k.succeeded(), k.counters()
	said := fmt.Sprintf("%d executions have succeeded; the queue has got %d slots back", ended, counters.Completed)
	if ended <= 1 || counters.Completed != 1 {
		return said, errors.New("want executions that have ended and whose slots are held")
	}
	return said, nil
}

// reachFreed lets the queue have its slots back and keeps the reports from being acknowledged.
func (k *killing) reachFreed() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.enter()
	k.eventually("all wait", func() bool { return k.stats("e2e.step").QueueLength == int64(len(k.ids)) })
	k.eventually("the queue knows all", func() bool { return k.counters().Accepted == int64(1+len(k.ids)) })
	k.start("--roles=worker")
	held := k.temporal.toProcess.hold("")
	k.control("e2e.step", "resume")
	return held
}

func (k *killing) standsFreed() (string, error) {
	k.t.Helper()
	ended, counters := k.succeeded(), k.counters()
	said := fmt.Sprintf("%d executions have succeeded; the queue has got %d slots back", ended, counters.Completed)
	if ended <= 1 || counters.Completed <= 1 {
		return said, errors.New("want slots that the queue has got back")
	}
	return said, nil
}

func (k *killing) succeeded() (n int) {
	k.t.Helper()
	for _, row := range k.rows("e2e.step") {
		if row.Execution != nil && row.Execution.Status == attune.ExecutionSucceeded {
			n++
		}
	}
	return n
}

// counters are the queue's own. They can be asked for while the orchestrator is not the victim.
func (k *killing) counters() (c struct{ Accepted, Completed int64 }) {
	k.t.Helper()
	view, err := workflows.NewQueueClient(k.client).View(k.t.Context(), "e2e.step")
	require.NoError(k.t, err)
	c.Accepted, c.Completed = view.Counters.Accepted, view.Counters.Completed
	return c
}

func (k *killing) outbox() (n int) {
	k.t.Helper()
	db, err := pgx.Connect(k.t.Context(), k.variable("ATTUNE_POSTGRES_URL"))
	require.NoError(k.t, err)
	defer func() { _ = db.Close(k.t.Context()) }()
	require.NoError(k.t, db.QueryRow(k.t.Context(), "SELECT count(*) FROM outbox").Scan(&n))
	return n
}
