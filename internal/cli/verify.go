package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/queueaudit"
	"github.com/attune-go/attune/proof"
)

// Of one queue: one cause tends to have many violations, and one person many cancels.
const (
	shownViolations = 20
	shownCancels    = 20
)

func newQueueVerify(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify [KEY]", Short: "Check from the stored rows that queues kept their promises",
		Long: `Read everything that is stored about one queue, or about all that were used, and check that nothing accepted was lost,
that grants were decided in the order of acceptance, nobody was granted twice, no grant was decided while the limit was reached,
nobody was granted while the queue was paused, every slot was given back, and the counts are right. What people changed by hand
is listed with what was granted in between.

Exit code 1 says that a promise was broken, or that a queue could not be read. A queue is judged as it stands at one instant:
one that moves is read again until it holds still for as long as reading takes.`,
		Example: "  attune queue verify\n  attune queue verify demo.deploy",
		Args:    usage(cobra.MaximumNArgs(1)),
	}
	patience := cmd.Flags().Duration("patience", 10*time.Second, "how long to go on reading a queue that moves")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.client()
		if err != nil {
			return err
		}
		keys, err := queuesNamed(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		return verify(cmd.Context(), c, keys, *patience, cmd.OutOrStdout())
	}
	return cmd
}

// queuesNamed returns the queue that was named, or all.
func queuesNamed(ctx context.Context, c *client.Client, args []string) ([]attune.QueueKey, error) {
	var keys []attune.QueueKey
	for _, arg := range args {
		keys = append(keys, attune.QueueKey(arg))
	}
	if len(keys) > 0 {
		return keys, nil
	}
	queues, err := client.List[attune.QueueStats](ctx, c, "/queues", nil)
	for _, queue := range queues {
		keys = append(keys, queue.Queue)
	}
	return keys, err
}

// verify judges one queue after the other. One that cannot be read does not keep the others from being judged.
func verify(ctx context.Context, c *client.Client, keys []attune.QueueKey, patience time.Duration, w io.Writer) error {
	var unread []error
	violations := 0
	for _, key := range keys {
		rows, err := queueaudit.Read(ctx, c, key, patience)
		if err != nil {
			unread = append(unread, fmt.Errorf("queue %q was not checked: %w", key, err))
			continue
		}
		report := proof.Check(rows)
		violations += len(report.Violations)
		if err := printReport(w, report); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if violations > 0 {
		unread = append(unread, fmt.Errorf("%d violations in %d queues", violations, len(keys)))
	}
	return errors.Join(unread...)
}

// printReport writes one block: the verdict, what is wrong, and how much was checked.
func printReport(w io.Writer, report proof.Report) error {
	if report.Kept() {
		_, _ = fmt.Fprintf(w, "%s: every promise kept\n", report.Queue)
	} else {
		_, _ = fmt.Fprintf(w, "%s: %d violations\n", report.Queue, len(report.Violations))
	}
	for i, violation := range report.Violations {
		if i == shownViolations {
			_, _ = fmt.Fprintf(w, "  … and %d more\n", len(report.Violations)-i)
			break
		}
		_, _ = fmt.Fprintf(w, "  BROKEN  %s\n", violation)
	}
	return errors.Join(printCounts(w, report.Checked), printTransitions(w, report.Transitions))
}

func printCounts(w io.Writer, n proof.Counts) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(what string, count int, detail string) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\t%s\n", what, count, detail)
	}
	also := func(what string, count int, detail string) {
		if count > 0 {
			line(what, count, detail)
		}
	}
	line("tickets", n.Tickets, fmt.Sprintf("waiting %d, active %d, executed %d, dropped %d", n.Waiting, n.Active, n.Executed, n.Dropped))
	also("retried", n.Retried, "of the tickets: gave their slot back for a later place")
	also("parked", n.Parked, "of the tickets: wait for a person")
	also("unaccepted", n.Unaccepted, "enforcements that are on their way to the queue, or were rejected before it accepted them")
	line("grants", n.Grants, fmt.Sprintf("slots given back %d", n.Released))
	line("most active", n.MostActive, "at once")
	if n.Generations > 1 {
		line("generations", n.Generations, "of the queue have granted: it was rebuilt from its rows in between")
	}
	also("fenced", n.Fenced, "grants of an earlier generation that nobody acted upon: their tickets were granted again, or have ended")
	also("regranted", n.Regranted, "tickets that somebody behind them had overtaken in an earlier generation")
	also("reprieved", n.Reprieved, "of these: an earlier generation had decided their end, which was lost with it")
	also("passed", n.Passed, "waiting behind a later grant: on its way, or stuck if this does not change")
	also("undecided", n.Undecided, "grants against the latest recorded change: one that is not recorded may explain them")
	also("limit unknown", n.LimitUnknown, "grants from before the log, not checked against it")
	return table.Flush()
}

// printTransitions lists what people did to the queue.
func printTransitions(w io.Writer, transitions []proof.Transition) error {
	if len(transitions) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  CHANGE\tAT\tBY\tWHAT\tGRANTED\tWHY")
	cancels := 0
	for _, t := range transitions {
		if t.Kind == attune.ChangeCancel {
			if cancels++; cancels > shownCancels {
				continue
			}
		}
		_, _ = fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\t%s\n",
			t.Number, t.At.Format(time.DateTime), oneLine(t.Who()), whatChanged(t), grantedSince(t), oneLine(t.Note))
	}
	if cancels > shownCancels {
		_, _ = fmt.Fprintf(table, "  … and %d more cancels\n", cancels-shownCancels)
	}
	return table.Flush()
}

// oneLine keeps what people have typed from breaking the table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func whatChanged(t proof.Transition) string {
	if t.Kind == attune.ChangeCancel {
		return fmt.Sprintf("enforcement %d: %s → %s", t.Enforcement, t.From, t.To)
	}
	return fmt.Sprintf("%s: %s → %s", t.Kind, t.From, t.To)
}

// grantedSince says what was granted until the next change of the same kind.
func grantedSince(t proof.Transition) string {
	switch {
	case t.Kind == attune.ChangeCancel:
		return ""
	case t.Until == nil:
		return fmt.Sprintf("%d since", t.Granted)
	default:
		return fmt.Sprintf("%d in %s", t.Granted, t.Until.Sub(t.At).Round(time.Millisecond))
	}
}
