package fxmodules

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/internal/supervisor"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/temporal"
	"github.com/attune-go/attune/workflows"
)

// Temporal provides the client and its users. A process opens a connection only if one of its roles needs one.
var Temporal = fx.Module("temporal", fx.Provide(takeNamespace, dialTemporal, ensureAttributes, newQueues))

// Orchestrator runs the temporal workers for queues and enforcements.
var Orchestrator = fx.Module("orchestrator",
	fx.Provide(newQueueActivities, newEnforcementActivities),
	fx.Invoke(runTemporalWorkers),
)

// namespace is the Temporal namespace of the process.
type namespace string

// takeoverTimeout bounds the takeover of a namespace: the wait for a sign of life of its owner, and the end of the owner's workflows.
// Temporal ends several hundred workflows per second.
const takeoverTimeout = 10 * time.Minute

// takeNamespace takes the namespace for the database before any other part uses Temporal, and returns the installation. It gives up
// when the process is asked to stop.
func takeNamespace(
	stop stopRequest, db *postgres.DB, t *telemetry.Telemetry, log *slog.Logger,
) (attune.InstallationID, namespace, error) {
	ctx, cancel := context.WithTimeout(stop(), takeoverTimeout)
	defer cancel()
	c, ns, err := dial(ctx, temporal.ProcessName(), t, log)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	installation, err := workflows.TakeNamespace(ctx, c, ns, db, log)
	return installation, namespace(ns), err
}

// dialTemporal connects as a process of the installation. A process with a client watches for a restore of the database.
func dialTemporal(
	lifecycle fx.Lifecycle, stop stopRequest, loops *loops, db *postgres.DB, installation attune.InstallationID,
	t *telemetry.Telemetry, log *slog.Logger,
) (client.Client, error) {
	c, ns, err := dial(stop(), workflows.Identity(installation, temporal.ProcessName()), t, log)
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(c.Close))
	loops.add("watermark", workflows.NewWatermark(db, c, ns, installation, log).Run)
	return c, nil
}

func dial(ctx context.Context, identity string, t *telemetry.Telemetry, log *slog.Logger) (client.Client, string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return temporal.Dial(ctx, identity, t.Temporal(), log)
}

// searchAttributes reports whether the workflows of this process carry the search attributes of their queue.
type searchAttributes bool

func ensureAttributes(c client.Client, ns namespace, log *slog.Logger) searchAttributes {
	err := workflows.EnsureAttributes(context.Background(), c, string(ns))
	if err != nil {
		log.Warn("workflows cannot be found by their queue: add the search attributes to the namespace and start again",
			"attributes", workflows.Attributes(), "type", "Keyword", "namespace", string(ns), "error", err)
	}
	return err == nil
}

func newQueues(c client.Client, with searchAttributes) *workflows.QueueClient {
	if with {
		return workflows.NewQueueClient(c).WithSearchAttributes()
	}
	return workflows.NewQueueClient(c)
}

func newQueueActivities(
	rows *postgres.Queues, holders *postgres.Enforcements, cancels *postgres.Executions, c client.Client, with searchAttributes,
	metrics *telemetry.Metrics,
) *activities.QueueActivities {
	observed := rows.Observe(metrics.EnforcementReached)
	return activities.NewQueueActivities(observed, holders, cancels, c, activities.QueuesConfig{SearchAttributes: bool(with)})
}

func newEnforcementActivities(
	e *postgres.Enforcements, x *postgres.Executions, p *rabbitmq.PoolPublisher, q *workflows.QueueClient,
) *activities.EnforcementActivities {
	return activities.NewEnforcementActivities(e, x, p, q)
}

func runTemporalWorkers(
	lifecycle fx.Lifecycle, s *supervisor.Supervisor, c client.Client,
	queues *activities.QueueActivities, enforcements *activities.EnforcementActivities,
) {
	run := func(taskQueue string, options worker.Options, register func(worker.Registry)) {
		ended := func(err error) { s.ReportEnd("temporal worker on "+taskQueue, err) }
		w := temporal.NewWorker(c, taskQueue, options, ended, func(r worker.Registry) { workflows.Register(r) }, register)
		lifecycle.Append(fx.StartStopHook(w.Start, w.Stop))
	}
	run(workflows.EnforcementTaskQueue, workflows.EnforcementWorkerOptions(), func(r worker.Registry) { enforcements.Register(r) })
	run(workflows.QueueTaskQueue, workflows.QueueWorkerOptions(), func(r worker.Registry) { queues.Register(r) })
}
