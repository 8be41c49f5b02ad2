package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// PolicyRows resolves the policies of queues in PostgreSQL. Each method returns queues without tickets, and the rows name a queue as
// untold until Told.
type PolicyRows interface {
	// ApplyPolicies resolves the policies of all queues. It returns the queues that have changed, wait, or hold slots.
	ApplyPolicies(ctx context.Context) ([]attune.Admission, error)
	// FollowPolicies resolves the policies of the next queues that a changed document covers, and returns those that have changed.
	FollowPolicies(ctx context.Context) (changed []attune.Admission, more bool, err error)
	// UntoldPolicies returns queues that should have been told before, and those whose policy an admission without tickets has changed.
	UntoldPolicies(ctx context.Context, limit int) ([]attune.Admission, error)
	PoliciesTold(ctx context.Context, told []attune.Admission) error
}

// PolicySetter sends a policy to a running queue, durably.
type PolicySetter interface {
	SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error
}

// followPeriod is how often a process looks for changed documents, documents that end, and queues that a crash has left untold.
const followPeriod = 250 * time.Millisecond

// Policies sends changed policies to running queues, and tries again until it has reached each of them. Any number of processes may
// do so at once.
type Policies struct {
	rows   PolicyRows
	queues PolicySetter
	log    *slog.Logger
}

// NewPolicies returns Policies.
func NewPolicies(rows PolicyRows, queues PolicySetter, log *slog.Logger) *Policies {
	return &Policies{rows: rows, queues: queues, log: log}
}

// Run sends the policies of all queues that are in use once, and then those that change, until ctx ends. It retries while the database
// or Temporal does not answer, and logs each failure.
func (p *Policies) Run(ctx context.Context) error {
	started := false
	for ctx.Err() == nil {
		_ = retry.Do(ctx, func() error { // ends only with success or with ctx
			if !started {
				queues, err := p.rows.ApplyPolicies(ctx)
				if err != nil {
					return fmt.Errorf("apply the policies: %w", err)
				}
				started = true
				if err := p.tell(ctx, queues); err != nil {
					return err
				}
			}
			return p.keepUp(ctx)
		}, p.warn(ctx))
		retry.Wait(ctx, followPeriod)
	}
	return nil
}

func (p *Policies) warn(ctx context.Context) func(error, time.Duration) {
	return func(err error, pause time.Duration) {
		p.log.WarnContext(ctx, "policies not sent to running queues, trying again", "error", err, "pause", pause)
	}
}

// keepUp tells the queues of all changes so far, and then the queues that are still untold.
func (p *Policies) keepUp(ctx context.Context) error {
	var missed error
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = p.step(ctx); err != nil {
			missed = err // one queue that is not reached does not hold up the others
		}
	}
	untold, err := p.rows.UntoldPolicies(ctx, Batch)
	if err != nil {
		return errors.Join(missed, fmt.Errorf("read untold policies: %w", err))
	}
	return errors.Join(missed, p.tell(ctx, untold))
}

// step resolves the policies of some queues, and tells them. more is false when no change is left for this process.
func (p *Policies) step(ctx context.Context) (more bool, err error) {
	changed, more, err := p.rows.FollowPolicies(ctx)
	if err != nil {
		return false, fmt.Errorf("follow changed policies: %w", err)
	}
	return more, p.tell(ctx, changed)
}

// toldAtOnce is how many queues are told at the same time, and recorded as told in one statement. It is higher than for tickets: what the
// first told queues begin to grant competes with the signals to the others.
const toldAtOnce = 128

// tell sends the policies of queues. One queue that it does not reach does not hold up the others.
func (p *Policies) tell(ctx context.Context, queues []attune.Admission) error {
	var errs []error
	for some := range slices.Chunk(queues, toldAtOnce) {
		errs = append(errs, p.tellSome(ctx, some))
	}
	return errors.Join(errs...)
}

func (p *Policies) tellSome(ctx context.Context, queues []attune.Admission) error {
	failed := make([]error, len(queues))
	var group sync.WaitGroup
	for i, queue := range queues {
		group.Go(func() {
			if err := p.queues.SetPolicy(ctx, queue.Queue, queue.Policy); err != nil {
				failed[i] = fmt.Errorf("set the policy of queue %q: %w", queue.Queue, err)
			}
		})
	}
	group.Wait()
	var told []attune.Admission
	for i, queue := range queues {
		if failed[i] == nil {
			told = append(told, queue)
		}
	}
	var unrecorded error
	if len(told) > 0 {
		if err := p.rows.PoliciesTold(ctx, told); err != nil {
			unrecorded = fmt.Errorf("record told policies: %w", err)
		}
	}
	return errors.Join(errors.Join(failed...), unrecorded)
}
