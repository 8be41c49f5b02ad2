package worker_test

import (
	"context"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// leases grants every claim with a lease of length. It renews as answer says; a nil answer renews with the same length.
type leases struct {
	mu       sync.Mutex
	length   time.Duration
	answer   renewalAnswer
	renewals []attune.ExecutionRenewMessage
}

type renewalAnswer = func(question attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error)

func (b *bundle) lease(length time.Duration, answer renewalAnswer) *leases {
	l := &leases{length: length, answer: answer}
	b.claims.answer = func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		reply := granted(q)
		reply.Reply.Lease = attune.Duration(l.length)
		return reply, nil
	}
	b.claims.renew = func(_ context.Context, q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.renewals = append(l.renewals, q)
		if l.answer != nil {
			return l.answer(q)
		}
		return attune.ExecutionRenewReply{Lease: attune.Duration(l.length)}, nil
	}
	return l
}

// lose makes the next replies declare m lost. It delivers one more request with a short lease, which brings the renewal
// of all leases forward. finish lets that request end.
func (b *bundle) lose(l *leases, m task) (finish func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.length = time.Second
	l.answer = func(attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
		return attune.ExecutionRenewReply{Lease: attune.Duration(time.Hour), Lost: []attune.AttemptID{idOf(m)}}, nil
	}
	return b.pushHeld(request("true"))
}

// times returns the number of renewals.
func (l *leases) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.renewals)
}

func away(attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{}, errAway
}

func idOf(m task) attune.AttemptID {
	return attune.AttemptID{Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt}
}

// pushHeld delivers a request that is claimed but does not start before start is called, because its acknowledgement
// blocks. In a synctest bubble it stands for a running action: a real process would stop the bubble's clock.
func (b *bundle) pushHeld(m task) (start func()) {
	gate := make(chan struct{})
	b.requests.queue <- worker.Request{Message: m.message(), Ack: func() error {
		<-gate
		return nil
	}}
	return func() { close(gate) }
}
