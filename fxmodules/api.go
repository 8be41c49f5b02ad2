package fxmodules

import (
	"context"
	"log/slog"
	"net"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/oidc"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/rules"
	"github.com/attune-go/attune/secrets"
	"github.com/attune-go/attune/temporal"
	"github.com/attune-go/attune/workflows"
)

// API serves HTTP. Its listener is part of the graph, so that an occupied port fails the start before any loop runs, and
// a caller that uses port 0 learns the port.
var API = fx.Module("api", fx.Provide(rules.NewEngine, newIngest, newDoctor, newCallers, newServer, listen),
	fx.Invoke(checkWebhookSecrets, runServer, runQueueMetrics))

// stores are the database stores that the API uses.
type stores struct {
	fx.In

	Packs        *postgres.Packs
	Events       *postgres.Events
	Enforcements *postgres.Enforcements
	Executions   *postgres.Executions
	Queues       *postgres.Queues
	Outbox       *postgres.Outbox
	Tokens       *postgres.Tokens
	Audit        *postgres.Audit
	Secrets      *postgres.Secrets
	Policies     *postgres.Policies
	DB           *postgres.DB
}

func newIngest(
	engine *rules.Engine, packs *postgres.Packs, events *postgres.Events, keys *secrets.Keyring, metrics *telemetry.Metrics,
) (*ingest.Ingest, error) {
	return ingest.New(ingest.Deps{Triggers: packs, Actions: packs, Engine: engine, Encrypter: keys, Recorder: events, Metrics: metrics})
}

func newCallers(cfg config.Config, l *live, tokens *postgres.Tokens, log *slog.Logger) *auth.Authenticator {
	sources := auth.Sources{Bootstrap: l.bootstrap, Tokens: tokens, Logger: log}
	if cfg.OIDC.Issuer != "" {
		sources.Issuer = newIssuer(cfg, log)
	}
	return auth.NewAuthenticator(sources)
}

func newIssuer(cfg config.Config, log *slog.Logger) *oidc.Issuer {
	return oidc.New(oidc.Config{Issuer: cfg.OIDC.Issuer, Audience: cfg.OIDC.Audience, Claims: cfg.OIDC.Claims, Logger: log})
}

func newServer(
	cfg config.Config, callers *auth.Authenticator, s stores, in *ingest.Ingest, broker *rabbitmq.Connections, c client.Client,
	queues *workflows.QueueClient, t *telemetry.Telemetry, examiner *doctor.Doctor, installation attune.InstallationID,
	l *live, keys *secrets.Keyring, log *slog.Logger, version Version, _ installed,
) (*api.Server, error) {
	config := api.Config{
		Addr: cfg.HTTPAddr, Version: string(version),
		CallerRate: cfg.Rates.Caller, WebhookRate: cfg.Rates.Webhook, FailureRate: cfg.Rates.Failure,
		MaxConnections: cfg.MaxConns,
	}
	if l.tls != nil {
		config.TLS = l.tls.Config()
	}
	return api.New(config, api.Deps{
		Callers: callers, Tokens: s.Tokens, Audit: s.Audit, LookupSecret: l.webhook.lookup,
		Ingest: in, Events: s.Events, Packs: s.Packs, Enforcements: s.Enforcements,
		Executions: s.Executions, Queues: s.Queues, Control: queues, Doctor: examiner,
		Policies: s.Policies, CheckKey: rules.CheckKeyUses,
		Announcer: bridge.NewAnnouncer(bridge.NewPolicies(s.Queues, queues, log), s.Queues, log),
		Secrets:   secrets.NewVault(keys, s.Secrets, s.Secrets),
		Checks: map[string]func(context.Context) error{
			"postgres": func(ctx context.Context) error { return s.DB.Ready(ctx, installation) },
			"rabbitmq": broker.Publish.Ping,
			"temporal": func(ctx context.Context) error { return temporal.Ping(ctx, c) },
		},
		MetricsPage: t.Handler(), Metrics: t.Metrics, Logger: log,
	})
}

func newDoctor(
	cfg config.Config, s stores, broker *rabbitmq.Connections, c client.Client, ns namespace, keys *secrets.Keyring, version Version,
) *doctor.Doctor {
	return doctor.New(string(version), doctor.Checks(doctor.Sources{
		Schema: s.DB, Installation: s.DB, Outbox: s.Outbox, Suspects: s.Queues, Interventions: s.Queues, Rules: s.Packs,
		RabbitMQ: doctor.RabbitMQ{URL: cfg.AMQPURL.Reveal(), Conn: broker.Publish, Pools: s.Packs},
		Temporal: doctor.TemporalServer{Client: c, Namespace: string(ns)},
		// The doctor has its own bound on requests to the issuer.
		Issuer: doctor.Issuer{URL: cfg.OIDC.Issuer, Audience: cfg.OIDC.Audience, Keys: newIssuer(cfg, nil).Keys},
		Keys:   keys, KeyUses: s.Secrets,
	})...)
}

func checkWebhookSecrets(l *live, loaded []attune.Pack, log *slog.Logger) {
	l.webhook.check(loaded, log)
}

func listen(server *api.Server) (net.Listener, error) { return server.Listen(context.Background()) }

func runServer(loops *loops, server *api.Server, listener net.Listener, l *live) {
	loops.add("tls files", l.watch)
	loops.add("api", func(ctx context.Context) error { return server.Serve(ctx, listener) })
}

// brokerTimeout bounds one reading of the broker for metrics.
const brokerTimeout = 5 * time.Second

// runQueueMetrics publishes the metrics of the queues, and the number of dead letters. It belongs to the role that serves metrics.
func runQueueMetrics(loops *loops, rows *postgres.Queues, broker *rabbitmq.Connections, metrics *telemetry.Metrics) {
	loops.add("queue metrics", func(ctx context.Context) error {
		rows.Watch(ctx, telemetry.QueuePeriod, doctor.StalledAfter, func(reading *postgres.Reading) {
			if reading == nil {
				metrics.QueuesForgotten()
				metrics.DeadLettersForgotten()
				return
			}
			metrics.QueuesRead(reading.Queues, reading.Leaked)
			readDeadLetters(ctx, broker, metrics)
		})
		return nil
	})
}

func readDeadLetters(ctx context.Context, broker *rabbitmq.Connections, metrics *telemetry.Metrics) {
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	depth, err := rabbitmq.Inspect(ctx, broker.Publish, rabbitmq.QueueDead)
	if err != nil {
		metrics.DeadLettersForgotten()
		return
	}
	metrics.DeadLettersRead(depth.Ready)
}
