package worker

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/attune-go/attune"
)

const minute = time.Minute

var errNoReply = attune.Errorf(attune.CodeUnavailable, "no reply")

// leaseStore replies to the renewals of a renewer and records them.
type leaseStore struct {
	answer func(ctx context.Context, n int) (attune.ExecutionRenewReply, error) // n counts from 1

	mu       sync.Mutex // guards the fields below
	begun    time.Time
	sent     []time.Duration // of each renewal, since begun
	attempts [][]attune.AttemptID
}

func (*leaseStore) Claim(context.Context, attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
	return attune.ClaimDecision{}, errNoReply
}

func (l *leaseStore) Renew(ctx context.Context, q attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
	l.mu.Lock()
	l.sent = append(l.sent, time.Since(l.begun))
	l.attempts = append(l.attempts, q.Attempts)
	n := len(l.sent)
	l.mu.Unlock()
	return l.answer(ctx, n)
}

func renewed(d time.Duration, lost ...attune.AttemptID) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{Lease: attune.Duration(d), Lost: lost}, nil
}

func noReply(context.Context, int) (attune.ExecutionRenewReply, error) {
	return attune.ExecutionRenewReply{}, errNoReply
}

// runningRenewer is a renewer that runs in a synctest bubble.
type runningRenewer struct {
	*renewer
	*leaseStore
	stop func()
}

func startRenewer(t *testing.T, answer func(context.Context, int) (attune.ExecutionRenewReply, error)) *runningRenewer {
	t.Helper()
	l := &leaseStore{answer: answer, begun: time.Now()}
	k := &runningRenewer{renewer: newRenewer(l, Config{Name: "w1"}.WithDefaults(), slog.New(slog.DiscardHandler)), leaseStore: l}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	k.stop = func() { cancel(); running.Wait() }
	t.Cleanup(k.stop)
	return k
}

// fate records when an attempt was ended and killed, since the beginning, and why.
type fate struct {
	*attempt
	mu            sync.Mutex
	ended, killed time.Duration
	why           error
}

const never = time.Duration(-1)

// hold adds an attempt whose claim was sent the given time ago.
func (k *runningRenewer) hold(id int, length, ago time.Duration) *fate {
	f := &fate{ended: never, killed: never}
	once := func(at *time.Duration, why error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if *at == never {
			*at, f.why = time.Since(k.begun), cmp.Or(f.why, why)
		}
	}
	f.attempt = &attempt{
		id:   attune.AttemptID{Execution: attune.ExecutionID(id), Attempt: 1},
		end:  func(cause error) { once(&f.ended, cause) },
		kill: func() { once(&f.killed, nil) },
	}
	k.renewer.hold(f.attempt, leaseSent(ago, length))
	return f
}

// endedAt returns when the attempt was ended, or never.
func (f *fate) endedAt() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// leaseSent returns a lease whose claim was sent some time ago.
func leaseSent(ago, length time.Duration) lease {
	from := now()
	return lease{from: moment{at: from.at.Add(-ago), boot: from.boot - bootTime(ago)}, length: length}
}
