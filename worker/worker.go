package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// Request is one delivery of a request to run an attempt. Exactly one of Ack and Reject is called, once.
type Request struct {
	Message attune.ExecutionRequestedMessage
	// Ack settles the delivery: the request is never delivered again.
	Ack func() error
	// Reject gives the delivery back: to be delivered again, or as a dead letter.
	Reject func(requeue bool) error
}

// Requests is where requests come from.
type Requests interface {
	// Pull waits for the next request. It is called by one goroutine, and only while a slot is free. A lost connection is
	// either waited out or a [attune.CodeUnavailable] error; a final error ends the worker.
	Pull(ctx context.Context) (Request, error)
}

// Claims answers the questions whether an attempt may run, and whether it may go on.
type Claims interface {
	// Claim sends the claim once. Without a reply, its error is [attune.CodeUnavailable] or [context.DeadlineExceeded].
	Claim(ctx context.Context, question attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error)
	// Renew sends one renewal, with errors like those of Claim. Several goroutines call it at once, and it returns soon after
	// ctx ends. Whatever the error, the worker sends another renewal as long as it has a lease.
	Renew(ctx context.Context, question attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error)
}

// Reports takes the reports.
type Reports interface {
	// Publish returns nil only when the broker has confirmed every message.
	Publish(ctx context.Context, messages ...attune.Message) error
}

// Worker runs actions. Create it with [New] and run it once.
type Worker struct {
	cfg      Config
	requests Requests
	claims   Claims
	reports  Reports
	log      *slog.Logger

	runner     runner
	register   *register
	renewer    *renewer
	unreported atomic.Int64 // outcomes that could not be published before the worker had to stop
	started    atomic.Bool
}

// New returns a worker. A setting out of its range is an [attune.CodeInvalid] error.
func New(cfg Config, requests Requests, claims Claims, reports Reports, log *slog.Logger) (*Worker, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	folders, err := cfg.folders()
	if err != nil {
		return nil, err
	}
	log = log.With("worker", cfg.Name, "pool", cfg.Pool)
	return &Worker{
		cfg: cfg, requests: requests, claims: claims, reports: reports, log: log,
		runner: runner{
			commands:    commands{packs: folders, environ: cfg.environ()},
			outputLimit: cfg.OutputLimit, killGrace: cfg.KillGrace, outputGrace: cfg.OutputGrace,
		},
		register: newRegister(),
		renewer:  newRenewer(claims, cfg, log),
	}, nil
}

// Run takes requests and runs them until ctx ends. Then it takes no more and waits: [Config.StopGrace] for what runs,
// [Config.KillGrace] for what it has to end then and reports as abandoned, and [Config.ReportGrace] for the reports.
//
// It returns within [Config.StopTime] after ctx ended: nil when everything was reported, otherwise an error that says
// how many outcomes were not, or why no more requests could be taken.
//
// Run stops in three steps, each with a context that outlives the one before. The context of taking ends with ctx; that of
// running actions, when StopGrace is over; that of reporting, with the last chance to publish. The worker renews leases as
// long as it has an outcome to report.
func (w *Worker) Run(ctx context.Context) error {
	if !w.started.CompareAndSwap(false, true) {
		return attune.Errorf(attune.CodeConflict, "worker %q was run before: create another", w.cfg.Name)
	}
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	running, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	reporting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()

	w.log.Info("worker started", "slots", w.cfg.Slots, "packs", len(w.cfg.Packs))
	var handling, keeping sync.WaitGroup
	keeping.Go(func() { w.renewer.run(reporting) })
	err := w.take(taking, running, reporting, &handling)
	stopTaking()
	idle := make(chan struct{})
	go func() {
		handling.Wait()
		giveUp() // nothing is left to be reported
		keeping.Wait()
		close(idle)
	}()
	return errors.Join(err, w.drain(idle, func() { abandon(errStopped) }, giveUp))
}

// take starts a goroutine for each request, never more than there are slots. It returns when ctx ends, or with the
// error that ends the worker.
func (w *Worker) take(ctx, running, reporting context.Context, handling *sync.WaitGroup) error {
	slots := make(chan struct{}, w.cfg.Slots)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		request, err := w.takeOne(ctx)
		switch {
		case err == nil:
			handling.Go(func() {
				defer func() { <-slots }()
				w.handle(ctx, running, reporting, request)
			})
		case ctx.Err() != nil:
			return nil //nolint:nilerr // being told to stop is why nothing was taken, and no failure
		default:
			return fmt.Errorf("take a request: %w", err)
		}
	}
}

func (w *Worker) takeOne(ctx context.Context) (Request, error) {
	return retry.Get(ctx, func() (Request, error) {
		request, err := w.requests.Pull(ctx)
		return request, finalUnlessRetryable(err)
	}, func(err error, pause time.Duration) {
		w.log.Warn("no request could be taken, trying again", "error", err, "retry_in", pause)
	})
}

func finalUnlessRetryable(err error) error {
	if err == nil || attune.Retryable(err) {
		return err
	}
	return retry.Final(err)
}

// drain waits for what is under way, and hurries it in steps.
func (w *Worker) drain(idle <-chan struct{}, abandon, giveUp func()) error {
	defer abandon()
	w.log.Info("worker stopping", "under_way", len(w.register.here()))
	if !await(idle, w.cfg.StopGrace) {
		w.log.Warn("ending what still runs", "executions", w.underWay())
		abandon()
		await(idle, w.cfg.endTime()+w.cfg.ReportGrace)
	}
	giveUp()
	return w.leftOver(await(idle, lastWait))
}

// leftOver returns nil when every outcome was reported.
func (w *Worker) leftOver(idle bool) error {
	unreported := w.unreported.Load()
	if !idle {
		left := w.underWay()
		unreported += int64(len(left))
		w.log.Error("worker stopped while executions were under way", "executions", left)
	}
	if unreported > 0 {
		return attune.Errorf(attune.CodeUnavailable, "worker %q stopped with %d executions unreported; the log names them",
			w.cfg.Name, unreported)
	}
	w.log.Info("worker stopped")
	return nil
}

// underWay names the executions that are under way, as "execution/attempt".
func (w *Worker) underWay() []string {
	var names []string
	for _, id := range w.register.here() {
		names = append(names, fmt.Sprintf("%d/%d", id.Execution, id.Attempt))
	}
	return names
}

// Cancel ends an attempt of this worker, started or not: the worker then reports the attempt as cancelled. Cancel returns
// false, and changes nothing, for another worker's attempt or an attempt that has ended.
func (w *Worker) Cancel(execution attune.ExecutionID, number int) bool {
	return w.register.end(attune.AttemptID{Execution: execution, Attempt: number}, errCancelled)
}
