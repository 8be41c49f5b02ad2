package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// requests is a queue of requests.
type requests struct {
	queue chan worker.Request
	taken atomic.Int64
	fail  func() error // called before each request; nil never fails
}

func (r *requests) Pull(ctx context.Context) (worker.Request, error) {
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return worker.Request{}, err
		}
	}
	if ctx.Err() != nil { // select would choose at random
		return worker.Request{}, ctx.Err()
	}
	select {
	case request := <-r.queue:
		r.taken.Add(1)
		return request, nil
	case <-ctx.Done():
		return worker.Request{}, ctx.Err()
	}
}

// push delivers a request and returns the delivery.
func (r *requests) push(m task) *delivery {
	d := &delivery{settled: make(chan string, 10)}
	r.queue <- worker.Request{Message: m.message(), Ack: d.ack, Reject: d.reject}
	return d
}

// delivery records how a delivery was settled: "ack", "requeue" or "dead".
type delivery struct{ settled chan string }

func (d *delivery) ack() error {
	d.settled <- "ack"
	return nil
}

func (d *delivery) reject(requeue bool) error {
	if requeue {
		d.settled <- "requeue"
	} else {
		d.settled <- "dead"
	}
	return nil
}

// wait returns how the delivery was settled.
func (d *delivery) wait(t *testing.T) string {
	t.Helper()
	select {
	case settlement := <-d.settled:
		return settlement
	case <-time.After(deadline):
		require.FailNow(t, "the delivery was not settled")
		return ""
	}
}

// open reports whether the delivery is unsettled.
func (d *delivery) open() bool { return len(d.settled) == 0 }

// claims grants every claim and every renewal for a day, unless a test sets its own reply.
type claims struct {
	sent   atomic.Int64
	renew  func(ctx context.Context, question attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error)
	answer func(ctx context.Context, question attune.ExecutionClaimMessage) (attune.ClaimDecision, error)
}

func (c *claims) Claim(ctx context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
	c.sent.Add(1)
	if c.answer != nil {
		return c.answer(ctx, q)
	}
	return granted(q), nil
}

func (c *claims) Renew(ctx context.Context, q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	if c.renew == nil {
		return attune.ExecutionRenewReply{Lease: aDay}, nil
	}
	return c.renew(ctx, q)
}

const aDay = attune.Duration(24 * time.Hour)

func granted(q attune.ExecutionClaimMessage) attune.ClaimDecision {
	reply := attune.ExecutionClaimReply{
		Execution: q.Execution, Attempt: q.Attempt, Granted: true, Status: attune.ExecutionRunning, Lease: aDay,
	}
	input, _ := inputs.Load(q.Execution)
	return attune.ClaimDecision{Reply: reply, Input: input.(attune.ExecutionInput)}
}

func refused(q attune.ExecutionClaimMessage) attune.ClaimDecision {
	return attune.ClaimDecision{Reply: attune.ExecutionClaimReply{
		Execution: q.Execution, Attempt: q.Attempt, Status: attune.ExecutionCancelled,
	}}
}

// reports keeps the published reports.
type reports struct {
	published chan attune.ExecutionCompletedMessage
	fail      func(ctx context.Context) error // called before each report; nil never fails
}

func (r *reports) Report(ctx context.Context, report attune.ExecutionCompletedMessage) error {
	if r.fail != nil {
		if err := r.fail(ctx); err != nil {
			return err
		}
	}
	r.published <- report
	return nil
}

// next returns the next report.
func (r *reports) next(t *testing.T) attune.ExecutionCompletedMessage {
	t.Helper()
	select {
	case report := <-r.published:
		return report
	case <-time.After(deadline):
		require.FailNow(t, "no report was published")
		return attune.ExecutionCompletedMessage{}
	}
}
