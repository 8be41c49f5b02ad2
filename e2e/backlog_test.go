package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/worker"
)

// TestQueueFull is S7: ten tickets wait, and one more arrives.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	for overflow, tt := range map[attune.Overflow]struct {
		loser  int // the number of the dropped ticket, from 1 to 11
		reason attune.Reason
	}{
		attune.OverflowReject:     {loser: 11, reason: attune.ReasonQueueFull},
		attune.OverflowDropOldest: {loser: 1, reason: attune.ReasonDroppedOldest},
	} {
		t.Run(string(overflow), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, map[string]string{
				"actions/step.yaml": stepAction(1) + fmt.Sprintf("  max_queued: 10\n  overflow: %s\n", overflow),
			})
			c.start()
			c.control("e2e.step", "pause")
			var ids []attune.EnforcementID
			for n := range 10 {
				ids = append(ids, c.run("e2e.step", map[string]any{"n": n + 1}))
			}
			c.eventually("ten wait", func() bool { return c.stats("e2e.step").QueueLength == 10 })
			require.Zero(t, c.stats("e2e.step").TotalDropped)

			ids = append(ids, c.run("e2e.step", map[string]any{"n": 11}))
			loser := ids[tt.loser-1]
			var lost attune.Enforcement
			c.eventually("one has lost", func() bool {
				require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", loser), nil, &lost))
				return lost.Status.Terminal()
			})
			require.Equal(t, attune.EnforcementRejected, lost.Status)
			require.Equal(t, tt.reason, lost.Reason)
			require.Equal(t, "max_queued of queue e2e.step allows 10, and there are 10", lost.Refusal.String())
			require.EqualValues(t, tt.loser, lost.Sequence, "the sequence of a dropped ticket is not used again")
			require.EqualValues(t, 10, c.stats("e2e.step").QueueLength)
			require.EqualValues(t, 1, c.stats("e2e.step").TotalDropped)

			c.control("e2e.step", "resume")
			require.Equal(t, map[string]int{"succeeded": 10, "rejected": 1}, c.finishDropping(10, 1))
			var want []string
			for n := range 11 {
				if n+1 != tt.loser {
					want = append(want, fmt.Sprintf("+%d", n+1), fmt.Sprintf("-%d", n+1))
				}
			}
			require.Equal(t, want, c.written(), "all other tickets ran in order")
		})
	}
}

// finishDropping waits until n executions have ended and the given number of enforcements were dropped, verifies the
// queue with the program, and returns the outcomes.
func (c *cluster) finishDropping(n, dropped int) map[string]int {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d executions have ended, %d were dropped", n, dropped), func() bool {
		s := c.stats("e2e.step")
		return s.TotalCompleted == int64(n) && s.TotalDropped == int64(dropped)
	})
	code, output := c.attune("queue", "verify", "e2e.step", "--url", c.base)
	require.Zero(c.t, code, output)
	require.Contains(c.t, output, "e2e.step: every promise kept\n")
	require.Regexp(c.t, fmt.Sprintf(`tickets +%d +waiting 0, active 0, executed %d, dropped %d\n`, n+dropped, n, dropped), output)
	require.Regexp(c.t, fmt.Sprintf(`grants +%d +slots given back %d\n`, n, n), output)
	outcomes := map[string]int{}
	for _, row := range c.rows("e2e.step") {
		if row.Execution != nil {
			outcomes[string(row.Execution.Status)]++
		} else {
			outcomes[string(row.Enforcement.Status)]++
		}
	}
	return outcomes
}

// TestBacklog is S8: a long backlog at limit 10. All tickets are accepted before the first grant, so the line has its
// full length.
//
// Short: 150 tickets. Long: 10 000, which is S8 in full.
//
// The test has two workers of its own. They claim over the broker and report success at once, because ten thousand
// processes would measure the machine. Like real workers, they remember their claims.
func TestBacklog(t *testing.T) {
	t.Parallel()
	const limit = 10
	tickets := size(150, 10_000)
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(limit)})
	c.start("--roles=api,orchestrator,bridge")
	c.control("e2e.step", "pause")
	senders := new(sync.WaitGroup)
	for sender := range 4 {
		senders.Go(func() {
			for n := sender; n < tickets; n += 4 {
				c.run("e2e.step", map[string]any{"n": n})
			}
		})
	}
	senders.Wait()
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == int64(tickets) })

	one, two := c.startQuickWorker("one", limit), c.startQuickWorker("two", limit)
	c.control("e2e.step", "resume")
	c.complete("e2e.step", tickets)
	require.Equal(t, map[string]int{"succeeded": tickets}, c.finishDropping(tickets, 0))
	requireOnce(t, tickets, one, two)
	m := c.finish("e2e.step", tickets, limit)
	require.Equal(t, limit, m.MaxActive, "the limit was reached")
	measured(t, "%d enforcements, each claimed once by one of two workers, at most %d at once", tickets, m.MaxActive)
}

// quickWorker takes, claims and reports like attune's worker, but runs no process.
type quickWorker struct {
	t      *testing.T
	name   string
	broker *worker.Broker

	mu    sync.Mutex
	known map[attune.ExecutionID]bool
	ran   []attune.EnforcementID
}

func (c *cluster) startQuickWorker(name string, slots int) *quickWorker {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	running := new(sync.WaitGroup)
	w := &quickWorker{t: c.t, name: name, broker: c.workerBroker(), known: map[attune.ExecutionID]bool{}}
	for range slots {
		running.Go(func() { w.work(ctx) })
	}
	c.t.Cleanup(func() { stop(); running.Wait() })
	return w
}

// workerBroker connects to the broker like a worker of the default pool, with a key of its own.
func (c *cluster) workerBroker() *worker.Broker {
	c.t.Helper()
	return c.workerBrokerAs(c.variable("ATTUNE_AMQP_URL"), attune.DefaultPool)
}

// workerBrokerAs connects like a worker of a pool, at an address with its user.
func (c *cluster) workerBrokerAs(address, pool string) *worker.Broker {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testTimeout)
	defer cancel()
	connections, err := rabbitmq.Connect(ctx, rabbitmq.Config{URL: address, Name: "a worker of the test"}, rabbitmq.Topology{})
	require.NoError(c.t, err)
	c.t.Cleanup(connections.Close)
	broker, err := worker.NewBroker(connections, pool, worker.NewBridges(
		[]attune.BridgeKey{c.bridgeKey().Public()}, func(context.Context, string, attune.Refusal) {}, slog.New(slog.DiscardHandler)))
	require.NoError(c.t, err)
	return broker
}

func (w *quickWorker) work(ctx context.Context) {
	for {
		request, err := w.broker.Pull(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.Join(w.run(ctx, request.Message), request.Ack())
		}
		if err != nil && ctx.Err() == nil {
			w.t.Errorf("quick worker: %v", err)
			return
		}
	}
}

func (w *quickWorker) run(ctx context.Context, m attune.ExecutionRequestedMessage) error {
	if !w.enter(m.Execution) {
		return nil
	}
	question := attune.ExecutionClaimMessage{Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Worker: w.name}
	decision, err := w.broker.Claim(ctx, question)
	if err != nil || !decision.Reply.Granted {
		return err
	}
	w.mu.Lock()
	w.ran = append(w.ran, decision.Input.Enforcement)
	w.mu.Unlock()
	return w.broker.Report(ctx, attune.ExecutionCompletedMessage{
		Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Worker: w.name, Status: attune.ExecutionSucceeded,
	})
}

// enter reports whether this is the first copy of a request at this worker: the bridge would grant the same attempt to
// the same worker again.
func (w *quickWorker) enter(id attune.ExecutionID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.known[id]
	w.known[id] = true
	return !known
}

// requireOnce requires that the workers together got the claim of every enforcement once.
func requireOnce(t *testing.T, tickets int, workers ...*quickWorker) {
	t.Helper()
	ran := map[attune.EnforcementID]string{}
	for _, w := range workers {
		w.mu.Lock()
		for _, id := range w.ran {
			require.Empty(t, ran[id], "%q was granted the claim of enforcement %d too", w.name, id)
			ran[id] = w.name
		}
		w.mu.Unlock()
	}
	require.Len(t, ran, tickets)
}
