package bridge_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// BenchmarkIntake measures the acceptance of a batch from the broker to the durable queue: consumed, admitted in
// PostgreSQL, signalled, processed by the queue's workflow. The queue's limit is 0, so no grant follows. "durable-s/1000"
// is the time until the queue has all tickets.
func BenchmarkIntake(b *testing.B) {
	const tickets = 1000
	world := setupIntake(b)
	for b.Loop() {
		b.StopTimer()
		messages := world.created(b, tickets)
		before := world.accepted(b)
		b.StartTimer()
		require.NoError(b, world.publisher.Publish(b.Context(), messages...))
		for world.accepted(b) < before+tickets {
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "durable-s/1000")
	b.ReportMetric(float64(tickets*b.N)/b.Elapsed().Seconds(), "acquires/s")
}

type intakeWorld struct {
	events    *postgres.Events
	publisher *rabbitmq.Publisher
	queues    *workflows.QueueClient
	action    attune.Action
}

func setupIntake(b *testing.B) *intakeWorld {
	b.Helper()
	db, log, temporal := postgrestest.New(b), slog.New(slog.DiscardHandler), testenv.TemporalClient(b)
	limit := 0
	packs := postgres.NewPacks(db)
	_, err := packs.Install(b.Context(), []attune.Pack{
		{Name: "core", Triggers: []attune.Trigger{{Ref: attune.ManualTrigger}}},
		{Name: "bench", Actions: []attune.Action{{
			Ref: "bench.wait", Enabled: true, Command: []string{"true"}, Timeout: time.Minute, Pool: attune.DefaultPool,
			Policy: &attune.Policy{Limit: &limit, MaxQueued: new(attune.MaxQueuedLimit)},
		}}},
	})
	require.NoError(b, err)
	action, err := packs.Action(b.Context(), "bench.wait")
	require.NoError(b, err)

	broker := rabbitmq.NewConnection(rabbitmq.Config{URL: testenv.AMQP(b), Name: "bench", Logger: log})
	background(b, broker.Run)
	require.NoError(b, broker.WaitReady(b.Context()))
	topology, err := rabbitmq.NewTopology(attune.DefaultPool)
	require.NoError(b, err)
	require.NoError(b, rabbitmq.Declare(b.Context(), broker, topology))

	rows, enforcements := postgres.NewQueues(db), postgres.NewEnforcements(db)
	w := worker.New(temporal, workflows.QueueTaskQueue, workflows.QueueWorkerOptions())
	workflows.Register(w)
	activities.NewQueueActivities(rows, enforcements, postgres.NewExecutions(db), temporal, activities.QueuesConfig{}).Register(w)
	require.NoError(b, w.Start())
	b.Cleanup(w.Stop)

	world := &intakeWorld{
		events: postgres.NewEvents(db), publisher: rabbitmq.NewPublisher(broker), queues: workflows.NewQueueClient(temporal), action: action,
	}
	intake := bridge.NewIntake(enforcements, world.queues, func(context.Context, int) {})
	background(b, rabbitmq.NewConsumer(broker, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: 500, Publisher: world.publisher,
	}, intake.Handle).Run)
	return world
}

func background(b *testing.B, run func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	b.Cleanup(func() { cancel(); require.NoError(b, <-done) })
}

// created records n direct runs and returns their messages.
func (w *intakeWorld) created(b *testing.B, n int) []attune.Message {
	b.Helper()
	decide := func(attune.Event, []attune.Candidate) []attune.Decision {
		return []attune.Decision{{
			ActionID: w.action.ID, Parameters: json.RawMessage(`{}`), Status: attune.EnforcementCreated,
			Queue: policy.DefaultQueue(w.action.Ref),
		}}
	}
	messages := make([]attune.Message, n)
	for i := range messages {
		recorded, err := w.events.Record(b.Context(), attune.Event{
			Trigger: attune.ManualTrigger, Payload: json.RawMessage(`{}`), Source: attune.SourceManual,
			Author: &attune.Author{Principal: attune.Principal{Name: "bench", Method: attune.AuthToken}},
		}, decide)
		require.NoError(b, err)
		messages[i] = attune.EnforcementCreatedMessage{Enforcement: recorded.Enforcements[0].ID}
	}
	return messages
}

// accepted returns the number of tickets in the queue.
func (w *intakeWorld) accepted(b *testing.B) int64 {
	b.Helper()
	view, err := w.queues.View(b.Context(), "bench.wait")
	if attune.CodeOf(err) == attune.CodeNotFound {
		return 0
	}
	if err != nil { // for example a query between two runs of the workflow
		return 0
	}
	return view.Counters.Accepted
}
