package fxmodules

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/workflows"
)

// Temporal provides the client and what is built on it. A process whose roles need none of it opens no connection.
var Temporal = fx.Module("temporal", fx.Provide(dialTemporal, markWorkflows, newQueues))

// Orchestrator runs the temporal workers of queues and enforcements.
var Orchestrator = fx.Module("orchestrator",
	fx.Provide(
		newQueueActivities,
		func(e *postgres.Enforcements, x *postgres.Executions, p *publisher, q *workflows.Queues) *activities.Enforcements {
			return activities.NewEnforcements(e, x, p, q)
		},
	),
	fx.Invoke(runTemporalWorkers),
)

// stopPatience is how long activities under way may take when a temporal worker stops.
const stopPatience = 10 * time.Second

// namespace is the one of Temporal that the process uses.
type namespace string

// dialTemporal takes all settings from the TEMPORAL_* variables, which are those of Temporal's own tools.
func dialTemporal(lifecycle fx.Lifecycle, t *telemetry.Telemetry, log *slog.Logger) (client.Client, namespace, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, "", attune.WrapError(attune.CodeInvalid, err, "the TEMPORAL_* settings cannot be used")
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	options.Namespace = cmp.Or(options.Namespace, client.DefaultNamespace)
	options.Logger = sdklog.NewStructuredLogger(log)
	options.MetricsHandler = t.Temporal()
	if host, _, err := net.SplitHostPort(options.HostPort); err == nil && loopback(host) {
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, "", attune.WrapError(attune.CodeUnavailable, err,
			"Temporal at %s does not answer: start it (attune dev does), or set TEMPORAL_ADDRESS", options.HostPort)
	}
	lifecycle.Append(fx.StopHook(c.Close))
	return c, namespace(options.Namespace), nil
}

// marked says that the workflows which the process starts carry the search attributes of their queue.
type marked bool

func markWorkflows(c client.Client, ns namespace, log *slog.Logger) marked {
	err := workflows.EnsureAttributes(context.Background(), c, string(ns))
	if err != nil {
		log.Warn("workflows cannot be found by their queue: add the search attributes to the namespace and start again",
			"attributes", workflows.Attributes(), "type", "Keyword", "namespace", string(ns), "error", err)
	}
	return err == nil
}

func newQueues(c client.Client, m marked) *workflows.Queues {
	if m {
		return workflows.NewQueues(c).Marked()
	}
	return workflows.NewQueues(c)
}

func newQueueActivities(
	rows *postgres.Queues, settler *postgres.Enforcements, c client.Client, m marked,
) *activities.Queues {
	return activities.NewQueues(rows, settler, c, activities.QueuesConfig{Marked: bool(m)})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func runTemporalWorkers(
	lifecycle fx.Lifecycle, shutdown fx.Shutdowner, c client.Client,
	queues *activities.Queues, enforcements *activities.Enforcements, log *slog.Logger,
) {
	run := func(taskQueue string, options worker.Options, register func(worker.Worker)) {
		options.WorkerStopTimeout = stopPatience
		options.OnFatalError = func(err error) {
			log.Error("a temporal worker ended by itself, the process stops", "task_queue", taskQueue, "error", err)
			_ = shutdown.Shutdown(fx.ExitCode(1))
		}
		w := worker.New(c, taskQueue, options)
		workflows.Register(w)
		register(w)
		lifecycle.Append(fx.Hook{
			OnStart: func(context.Context) error {
				if err := w.Start(); err != nil {
					return fmt.Errorf("start the temporal worker on %q: %w", taskQueue, err)
				}
				return nil
			},
			OnStop: func(context.Context) error { w.Stop(); return nil },
		})
	}
	run(workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions(), func(w worker.Worker) { enforcements.Register(w) })
	run(workflows.QueueTaskQueue, workflows.QueueWorkerOptions(), func(w worker.Worker) { queues.Register(w) })
}
