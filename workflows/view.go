package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// describe makes the queue readable from outside: by query, and in Temporal's own tools.
func (q *actionQueue) describe(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryQueue, q.view,
		workflow.QueryHandlerOptions{Description: "Limit, holders, the first waiting tickets and counters."})
	if err != nil {
		return fmt.Errorf("register query %q: %w", QueryQueue, err)
	}
	err = workflow.SetQueryHandlerWithOptions(ctx, QueryPosition, q.position,
		workflow.QueryHandlerOptions{Description: "Place of an enforcement in the line: 1 is next, 0 does not wait."})
	if err != nil {
		return fmt.Errorf("register query %q: %w", QueryPosition, err)
	}
	return nil
}

var errLoading = errors.New("the queue is being rebuilt from its rows: ask again")

func (q *actionQueue) view() (QueueView, error) {
	if q.state == nil {
		return QueueView{}, errLoading
	}
	view := QueueView{
		Queue:    q.key,
		Policy:   q.state.Policy(),
		Paused:   q.state.Paused(),
		Active:   q.state.Active(),
		Waiting:  q.state.Waiting(),
		Holders:  q.state.Holders(),
		Front:    q.state.Front(viewLength),
		Counters: q.state.Counters(),
	}
	if len(view.Front) > 0 {
		view.Oldest = &view.Front[0].EnqueuedAt
	}
	if gap, ok := q.state.Missing(); ok {
		view.Missing = &gap
	}
	return view, nil
}

func (q *actionQueue) position(id attune.EnforcementID) (int, error) {
	if q.state == nil {
		return 0, errLoading
	}
	return q.state.Position(id), nil
}

// details is the queue as Markdown, for the "Current Details" of Temporal's UI. It is never stored: it costs no history.
func (q *actionQueue) details(now time.Time) string {
	var b strings.Builder
	policy := q.state.Policy()
	fmt.Fprintf(&b, "**%s** limit **%d**, active **%d**, waiting **%d**", q.key, policy.Limit, q.state.Active(), q.state.Waiting())
	switch {
	case q.state.Paused():
		b.WriteString(", **paused**")
	case policy.Limit == 0:
		b.WriteString(", **paused by limit 0**")
	}
	b.WriteString("\n\n")
	if gap, ok := q.state.Missing(); ok {
		fmt.Fprintf(&b, "Sequences %d to %d have not arrived; they are being looked for, and nothing behind them is granted.\n\n", gap.From, gap.To)
	}
	if holders := q.state.Holders(); len(holders) > 0 {
		b.WriteString("| holder | sequence | grant | held for |\n|---|---|---|---|\n")
		for _, holder := range holders[:min(viewLength, len(holders))] {
			fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", EnforcementWorkflowID(holder.Enforcement), holder.Sequence, holder.Number, age(now, holder.GrantedAt))
		}
		more(&b, len(holders))
	}
	if waiting := q.state.Front(viewLength); len(waiting) > 0 {
		b.WriteString("| position | waiting | sequence | for |\n|---|---|---|---|\n")
		for i, ticket := range waiting {
			fmt.Fprintf(&b, "| %d | enforcement/%d | %d | %s |\n", i+1, ticket.Enforcement, ticket.Sequence, age(now, ticket.EnqueuedAt))
		}
		more(&b, q.state.Waiting())
	}
	c := q.state.Counters()
	fmt.Fprintf(&b, "accepted %d = waiting %d + active %d + completed %d + rejected %d + cancelled %d + expired %d + withdrawn %d\n",
		c.Accepted, q.state.Waiting(), q.state.Active(), c.Completed, c.Rejected, c.Cancelled, c.Expired, c.Withdrawn)
	return b.String()
}

func more(b *strings.Builder, total int) {
	if total > viewLength {
		fmt.Fprintf(b, "\n… and %d more\n", total-viewLength)
	}
	b.WriteString("\n")
}

// age is how long ago something was, as of the queue's last turn.
func age(now, then time.Time) time.Duration { return now.Sub(then).Round(time.Millisecond) }

// final reports whether an activity's error says that trying again is of no use.
func final(err error) bool {
	var application *temporal.ApplicationError
	return errors.As(err, &application) && application.NonRetryable() || temporal.IsCanceledError(err)
}
