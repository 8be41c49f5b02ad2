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

// Request is one delivery of a request to run an attempt. The worker calls exactly one of Ack and Reject, once.
type Request struct {
	Message attune.ExecutionRequestedMessage
	// Ack settles the delivery: the broker does not deliver the request again.
	Ack func() error
	// Reject returns the delivery to the queue if requeue is true; otherwise the delivery becomes a dead letter.
	Reject func(requeue bool) error
}

// Requests is the source of requests.
type Requests interface {
	// Pull waits for the next request. One goroutine calls Pull, and only while a slot is free. Pull either waits until a
	// lost connection is back or returns an [attune.CodeUnavailable] error; a final error ends the worker.
	Pull(ctx context.Context) (Request, error)
}

// Claims sends claims and lease renewals to the bridge.
type Claims interface {
	// Claim sends the claim once, and returns the input of a granted claim in clear text. Without a reply, its error is
	// [attune.CodeUnavailable] or [context.DeadlineExceeded].
	Claim(ctx context.Context, claim attune.ExecutionClaimMessage) (attune.ClaimDecision, error)
	// Renew sends one renewal. Its errors are those of Claim. Several goroutines call Renew at once, and it returns soon
	// after ctx ends. After every error, the worker sends another renewal as long as it has a lease.
	Renew(ctx context.Context, renewal attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error)
}

// Reports publishes reports.
type Reports interface {
	// Report returns nil only when the broker has confirmed the report.
	Report(ctx context.Context, report attune.ExecutionCompletedMessage) error
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
	unreported atomic.Int64 // outcomes that the worker could not publish before it stopped
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
	runAs, err := cfg.account()
	if err != nil {
		return nil, err
	}
	log = log.With("worker", cfg.Name, "pool", cfg.Pool)
	return &Worker{
		cfg: cfg, requests: requests, claims: claims, reports: reports, log: log,
		runner: runner{
			commands:    commands{packs: folders, action: cfg.Action, environ: cfg.environ(), allowed: cfg.AllowEnv, account: runAs},
			supervisors: &supervisors{account: runAs, slots: cfg.Slots, log: log}, log: log,
			outputLimit: cfg.OutputLimit, killGrace: cfg.KillGrace, outputGrace: cfg.OutputGrace,
		},
		register: newRegister(),
		renewer:  newRenewer(claims, cfg, log),
	}, nil
}

// Run takes requests and runs their actions until ctx ends. Then Run takes no more requests and stops in three steps: it
// waits [Config.StopGrace] for running actions, ends the remaining ones within [Config.KillGrace] and reports them as
// abandoned, and waits [Config.ReportGrace] for unpublished reports.
//
// Run returns within [Config.StopTime] after ctx has ended. It returns nil if every outcome was reported; otherwise an
// error with the number of unreported outcomes, or the reason why the worker could take no more requests.
//
// Each step has a context that outlives the one before. The context for taking requests ends with ctx. The context for
// running actions ends after StopGrace. The context for reporting ends when the worker stops trying to publish; until
// then the worker renews the leases of all attempts with an unpublished report.
func (w *Worker) Run(ctx context.Context) error {
	if !w.started.CompareAndSwap(false, true) {
		return attune.Errorf(attune.CodeConflict, "worker %q was run before: create another", w.cfg.Name)
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	defer w.cleanUp()
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	running, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	reporting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()

	w.log.Info("worker started", "slots", w.cfg.Slots, "packs", len(w.cfg.Packs))
	var handling, renewing sync.WaitGroup
	renewing.Go(func() { w.renewer.run(reporting) })
	err := w.take(taking, running, reporting, &handling)
	stopTaking()
	idle := make(chan struct{})
	go func() {
		handling.Wait()
		giveUp() // all outcomes are published
		renewing.Wait()
		close(idle)
	}()
	return errors.Join(err, w.drain(idle, func() { abandon(errStopped) }, giveUp))
}

// prepare makes the process ready to run actions.
func (w *Worker) prepare(ctx context.Context) (err error) {
	if err := w.runner.supervisors.prepare(w.cfg.Limited); err != nil {
		return err
	}
	for _, warning := range w.runner.supervisors.warnings() {
		w.log.WarnContext(ctx, "actions with a limit will not start", "error", warning)
	}
	w.runner.runDirs, err = openRunDirs(ctx, w.cfg.RunDir, w.runner.commands.account, w.log)
	return err
}

// cleanUp removes what prepare and the runs have left.
func (w *Worker) cleanUp() {
	w.runner.supervisors.close()
	if err := w.runner.runDirs.close(); err != nil {
		w.log.Warn("run folders could not be removed", "folder", w.runner.runDirs.dir, "error", err)
	}
}

// take starts a goroutine for each request, at most one per slot. It returns when ctx ends, or with the error that ends
// the worker.
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
			return nil //nolint:nilerr // ctx has ended: the worker is told to stop
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

// drain waits until every attempt is reported. After each grace it hurries them: first it ends the running actions, then
// it stops the reporting.
func (w *Worker) drain(idle <-chan struct{}, abandon, giveUp func()) error {
	defer abandon()
	w.log.Info("worker stopping: it waits for the running executions", "executions", len(w.register.active()), "wait", w.cfg.StopGrace)
	if !await(idle, w.cfg.StopGrace) {
		w.log.Warn("stop grace is over, ending the running executions", "executions", w.underWay())
		abandon()
		await(idle, w.cfg.endTime()+w.cfg.ReportGrace)
	}
	giveUp()
	return w.leftOver(await(idle, lastWait))
}

// leftOver returns nil if every outcome was reported, and otherwise an error with the number of unreported ones.
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

// underWay names the unfinished attempts, as "execution/attempt".
func (w *Worker) underWay() []string {
	var names []string
	for _, id := range w.register.active() {
		names = append(names, fmt.Sprintf("%d/%d", id.Execution, id.Attempt))
	}
	return names
}

// Active returns how many attempts the worker has taken that have not ended.
func (w *Worker) Active() int { return len(w.register.active()) }

// Cancel ends an attempt of this worker, whether its process has started or not; the worker then reports the attempt as
// cancelled. Cancel returns false, and changes nothing, for another worker's attempt or an attempt that has ended.
func (w *Worker) Cancel(id attune.AttemptID) bool {
	return w.register.end(id, errCancelled)
}
