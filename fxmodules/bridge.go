package fxmodules

import (
	"context"
	"errors"
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// Bridge runs the consumers between RabbitMQ and the queues, and the outbox relay.
var Bridge = fx.Module("bridge", fx.Invoke(applyPolicies, runIntake, runCompletions, runClaims, runLeases, runRelay))

// bridgeBatch bounds what one handler call gets. One transaction and one signal per queue carry all of it.
const bridgeBatch = 500

func runIntake(
	loops *loops, both brokers, p *publisher, _ installed,
	admitter *postgres.Enforcements, queues *workflows.Queues, metrics *telemetry.Metrics,
) {
	intake := bridge.NewIntake(admitter, queues, metrics.Admitted)
	consumer := rabbitmq.NewConsumer(both.consume, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: bridgeBatch, Linger: bridge.Linger, Publisher: p.Publisher,
	}, intake.Handle)
	loops.add("intake", consumer.Run)
}

func runCompletions(
	loops *loops, both brokers, p *publisher,
	finisher *postgres.Executions, queues *workflows.Queues, metrics *telemetry.Metrics, log *slog.Logger,
) {
	counted := func(ctx context.Context, report attune.ExecutionCompletedMessage, effect attune.CompletionEffect) {
		metrics.Completed(ctx, effect, report.Status)
	}
	completions := bridge.NewCompletions(finisher, queues, counted, log)
	consumer := rabbitmq.NewConsumer(both.consume, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueExecutionCompleted, MaxBatch: bridgeBatch, Linger: bridge.Linger, Publisher: p.Publisher,
	}, completions.Handle)
	loops.add("completions", consumer.Run)
}

func runClaims(loops *loops, cfg config.Config, both brokers, p *publisher, claimer *postgres.Executions) {
	claims := bridge.NewClaims(claimer, cfg.Lease)
	responder := rabbitmq.NewResponder(both.consume, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueExecutionClaim, Publisher: p.Publisher,
	}, claims.Handle)
	loops.add("claims", responder.Run)
}

func runLeases(
	loops *loops, cfg config.Config, both brokers, p *publisher,
	db *postgres.DB, lessor *postgres.Executions, metrics *telemetry.Metrics, log *slog.Logger,
) {
	answer := func(ctx context.Context) error { return errors.Join(both.consume.Ping(ctx), db.Ping(ctx)) }
	leases := bridge.NewLeases(lessor, cfg.Lease, answer, metrics.LeasesExpired, log)
	responder := rabbitmq.NewResponder(both.consume, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueExecutionRenew, Publisher: p.Publisher,
	}, leases.Handle)
	loops.add("renewals", responder.Run)
	loops.add("leases", leases.Run)
}

func runRelay(loops *loops, outbox *postgres.Outbox, p *publisher, metrics *telemetry.Metrics, log *slog.Logger) {
	loops.add("outbox relay", bridge.NewRelay(outbox, p, metrics.OutboxPublished, log).Run)
}
