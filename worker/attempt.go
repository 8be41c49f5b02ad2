package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// claimTries bounds how often the worker sends a claim when the reply is an error that is neither "unavailable" nor
// final: this one claim may be the cause of the error.
const claimTries = 5

// handle runs one request from its delivery to its report. [Worker.Run] explains the three contexts.
func (w *Worker) handle(ctx, running, reporting context.Context, request Request) {
	m := request.Message
	if m.Execution <= 0 || m.Attempt <= 0 {
		w.log.Error("request without an execution or attempt was rejected", attrs(m)...)
		w.logNotAcked(m, "reject", request.Reject(false))
		return
	}
	running, a, isNew := w.enter(ctx, running, request)
	if !isNew {
		return
	}
	granted, ok := w.claim(ctx, request)
	if !ok {
		w.register.forget(a)
		return
	}
	w.renewer.hold(a, granted.lease)
	a.decide(true)
	w.logNotAcked(m, "acknowledge", request.Ack())
	w.log.Debug("execution starts", attrs(m, "lease_from", granted.lease.from.at)...)
	report := w.run(running, a, granted.input)
	w.renewer.actionEnded(a)
	w.report(reporting, report)
	w.renewer.release(a)
	w.register.retire(a)
}

// enter registers the attempt for this delivery. If this worker has claimed the attempt already, enter acknowledges the
// delivery and returns false. If another delivery of the request is being claimed, enter waits: when that claim fails,
// this delivery takes its place. The returned context derives from running and belongs to the attempt.
func (w *Worker) enter(ctx, running context.Context, request Request) (context.Context, *attempt, bool) {
	m := request.Message
	for {
		own, a, isNew := w.register.enter(running, attemptOf(m))
		if isNew {
			return own, a, true
		}
		select {
		case <-a.decided:
		case <-ctx.Done():
			w.logNotAcked(m, "return", request.Reject(true))
			return nil, nil, false
		}
		if a.claimed {
			w.log.Info("request was delivered again and dropped", attrs(m)...)
			w.logNotAcked(m, "acknowledge", request.Ack())
			return nil, nil, false
		}
	}
}

// grant is what a granted claim gives the worker.
type grant struct {
	lease lease
	input attune.ExecutionInput
}

// claim sends the claim until the bridge replies, and returns what a granted claim gives. Otherwise it settles the delivery and
// returns false.
func (w *Worker) claim(ctx context.Context, request Request) (grant, bool) {
	m := request.Message
	decision, sentAt, err := w.claimUntilAnswered(ctx, m)
	reply := decision.Reply
	switch {
	case err == nil && reply.Granted:
		return grant{lease{from: sentAt, length: time.Duration(reply.Lease)}, decision.Input}, true
	case err == nil:
		w.log.Info("claim refused, request dropped", attrs(m, "execution_status", reply.Status)...)
		w.logNotAcked(m, "acknowledge", request.Ack())
	case ctx.Err() != nil:
		w.logNotAcked(m, "return", request.Reject(true))
	default:
		w.log.Error("claim failed, request rejected", attrs(m, "error", err)...)
		w.logNotAcked(m, "reject", request.Reject(false))
	}
	return grant{}, false
}

// claimUntilAnswered sends the claim until the bridge replies, ctx ends, or an error is final. An error is final if no retry can help,
// or after [claimTries] errors. sentAt is when the worker sent the answered claim: the lease begins then.
func (w *Worker) claimUntilAnswered(
	ctx context.Context, m attune.ExecutionRequestedMessage,
) (decision attune.ClaimDecision, sentAt moment, err error) {
	claim := attune.ExecutionClaimMessage{
		Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Worker: w.cfg.Name,
	}
	failures := 0
	decision, err = retry.Get(ctx, func() (attune.ClaimDecision, error) {
		sentAt = now()
		decision, err := w.claimOnce(ctx, claim)
		if err == nil || unanswered(err) {
			return decision, err
		}
		if failures++; failures == claimTries {
			return decision, retry.Final(err)
		}
		return decision, finalUnlessRetryable(err)
	}, func(err error, pause time.Duration) {
		w.log.Warn("claim not answered, sending it again", attrs(m, "error", err, "retry_in", pause)...)
	})
	return decision, sentAt, err
}

// claimOnce sends one claim. A worker that is told to stop still waits for the reply: if the bridge grants the claim and
// the worker never learns of the grant, the attempt is lost.
func (w *Worker) claimOnce(ctx context.Context, claim attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.ClaimTimeout)
	defer cancel()
	return w.claims.Claim(ctx, claim)
}

// unanswered reports whether the claim got no reply: the worker could not reach a bridge, or none replied in time.
func unanswered(err error) bool {
	return attune.CodeOf(err) == attune.CodeUnavailable || errors.Is(err, context.DeadlineExceeded)
}

// run runs the action of a claimed attempt.
func (w *Worker) run(ctx context.Context, a *attempt, input attune.ExecutionInput) attune.ExecutionCompletedMessage {
	started := time.Now()
	o := w.runner.run(ctx, a, input)
	finished := time.Now()
	w.log.Info("execution ended", "execution", a.id.Execution, "attempt", a.id.Attempt, "action", input.Action,
		"status", o.status, "reason", o.reason, "detail", o.message, "took", finished.Sub(started))
	return o.completed(a.id, w.cfg.Name, started, finished)
}

// report publishes the report until the broker confirms it or ctx ends.
func (w *Worker) report(ctx context.Context, report attune.ExecutionCompletedMessage) {
	log := w.log.With("execution", report.Execution, "attempt", report.Attempt, "status", report.Status)
	var last error
	err := retry.Do(ctx, func() error {
		last = w.reports.Report(ctx, report)
		return last
	}, func(err error, pause time.Duration) {
		log.Warn("report not published, trying again", "error", err, "retry_in", pause)
	})
	if err != nil {
		w.unreported.Add(1)
		log.Error("worker stopped before it could publish the report of an execution", "error", cmp.Or(last, err))
		return
	}
	w.cfg.Reported(ctx, report.Status)
}

// logNotAcked logs err if a delivery could not be settled. The broker then delivers the request again, and the worker
// drops it as a duplicate, or its claim is refused.
func (w *Worker) logNotAcked(m attune.ExecutionRequestedMessage, what string, err error) {
	if err != nil {
		w.log.Warn("request could not be settled", attrs(m, "settlement", what, "error", err)...)
	}
}

// attrs returns the log attributes of a request, followed by more.
func attrs(m attune.ExecutionRequestedMessage, more ...any) []any {
	return append([]any{"execution", m.Execution, "attempt", m.Attempt, "action", m.Action}, more...)
}
