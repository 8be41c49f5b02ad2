package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// claimTries bounds how often the worker sends a claim when the reply is an error that is neither "unavailable" nor final:
// this request alone may provoke that error.
const claimTries = 5

// handle takes one request from its delivery to its report. What the contexts are is said at [Worker.Run].
func (w *Worker) handle(ctx, running, reporting context.Context, request Request) {
	m := request.Message
	if m.Execution <= 0 || m.Attempt <= 0 {
		w.log.Error("request without an execution or attempt was rejected", attrs(m)...)
		w.logUnsettled(m, "reject", request.Reject(false))
		return
	}
	running, a, mine := w.enter(ctx, running, request)
	if !mine {
		return
	}
	granted, ok := w.claim(ctx, request)
	if !ok {
		w.register.forget(a)
		return
	}
	w.renewer.hold(a, granted)
	a.decide(true)
	w.logUnsettled(m, "acknowledge", request.Ack())
	w.log.Debug("execution starts", attrs(m, "asked", granted.from)...)
	report := w.run(running, a.killed, m)
	w.renewer.actionEnded(a)
	w.report(reporting, report)
	w.renewer.release(a)
	w.register.retire(a)
}

// enter registers the attempt for this delivery. If this worker has claimed the attempt already, enter acknowledges the
// delivery. If another delivery is claiming the attempt, this one waits: when that claim fails, this delivery takes its
// place. The returned context belongs to the attempt and derives from running.
func (w *Worker) enter(ctx, running context.Context, request Request) (context.Context, *attempt, bool) {
	m := request.Message
	for {
		own, a, mine := w.register.enter(running, attemptOf(m))
		if mine {
			return own, a, true
		}
		select {
		case <-a.decided:
		case <-ctx.Done():
			w.logUnsettled(m, "return", request.Reject(true))
			return nil, nil, false
		}
		if a.claimed {
			w.log.Info("request was delivered again and dropped", attrs(m)...)
			w.logUnsettled(m, "acknowledge", request.Ack())
			return nil, nil, false
		}
	}
}

// claim asks until there is an answer, and reports whether the attempt may run, and on what lease. If not, the delivery
// is settled.
func (w *Worker) claim(ctx context.Context, request Request) (lease, bool) {
	m := request.Message
	reply, asked, err := w.ask(ctx, m)
	switch {
	case err == nil && reply.Granted:
		return lease{from: asked, length: time.Duration(reply.Lease)}, true
	case err == nil:
		w.log.Info("claim refused, request dropped", attrs(m, "standing", reply.Status)...)
		w.logUnsettled(m, "acknowledge", request.Ack())
	case ctx.Err() != nil:
		w.logUnsettled(m, "return", request.Reject(true))
	default:
		w.log.Error("claim failed, request rejected", attrs(m, "error", err)...)
		w.logUnsettled(m, "reject", request.Reject(false))
	}
	return lease{}, false
}

// ask sends the claim until the bridge replies, ctx ends, or an error is final: one that a retry cannot mend, or the last
// of [claimTries]. asked is when the worker sent the claim that was answered: the lease counts from then.
func (w *Worker) ask(
	ctx context.Context, m attune.ExecutionRequestedMessage,
) (reply attune.ExecutionClaimReply, asked time.Time, err error) {
	question := attune.ExecutionClaimMessage{Execution: m.Execution, Attempt: m.Attempt, Worker: w.cfg.Name}
	failures := 0
	reply, err = retry.Get(ctx, func() (attune.ExecutionClaimReply, error) {
		asked = time.Now()
		reply, err := w.askOnce(ctx, question)
		if err == nil || unanswered(err) {
			return reply, err
		}
		if failures++; failures == claimTries {
			return reply, retry.Final(err)
		}
		return reply, finalUnlessRetryable(err)
	}, func(err error, pause time.Duration) {
		w.log.Warn("claim not answered, asking again", attrs(m, "error", err, "retry_in", pause)...)
	})
	return reply, asked, err
}

// askOnce sends one claim. A worker that is told to stop still waits for the reply: if the bridge grants a claim and the
// worker never learns of the grant, the attempt is lost.
func (w *Worker) askOnce(ctx context.Context, question attune.ExecutionClaimMessage) (attune.ExecutionClaimReply, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.ClaimTimeout)
	defer cancel()
	return w.claims.Claim(ctx, question)
}

// unanswered reports whether the claim got no reply: no bridge was reachable, or none replied in time.
func unanswered(err error) bool {
	return attune.CodeOf(err) == attune.CodeUnavailable || errors.Is(err, context.DeadlineExceeded)
}

// run runs a claimed attempt.
func (w *Worker) run(
	ctx context.Context, kill <-chan struct{}, m attune.ExecutionRequestedMessage,
) attune.ExecutionCompletedMessage {
	started := time.Now()
	how := w.runner.run(ctx, kill, m)
	finished := time.Now()
	w.log.Info("execution ended",
		attrs(m, "status", how.status, "reason", how.reason, "detail", how.message, "took", finished.Sub(started))...)
	return how.completed(m, w.cfg.Name, started, finished)
}

// report publishes until it is confirmed, or until ctx ends.
func (w *Worker) report(ctx context.Context, report attune.ExecutionCompletedMessage) {
	log := w.log.With("execution", report.Execution, "attempt", report.Attempt, "status", report.Status)
	var last error
	err := retry.Do(ctx, func() error {
		last = w.reports.Publish(ctx, report)
		return last
	}, func(err error, pause time.Duration) {
		log.Warn("report not published, trying again", "error", err, "retry_in", pause)
	})
	if err != nil {
		w.unreported.Add(1)
		log.Error("worker stopped before the end of the execution could be reported", "error", cmp.Or(last, err))
		return
	}
	w.cfg.Reported(ctx, report.Status)
}

// logUnsettled logs a delivery that could not be logUnsettled. The broker delivers it again, and then it is dropped as known or
// refused.
func (w *Worker) logUnsettled(m attune.ExecutionRequestedMessage, what string, err error) {
	if err != nil {
		w.log.Warn("request could not be settled", attrs(m, "settlement", what, "error", err)...)
	}
}

// attrs are the log attributes of a request, and more.
func attrs(m attune.ExecutionRequestedMessage, more ...any) []any {
	return append([]any{"execution", m.Execution, "attempt", m.Attempt, "action", m.Action}, more...)
}
