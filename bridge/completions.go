package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/attune-go/attune"
)

// Finisher ends executions in PostgreSQL, by compare-and-set on their attempt.
type Finisher interface {
	Finish(ctx context.Context, reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error)
	// Ended returns the completions of attempts that attune itself has ended. It changes nothing.
	Ended(ctx context.Context, ended []attune.ExecutionEndedMessage) ([]attune.Completion, error)
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
// A report of another installation is counted as unknown and changes nothing: it is older than the restore of the database. A
// report counts only with the key that has claimed the attempt, and with its pool; another one becomes a dead letter.
type Completions struct {
	finisher     Finisher
	installation attune.InstallationID
	queues       Releaser
	counted      func(ctx context.Context, effect attune.CompletionEffect, status attune.ExecutionStatus)
	refused      Refused
	log          *slog.Logger
	logged       *rate.Limiter
}

// SignedReport is a report as it arrives.
type SignedReport = attune.Signed[attune.ExecutionCompletedMessage]

// NewCompletions returns Completions. counted is called for every verified report with its effect and the status that it carried,
// refused for every refused report.
func NewCompletions(
	finisher Finisher, queues Releaser, installation attune.InstallationID,
	counted func(context.Context, attune.CompletionEffect, attune.ExecutionStatus), refused Refused, log *slog.Logger,
) *Completions {
	return &Completions{
		finisher: finisher, queues: queues, installation: installation, counted: counted, refused: refused, log: log,
		logged: rate.NewLimiter(linesPerSecond, linesPerSecond),
	}
}

// Handle finishes a batch. When it returns nil, the batch may be acknowledged. Its error is an [attune.BatchError] if it refused
// reports; the others are done.
func (c *Completions) Handle(ctx context.Context, batch []SignedReport) error {
	verified := verify(ctx, batch, c.refused)
	reports, places := verified.good()
	c.log.DebugContext(ctx, "reports consumed", "executions", reported(reports))
	var ours []attune.ExecutionCompletedMessage
	var ourPlaces []int
	for i, report := range reports {
		if report.Installation != c.installation {
			c.count(ctx, completed(report), attune.Completion{Effect: attune.CompletionUnknown})
			continue
		}
		ours, ourPlaces = append(ours, report), append(ourPlaces, places[i])
	}
	completions, err := c.finisher.Finish(ctx, ours)
	if err != nil {
		return fmt.Errorf("finish %d executions: %w", len(ours), err)
	}
	if err := c.signal(ctx, completions); err != nil {
		return err
	}
	for i, completion := range completions {
		if err := c.check(ctx, ours[i], completion); err != nil {
			verified.refuse(ourPlaces[i], err)
		}
		c.count(ctx, completed(ours[i]), completion)
	}
	return verified.err()
}

// HandleEnded signals the queues of attempts that attune itself has ended. When it returns nil, the batch may be acknowledged. A
// message of another installation is counted as unknown.
func (c *Completions) HandleEnded(ctx context.Context, batch []attune.ExecutionEndedMessage) error {
	ours, others := split(batch, c.installation, func(m attune.ExecutionEndedMessage) attune.InstallationID { return m.Installation })
	completions, err := c.finisher.Ended(ctx, ours)
	if err != nil {
		return fmt.Errorf("read %d ended executions: %w", len(ours), err)
	}
	if err := c.signal(ctx, completions); err != nil {
		return err
	}
	for i, completion := range completions {
		c.count(ctx, ours[i], completion)
	}
	for _, m := range others {
		c.count(ctx, m, attune.Completion{Effect: attune.CompletionUnknown})
	}
	return nil
}

// signal tells the queues which slots are free and which attempts come next.
func (c *Completions) signal(ctx context.Context, completions []attune.Completion) error {
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
	return nil
}

// check counts a report without the key or the pool of its attempt and returns why it was refused.
func (c *Completions) check(ctx context.Context, report attune.ExecutionCompletedMessage, completion attune.Completion) error {
	switch completion.Effect {
	case attune.CompletionForged:
		c.refused(ctx, attune.KeyExecutionCompleted, attune.RefusedKey)
		return attune.Refuse(attune.RefusedKey, "report of worker %q, key %s: the key has not claimed attempt %d of execution %d",
			report.Worker, report.Key, report.Attempt, report.Execution)
	case attune.CompletionForeign:
		c.refused(ctx, attune.KeyExecutionCompleted, attune.RefusedPool)
		return attune.Refuse(attune.RefusedPool, "report of worker %q, key %s: attempt %d of execution %d is not one of the pool %q",
			report.Worker, report.Key, report.Attempt, report.Execution, report.Pool)
	default:
		return nil
	}
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

// completed returns what count needs of a report.
func completed(report attune.ExecutionCompletedMessage) attune.ExecutionEndedMessage {
	return attune.ExecutionEndedMessage{Execution: report.Execution, Attempt: report.Attempt, Status: report.Status}
}

// count counts a message about the end of an attempt, and logs one that changes nothing for good.
func (c *Completions) count(ctx context.Context, m attune.ExecutionEndedMessage, completion attune.Completion) {
	c.counted(ctx, completion.Effect, m.Status)
	switch completion.Effect {
	case attune.CompletionStale, attune.CompletionUnknown, attune.CompletionForged, attune.CompletionForeign:
		if !c.logged.Allow() {
			return // counted is called for each
		}
		c.log.WarnContext(ctx, "report about an execution was dropped", "effect", completion.Effect,
			"execution", m.Execution, "attempt", m.Attempt, "status", m.Status)
	default:
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
