package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

// expireBatch bounds the leases that are ended in one transaction.
const expireBatch = 200

// Lessor keeps the leases of attempts, by the clock of the database. One that has run out is never renewed.
type Lessor interface {
	// Renew answers in the order of the questions.
	Renew(ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.ExecutionRenewReply, error)
	// ExpireLeases ends up to limit attempts whose lease has run out, like a report that their worker was lost, and returns
	// how many.
	ExpireLeases(ctx context.Context, limit int) (int, error)
}

// Leases lets workers go on with what they run as long as they are heard from, and ends what is left of those that are not.
type Leases struct {
	lessor  Lessor
	lease   time.Duration
	expired func(context.Context, int)
	log     *slog.Logger
}

// NewLeases returns Leases of the given length. expired counts those that have run out.
func NewLeases(lessor Lessor, lease time.Duration, expired func(context.Context, int), log *slog.Logger) *Leases {
	return &Leases{lessor: lessor, lease: lease, expired: expired, log: log}
}

// Handle answers a batch, in its order.
func (l *Leases) Handle(ctx context.Context, batch []attune.ExecutionRenewMessage) ([]attune.ExecutionRenewReply, error) {
	replies, err := l.lessor.Renew(ctx, batch, l.lease)
	if err != nil {
		return nil, fmt.Errorf("renew the leases of %d workers: %w", len(batch), err)
	}
	return replies, nil
}

// Run ends what has run out, several times per lease, until ctx ends, and returns nil then. It may run in any number of
// processes: each lease is ended by one of them. While the database is away, nothing runs out.
func (l *Leases) Run(ctx context.Context) error {
	tick := time.NewTicker(l.lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := l.expire(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("leases could not be looked at, trying again", "error", err)
		}
	}
}

// expire ends all that has run out by now.
func (l *Leases) expire(ctx context.Context) error {
	for {
		n, err := l.lessor.ExpireLeases(ctx, expireBatch)
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
