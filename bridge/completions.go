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

// Releaser changes slots of a queue durably: Release frees them, and Retry grants another attempt that keeps its slot.
type Releaser interface {
	Release(ctx context.Context, key attune.QueueKey, tickets []attune.Ticket) error
	Retry(ctx context.Context, key attune.QueueKey, retries []attune.Retry) error
}

// Completions finishes attempts of executions. Then it frees their slots, or tells the queues to grant the next attempts.
//
// A batch is acknowledged only after the rows are finished and the queues have received the signals. Both steps are
// idempotent, so a crash between them causes a redelivery and no other harm. A repeated report signals the queue again,
// because the first handling may have ended after the row. A retry at the back of the queue goes through the outbox; the
// acquire of its new ticket frees the old slot.
//
// A report of another installation is counted as unknown and changes nothing: it is older than the restore of the database.
type Completions struct {
	finisher     Finisher
	installation attune.InstallationID
	queues       Releaser
	counted      func(ctx context.Context, effect attune.CompletionEffect, status attune.ExecutionStatus)
	log          *slog.Logger
}

// NewCompletions returns Completions. counted is called for every report with its effect and the status that it carried.
func NewCompletions(
	finisher Finisher, queues Releaser, installation attune.InstallationID,
	counted func(context.Context, attune.CompletionEffect, attune.ExecutionStatus), log *slog.Logger,
) *Completions {
	return &Completions{finisher: finisher, queues: queues, installation: installation, counted: counted, log: log}
}

// Handle finishes a batch. When it returns nil, the batch may be acknowledged.
func (c *Completions) Handle(ctx context.Context, batch []attune.ExecutionCompletedMessage) error {
	c.log.DebugContext(ctx, "reports consumed", "executions", reported(batch))
	for _, report := range batch {
		if err := report.Validate(); err != nil {
			return err
		}
	}
	batch = c.ours(ctx, batch)
	completions, err := c.finisher.Finish(ctx, batch)
	if err != nil {
		return fmt.Errorf("finish %d executions: %w", len(batch), err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(signalsInParallel)
	for key, tickets := range released(completions) {
		group.Go(func() error { return c.queues.Release(groupCtx, key, tickets) })
	}
	for key, retries := range retried(completions) {
		group.Go(func() error { return c.queues.Retry(groupCtx, key, retries) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("signal the queues: %w", err)
	}
	c.count(ctx, batch, completions)
	return nil
}

// ours returns the reports of this installation, and counts and logs the others.
func (c *Completions) ours(ctx context.Context, batch []attune.ExecutionCompletedMessage) []attune.ExecutionCompletedMessage {
	ours, others := split(batch, c.installation, func(m attune.ExecutionCompletedMessage) attune.InstallationID { return m.Installation })
	unknown := make([]attune.Completion, len(others))
	for i := range unknown {
		unknown[i].Effect = attune.CompletionUnknown
	}
	c.count(ctx, others, unknown)
	return ours
}

// reported logs the execution ids of reports. It collects the ids only when the log line is written.
type reported []attune.ExecutionCompletedMessage

// LogValue implements [slog.LogValuer].
func (r reported) LogValue() slog.Value {
	ids := make([]attune.ExecutionID, len(r))
	for i, report := range r {
		ids[i] = report.Execution
	}
	return slog.AnyValue(ids)
}

func (c *Completions) count(ctx context.Context, batch []attune.ExecutionCompletedMessage, completions []attune.Completion) {
	for i, completion := range completions {
		c.counted(ctx, completion.Effect, batch[i].Status)
		if completion.Effect == attune.CompletionStale || completion.Effect == attune.CompletionUnknown {
			c.log.WarnContext(ctx, "report about an execution was dropped", "effect", completion.Effect,
				"execution", batch[i].Execution, "attempt", batch[i].Attempt, "worker", batch[i].Worker, "status", batch[i].Status)
		}
	}
}

// released groups the tickets to release by queue, without duplicates.
func released(completions []attune.Completion) map[attune.QueueKey][]attune.Ticket {
	queues := make(map[attune.QueueKey][]attune.Ticket)
	for _, c := range completions {
		if freesSlot(c.Effect) && !slices.ContainsFunc(queues[c.Queue], c.Ticket.Same) {
			queues[c.Queue] = append(queues[c.Queue], c.Ticket)
		}
	}
	return queues
}

func freesSlot(effect attune.CompletionEffect) bool {
	return effect == attune.CompletionFinished || effect == attune.CompletionRepeated || effect == attune.CompletionParked
}

// retried groups the next attempts in the same slots by queue, without duplicates.
func retried(completions []attune.Completion) map[attune.QueueKey][]attune.Retry {
	queues := make(map[attune.QueueKey][]attune.Retry)
	for _, c := range completions {
		same := func(r attune.Retry) bool { return r.Same(c.Ticket) }
		if c.Effect == attune.CompletionRetrying && !slices.ContainsFunc(queues[c.Queue], same) {
			queues[c.Queue] = append(queues[c.Queue], attune.Retry{Ticket: c.Ticket, NotBefore: c.NotBefore})
		}
	}
	return queues
}
