package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// PolicyRows applies the packs' policies to the queue rows in PostgreSQL, and returns the changed queues.
type PolicyRows interface {
	ApplyPolicies(ctx context.Context) ([]attune.Admission, error)
}

// PolicySetter sends a policy to a running queue, durably.
type PolicySetter interface {
	SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error
}

// Policies sends changed policies to running queues, and tries again until it has reached each of them.
type Policies struct {
	rows   PolicyRows
	queues PolicySetter
	log    *slog.Logger
}

// NewPolicies returns Policies.
func NewPolicies(rows PolicyRows, queues PolicySetter, log *slog.Logger) *Policies {
	return &Policies{rows: rows, queues: queues, log: log}
}

// Run sends the changed policies once. It retries while the database or Temporal does not answer, and logs each failure. It
// returns nil when ctx ends. Run blocks after its work, because its caller takes an earlier return for a failure that stops the
// process.
func (p *Policies) Run(ctx context.Context) error {
	changed, err := retry.Get(ctx, func() ([]attune.Admission, error) { return p.rows.ApplyPolicies(ctx) }, p.warn(ctx))
	if err == nil {
		_ = retry.Do(ctx, func() (err error) {
			changed, err = p.send(ctx, changed)
			return err
		}, p.warn(ctx))
	}
	<-ctx.Done() // errors are logged, and both calls end only with success or with ctx
	return nil
}

func (p *Policies) warn(ctx context.Context) func(error, time.Duration) {
	return func(err error, pause time.Duration) {
		p.log.WarnContext(ctx, "policies not sent to running queues, trying again", "error", err, "pause", pause)
	}
}

// send sends the policies of queues. It returns the queues that it did not reach, and why. One such queue does not hold up the
// others.
func (p *Policies) send(ctx context.Context, queues []attune.Admission) (missed []attune.Admission, err error) {
	var errs []error
	for _, queue := range queues {
		if err := p.queues.SetPolicy(ctx, queue.Queue, queue.Policy); err != nil {
			missed = append(missed, queue)
			errs = append(errs, fmt.Errorf("set the policy of queue %q: %w", queue.Queue, err))
		}
	}
	return missed, errors.Join(errs...)
}
