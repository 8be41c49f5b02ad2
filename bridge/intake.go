package bridge

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
)

// signalsInParallel bounds the queues that are signalled at the same time. A queue receives at most one signal of a kind
// at a time, because a batch names each queue once and batches follow each other.
const signalsInParallel = 16

// Admitter admits enforcements in PostgreSQL: policy, sequence, status.
type Admitter interface {
	Admit(ctx context.Context, ids []attune.EnforcementID) ([]attune.Admission, error)
}

// Acquirer puts tickets into a queue durably.
type Acquirer interface {
	Acquire(ctx context.Context, admission attune.Admission) error
}

// Intake admits enforcements and puts them into their queues.
//
// The order of a batch is the order of admission. One consumer at a time must feed the Intake, so that the order of
// events becomes the order of sequences.
type Intake struct {
	admitter Admitter
	queues   Acquirer
	admitted func(ctx context.Context, tickets int)
}

// NewIntake returns an Intake. admitted is called with the number of tickets that were put into queues, repeated ones
// included.
func NewIntake(admitter Admitter, queues Acquirer, admitted func(context.Context, int)) *Intake {
	return &Intake{admitter: admitter, queues: queues, admitted: admitted}
}

// Handle admits a batch. When it returns nil, every ticket is durable in its queue, and the batch may be acknowledged.
func (i *Intake) Handle(ctx context.Context, batch []attune.EnforcementCreatedMessage) error {
	ids := make([]attune.EnforcementID, len(batch))
	for n, message := range batch {
		ids[n] = message.Enforcement
	}
	admissions, err := i.admitter.Admit(ctx, ids)
	if err != nil {
		return fmt.Errorf("admit %d enforcements: %w", len(ids), err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(signalsInParallel)
	tickets := 0
	for _, admission := range admissions {
		tickets += len(admission.Tickets)
		group.Go(func() error { return i.queues.Acquire(groupCtx, admission) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("acquire: %w", err)
	}
	i.admitted(ctx, tickets)
	return nil
}
