package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

// resendBatch bounds the requests of a pool that one scan publishes again.
const resendBatch = 500

// RequestStore finds attempts that wait for a claim.
type RequestStore interface {
	// Unclaimed returns, by pool, how many attempts have waited for at least age.
	Unclaimed(ctx context.Context, age time.Duration) (map[string]int, error)
	// Resend returns the requests of up to limit of them, oldest first. It returns no attempt twice within age, in any process.
	Resend(ctx context.Context, pool string, age time.Duration, limit int) ([]attune.ExecutionRequestedMessage, error)
}

// RequestQueues are the queues of requests, one for each pool.
type RequestQueues interface {
	// Waiting returns how many requests wait in the queue of a pool.
	Waiting(ctx context.Context, pool string) (int, error)
	Publish(ctx context.Context, messages ...attune.Message) error
}

// Requests publishes lost requests again. The broker loses a request when a person purges its queue, when a worker rejects it, or with
// the data of the broker.
//
// A request is lost if fewer requests wait in the queue of a pool than attempts have waited for a claim for longer than a lease. A
// request too many changes nothing, because only one claim of an attempt is granted. So requests of a pool without a worker do not pile up,
// and those of a busy pool are found when its queue is shorter.
type Requests struct {
	store  RequestStore
	queues RequestQueues
	age    time.Duration
	resent func(context.Context, int)
	log    *slog.Logger
}

// NewRequests returns Requests that looks for lost requests once per lease. resent is called with the number of requests that were
// published again.
func NewRequests(
	store RequestStore, queues RequestQueues, lease time.Duration, resent func(context.Context, int), log *slog.Logger,
) *Requests {
	return &Requests{store: store, queues: queues, age: lease, resent: resent, log: log}
}

// Run publishes lost requests again until ctx ends, then returns nil. Run may run in any number of processes: one of them publishes
// each request.
func (r *Requests) Run(ctx context.Context) error {
	tick := time.NewTicker(r.age)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := r.scan(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "lost requests not found, trying again", "error", err)
		}
	}
}

// scan looks at every pool once. An error of one pool does not hold up the others.
func (r *Requests) scan(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.age)
	defer cancel()
	unclaimed, err := r.store.Unclaimed(limited, r.age)
	var errs []error
	for pool, attempts := range unclaimed {
		if err := r.resend(limited, pool, attempts); err != nil {
			errs = append(errs, fmt.Errorf("pool %q: %w", pool, err))
		}
	}
	return errors.Join(append(errs, err)...)
}

// resend publishes the requests again that are missing in the queue of a pool.
func (r *Requests) resend(ctx context.Context, pool string, attempts int) error {
	waiting, err := r.queues.Waiting(ctx, pool)
	if err != nil || waiting >= attempts {
		return err
	}
	lost, err := r.store.Resend(ctx, pool, r.age, min(attempts-waiting, resendBatch))
	if err != nil || len(lost) == 0 {
		return err
	}
	messages := make([]attune.Message, len(lost))
	for i, request := range lost {
		messages[i] = request
	}
	if err := r.queues.Publish(ctx, messages...); err != nil {
		return err
	}
	r.resent(ctx, len(lost))
	r.log.WarnContext(ctx, "requests published again: they were lost on the broker", "pool", pool, "requests", len(lost))
	return nil
}
