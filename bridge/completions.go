package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
)

// Finisher ends executions in PostgreSQL, by compare-and-set on their attempt.
type Finisher interface {
	Finish(ctx context.Context, reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error)
}

// Releaser frees slots of a queue durably.
type Releaser interface {
	Release(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error
}

// Completions finishes executions and frees their slots.
//
// A batch is acknowledged only after the rows are finished and the queues have accepted the releases. Both steps are
// idempotent, so a crash between them costs a redelivery and nothing else: a repeated report releases again, because the
// first one may have got no further than the row.
type Completions struct {
	finisher Finisher
	queues   Releaser
	counted  func(ctx context.Context, report attune.ExecutionCompletedMessage, effect attune.CompletionEffect)
	log      *slog.Logger
}

// NewCompletions returns Completions. counted is told of every report and what it changed.
func NewCompletions(
	finisher Finisher, queues Releaser,
	counted func(context.Context, attune.ExecutionCompletedMessage, attune.CompletionEffect), log *slog.Logger,
) *Completions {
	return &Completions{finisher: finisher, queues: queues, counted: counted, log: log}
}

// Handle finishes a batch.
func (c *Completions) Handle(ctx context.Context, batch []attune.ExecutionCompletedMessage) error {
	for _, report := range batch {
		if err := report.Validate(); err != nil {
			return err
		}
	}
	completions, err := c.finisher.Finish(ctx, batch)
	if err != nil {
		return fmt.Errorf("finish %d executions: %w", len(batch), err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(signalsInParallel)
	for key, tickets := range byQueue(completions) {
		group.Go(func() error { return c.queues.Release(groupCtx, key, tickets) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	c.count(ctx, batch, completions)
	return nil
}

func (c *Completions) count(ctx context.Context, batch []attune.ExecutionCompletedMessage, completions []attune.Completion) {
	for i, completion := range completions {
		c.counted(ctx, batch[i], completion.Effect)
		if completion.Effect == attune.CompletionStale || completion.Effect == attune.CompletionUnknown {
			c.log.WarnContext(ctx, "report about an execution was dropped", "effect", completion.Effect,
				"execution", batch[i].Execution, "attempt", batch[i].Attempt, "worker", batch[i].Worker, "status", batch[i].Status)
		}
	}
}

// byQueue groups the tickets to release, each once.
func byQueue(completions []attune.Completion) map[attune.QueueKey][]attune.Ticket {
	queues := make(map[attune.QueueKey][]attune.Ticket)
	for _, completion := range completions {
		if completion.Effect != attune.CompletionFinished && completion.Effect != attune.CompletionRepeated {
			continue
		}
		same := func(t attune.Ticket) bool { return t.Enforcement == completion.Ticket.Enforcement }
		if !slices.ContainsFunc(queues[completion.Queue], same) {
			queues[completion.Queue] = append(queues[completion.Queue], completion.Ticket)
		}
	}
	return queues
}
