package fxmodules

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/worker"
)

// Worker runs actions. It needs the broker and the folders of the packs, and nothing else.
var Worker = fx.Module("worker", fx.Invoke(runWorker))

func runWorker(
	loops *loops, cfg config.Config, both brokers, p *publisher, packs []attune.Pack, metrics *telemetry.Metrics, log *slog.Logger,
) error {
	folders := make(map[string]string, len(packs))
	for _, pack := range packs {
		folders[pack.Name] = pack.Dir
	}
	queue := rabbitmq.QueueExecutionRequested(cfg.WorkerPool)
	requests := takenRequests{rabbitmq.NewTaker[attune.ExecutionRequestedMessage](both.consume, queue)}
	caller := rabbitmq.NewCaller(both.publish)
	w, err := worker.New(worker.Config{
		Name: cfg.WorkerName, Pool: cfg.WorkerPool, Slots: cfg.WorkerSlots, Packs: folders,
	}, requests, calledClaims{caller}, countedReports{p, metrics}, log)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	cancel := func(_ context.Context, message attune.ExecutionCancelMessage) {
		w.Cancel(message.Execution, message.Attempt)
	}
	cancels := rabbitmq.NewSubscriber(both.consume, attune.KeyExecutionCancel, cancel)
	loops.add("cancels", cancels.Run)
	loops.add("worker", w.Run)
	return nil
}

// takenRequests gives the worker what the taker takes.
type takenRequests struct {
	*rabbitmq.Taker[attune.ExecutionRequestedMessage]
}

func (t takenRequests) Take(ctx context.Context) (worker.Request, error) {
	delivery, err := t.Taker.Take(ctx)
	if err != nil {
		return worker.Request{}, err
	}
	return worker.Request{Message: delivery.Message, Ack: delivery.Ack, Reject: delivery.Reject}, nil
}

// calledClaims asks the bridge over the broker.
type calledClaims struct{ caller *rabbitmq.Caller }

func (c calledClaims) Claim(ctx context.Context, question attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
	var reply attune.ExecutionClaimReply
	err := c.caller.Call(ctx, question, &reply)
	return reply, err
}

func (c calledClaims) Renew(ctx context.Context, question attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	var reply attune.ExecutionRenewReply
	err := c.caller.Call(ctx, question, &reply)
	return reply, err
}

// countedReports counts the runs whose report has been published.
type countedReports struct {
	*publisher
	metrics *telemetry.Metrics
}

func (r countedReports) Publish(ctx context.Context, messages ...attune.Message) error {
	if err := r.publisher.Publish(ctx, messages...); err != nil {
		return err
	}
	for _, message := range messages {
		if report, ok := message.(attune.ExecutionCompletedMessage); ok {
			r.metrics.WorkerRan(ctx, report.Status)
		}
	}
	return nil
}
