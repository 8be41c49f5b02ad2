package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

const (
	// looksPerLease is how often, per lease, Run looks for leases that have expired.
	looksPerLease = 4
	// expireBatch bounds the leases that are ended in one transaction.
	expireBatch = 200
)

// LeaseStore keeps the leases of attempts, by the clock of the database. It never renews an expired lease.
type LeaseStore interface {
	// Renew answers in the order of the questions.
	Renew(ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error)
	// ExpireLeases ends up to limit attempts whose lease has run out, like a report that their worker was lost, and returns
	// how many.
	ExpireLeases(ctx context.Context, limit int) (int, error)
}

// Leases renews the leases of attempts whose workers ask for it, and ends the attempts whose lease has expired.
type Leases struct {
	store   LeaseStore
	lease   time.Duration
	answer  func(context.Context) error
	expired func(context.Context, int)
	log     *slog.Logger
}

// NewLeases returns Leases of the given length. answer returns an error unless the broker and the database answer: workers are
// heard through both. expired counts expired leases.
func NewLeases(
	store LeaseStore, lease time.Duration, answer func(context.Context) error, expired func(context.Context, int), log *slog.Logger,
) *Leases {
	return &Leases{store: store, lease: lease, answer: answer, expired: expired, log: log}
}

// Handle answers a batch, in its order.
func (l *Leases) Handle(ctx context.Context, batch []attune.ExecutionRenewMessage) ([]attune.ExecutionRenewReply, error) {
	replies, err := l.store.Renew(ctx, batch, l.lease)
	if err != nil {
		return nil, fmt.Errorf("renew the leases of %d workers: %w", len(batch), err)
	}
	return replies, nil
}

// Run ends attempts whose lease has expired, several times per lease, until ctx ends, and returns nil then. Run may run in any
// number of processes: each lease is ended by one of them.
//
// A silent worker may be unable to reach the broker or the database. So Run ends no attempt before the services have answered
// twice in a row: reports that waited for a service to come back, or for this process to start, are taken in first.
func (l *Leases) Run(ctx context.Context) error {
	tick := time.NewTicker(l.lease / looksPerLease)
	defer tick.Stop()
	for answered := false; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		err := l.look(ctx, answered)
		if answered = err == nil; !answered && ctx.Err() == nil {
			l.log.Warn("leases could not be looked at, trying again", "error", err)
		}
	}
}

// look ends attempts whose lease has expired, if the services answered before and do so now.
func (l *Leases) look(ctx context.Context, answered bool) error {
	limited, cancel := context.WithTimeout(ctx, l.lease/looksPerLease)
	defer cancel()
	if err := l.answer(limited); err != nil || !answered {
		return err
	}
	return l.expire(ctx)
}

// expire ends every attempt whose lease has expired.
func (l *Leases) expire(ctx context.Context) error {
	for {
		n, err := l.store.ExpireLeases(ctx, expireBatch)
		if err != nil {
			return fmt.Errorf("end executions whose lease has run out: %w", err)
		}
		if n > 0 {
			l.expired(ctx, n)
			l.log.Warn("executions were given up: their workers have not renewed their leases", "executions", n)
		}
		if n < expireBatch {
			return nil
		}
	}
}
