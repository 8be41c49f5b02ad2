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
	"github.com/attune-go/attune/secrets"
	"github.com/attune-go/attune/workflows"
)

// Bridge runs the consumers between RabbitMQ and the queues, the outbox relay, and the update of queue policies.
var Bridge = fx.Module("bridge", fx.Invoke(runPolicies, runIntake, runCompletions, runClaims, runLeases, runRequests, runRelay, runSweeper))

// consume returns the settings of a batch consumer of queue.
func consume(queue string, p *rabbitmq.PoolPublisher) rabbitmq.ConsumerConfig {
	return rabbitmq.ConsumerConfig{Queue: queue, MaxBatch: bridge.Batch, Linger: bridge.Linger, Publisher: p.Publisher}
}

// maxRefused bounds the dead letters per second of each queue that workers write to.
const maxRefused = 20

// consumeWorkers returns the settings of a consumer of a queue that workers write to.
func consumeWorkers(queue string, p *rabbitmq.PoolPublisher) rabbitmq.ConsumerConfig {
	return rabbitmq.ConsumerConfig{Queue: queue, MaxRefused: maxRefused, Publisher: p.Publisher}
}

// reportBatch bounds the reports of one handler call. With the next batch, which the broker sends ahead, it bounds the memory that reports
// of the largest size take to 1 GiB.
const reportBatch = 32

func runPolicies(loops *loops, _ installed, rows *postgres.Queues, queues *workflows.QueueClient, log *slog.Logger) {
	loops.add("policies", bridge.NewPolicies(rows, queues, log).Run)
}

func runIntake(
	loops *loops, broker *rabbitmq.Connections, p *rabbitmq.PoolPublisher, _ installed,
	admitter *postgres.Enforcements, queues *workflows.QueueClient, metrics *telemetry.Metrics,
) {
	intake := bridge.NewIntake(admitter.Observe(metrics.EnforcementReached), queues, metrics.Admitted)
	loops.add("intake", rabbitmq.NewConsumer(broker.Consume, consume(rabbitmq.QueueEnforcementCreated, p), intake.Handle).Run)
}

func runCompletions(
	loops *loops, broker *rabbitmq.Connections, p *rabbitmq.PoolPublisher,
	finisher *postgres.Executions, queues *workflows.QueueClient, installation attune.InstallationID, metrics *telemetry.Metrics,
	log *slog.Logger,
) {
	completions := bridge.NewCompletions(finisher, queues, installation, metrics.Completed, metrics.MessageRefused, log)
	config := consumeWorkers(rabbitmq.QueueExecutionCompleted, p)
	config.MaxBatch, config.Linger = reportBatch, bridge.Linger
	consumer := rabbitmq.NewConsumer(broker.Own("reports", attune.MaxReportBody), config, completions.Handle)
	loops.add("completions", consumer.Run)
	ended := rabbitmq.NewConsumer(broker.Consume, consume(rabbitmq.QueueExecutionEnded, p), completions.HandleEnded)
	loops.add("ended executions", ended.Run)
}

func runClaims(
	loops *loops, cfg config.Config, broker *rabbitmq.Connections, p *rabbitmq.PoolPublisher, claimer *postgres.Executions,
	store *postgres.Secrets, keys *secrets.Keyring, signer *bridge.Signer, installation attune.InstallationID, metrics *telemetry.Metrics,
	log *slog.Logger,
) {
	claims := bridge.NewClaims(claimer, secrets.NewResolver(keys, store), signer, installation, cfg.Lease, metrics.MessageRefused, log)
	conn := broker.Own("claims", attune.MaxRequestBody)
	responder := rabbitmq.NewResponder(conn, consumeWorkers(rabbitmq.QueueExecutionClaim, p), claims.Handle)
	loops.add("claims", responder.Failing(bridge.Failed[attune.ExecutionClaimMessage](signer)).Run)
}

func runLeases(
	loops *loops, cfg config.Config, broker *rabbitmq.Connections, p *rabbitmq.PoolPublisher,
	db *postgres.DB, store *postgres.Executions, signer *bridge.Signer, installation attune.InstallationID, metrics *telemetry.Metrics,
	log *slog.Logger,
) {
	renewals := broker.Own("renewals", attune.MaxRequestBody)
	ping := func(ctx context.Context) error { return errors.Join(renewals.Ping(ctx), db.Ping(ctx)) }
	leases := bridge.NewLeases(store, signer, installation, cfg.Lease, ping, metrics.LeasesExpired, metrics.MessageRefused, log)
	responder := rabbitmq.NewResponder(renewals, consumeWorkers(rabbitmq.QueueExecutionRenew, p), leases.Handle)
	loops.add("renewals", responder.Failing(bridge.Failed[attune.ExecutionRenewMessage](signer)).Run)
	loops.add("leases", leases.Run)
}

func runRequests(
	loops *loops, cfg config.Config, p *rabbitmq.PoolPublisher, store *postgres.Executions, metrics *telemetry.Metrics, log *slog.Logger,
) {
	loops.add("lost requests", bridge.NewRequests(store, p, cfg.Lease, metrics.RequestsResent, log).Run)
}

func runRelay(
	loops *loops, outbox *postgres.Outbox, p *rabbitmq.PoolPublisher, signer *bridge.Signer, metrics *telemetry.Metrics, log *slog.Logger,
) {
	loops.add("outbox relay", bridge.NewRelay(outbox, p, signer, metrics.OutboxPublished, log).Run)
}

func runSweeper(loops *loops, db *postgres.DB, _ installed, log *slog.Logger) {
	loops.add("sweeper", bridge.NewSweeper(postgres.NewGates(db), bridge.SweepEvery, log).Run)
}
