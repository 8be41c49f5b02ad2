package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/queueaudit"
	"github.com/attune-go/attune/proof"
)

// Bounds of the report on one queue: one cause can have many violations, and a person can make many cancels.
const (
	shownViolations = 20
	shownCancels    = 20
)

func newQueueVerify(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify [KEY]", Short: "Verify from the stored rows that queues kept their promises",
		Long: `Read the stored rows of one queue, or of all queues that have been used, and verify that

  - no admitted enforcement was lost,
  - grants were decided in the order of admission, each ticket at most once,
  - where lanes may pass each other, no grant passed an enforcement that had room,
  - no grant was decided while a limit was reached or the queue was paused,
  - no rate let more start or in than it allows in a window, and no quota more than in a period; with KEY, of the rates and quotas
    that its enforcements were charged at,
  - every slot was given back,
  - the counts are right.

The report also lists the manual changes of the queue, with the number of grants after each.

All rows must be of one instant. When a queue changes while it is read, it is read again, for as long as --patience says.

Exit code 0: every promise was kept. Exit code 1: a promise was broken, or a queue could not be read.`,
		Example: "  attune queue verify\n  attune queue verify demo.deploy",
		Args:    takes{noun: "queue", most: 1}.check,
	}
	timeout := cmd.Flags().Duration("patience", 10*time.Second, "how long to retry while a queue changes during the reading")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := queueKeys(args)
		if err != nil {
			return err
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			if keys, err = usedQueues(cmd.Context(), c); err != nil {
				return withAPIAdvice(err)
			}
		}
		if len(keys) == 0 {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "no queue has been used yet")
			return err
		}
		return verify(cmd.Context(), c, keys, len(args) == 0, *timeout, cmd.OutOrStdout())
	}
	return cmd
}

// usedQueues returns the queues that have been used.
func usedQueues(ctx context.Context, c *client.Client) ([]attune.QueueKey, error) {
	var keys []attune.QueueKey
	queues, err := client.List[attune.QueueStats](ctx, c, "/queues", nil)
	for _, queue := range queues {
		keys = append(keys, queue.Queue)
	}
	return keys, err
}

// verify verifies one queue after the other. It continues after a queue that cannot be read, and returns all errors at the end. all says
// that the keys are those of all queues: then the logs of rates and the counts of quotas must be exactly what enforcements were charged.
func verify(ctx context.Context, c *client.Client, keys []attune.QueueKey, all bool, timeout time.Duration, w io.Writer) error {
	var errs []error
	violations := 0
	gates, err := queueaudit.Begin(ctx, c, all)
	if err != nil {
		return withAPIAdvice(err)
	}
	for _, key := range keys {
		rows, err := queueaudit.Read(ctx, c, key, timeout)
		if err != nil {
			errs = append(errs, withAPIAdvice(fmt.Errorf("queue %q was not checked: %w", key, err)))
			continue
		}
		gates.Add(rows)
		report := proof.Check(rows)
		violations += len(report.Violations)
		if err := printReport(w, report); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	broken, err := verifyGates(ctx, gates, all && len(errs) == 0, w)
	if err != nil {
		errs = append(errs, err)
	}
	violations += broken
	if violations > 0 {
		errs = append(errs, fmt.Errorf("%s in %s", counted(violations, "violation"), counted(len(keys), "queue")))
	}
	return errors.Join(errs...)
}

// verifyGates verifies rates and quotas, and returns the number of violations. It prints nothing if there are neither.
func verifyGates(ctx context.Context, gates *queueaudit.Gates, complete bool, w io.Writer) (violations int, err error) {
	rows, err := gates.End(ctx, complete)
	if err != nil {
		return 0, withAPIAdvice(fmt.Errorf("rates and quotas were not checked: %w", err))
	}
	report := proof.CheckGates(rows)
	if report.Limiters+report.Usage == 0 {
		return 0, nil
	}
	verdict := "every promise kept"
	if n := len(report.Violations); n > 0 {
		verdict = counted(n, "violation")
	}
	_, err = fmt.Fprintf(w, "rates and quotas: %s\n", verdict)
	for i, violation := range report.Violations {
		if i == shownViolations {
			_, _ = fmt.Fprintf(w, "  … and %d more\n", len(report.Violations)-i)
			break
		}
		_, _ = fmt.Fprintf(w, "  BROKEN  %s\n", violation)
	}
	table := newTable(w)
	_, _ = fmt.Fprintf(table, "  rates\t%d\tlogs, with %d units, %d charges compared with them\n",
		report.Limiters, report.Units, report.Charges)
	_, _ = fmt.Fprintf(table, "  quotas\t%d\tcounts, %d compared with the enforcements\n", report.Usage, report.Compared)
	return len(report.Violations), errors.Join(err, table.Flush())
}

// printReport writes the verdict, the violations, the counts and the manual changes of one queue.
func printReport(w io.Writer, report proof.Report) error {
	if report.Kept() {
		_, _ = fmt.Fprintf(w, "%s: every promise kept\n", report.Queue)
	} else {
		_, _ = fmt.Fprintf(w, "%s: %s\n", report.Queue, counted(len(report.Violations), "violation"))
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
	table := newTable(w)
	line := func(what string, count int, detail string) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\t%s\n", what, count, detail)
	}
	lineIfAny := func(what string, count int, detail string) {
		if count > 0 {
			line(what, count, detail)
		}
	}
	line("tickets", n.Tickets, fmt.Sprintf("waiting %d, active %d, executed %d, dropped %d", n.Waiting, n.Active, n.Executed, n.Dropped))
	lineIfAny("retried", n.Retried, "tickets that gave their slot back and went to the back of the line")
	lineIfAny("parked", n.Parked, "tickets that wait for a person")
	lineIfAny("not admitted", n.Unaccepted, "enforcements on their way to the queue, or rejected before that")
	line("grants", n.Grants, fmt.Sprintf("slots given back %d", n.Released))
	line("most active", n.MostActive, "at once")
	lineIfAny("starts", n.Starts, "attempts that rates of starts let start")
	lineIfAny("lanes", n.Lanes, fmt.Sprintf("most active in one: %d", n.MostInLane))
	if n.Generations > 1 {
		line("generations", n.Generations, "of the queue granted: the queue was rebuilt from its rows in between")
	}
	lineIfAny("fenced", n.Fenced, "grants of an earlier generation that had no effect: their tickets were granted again or have ended")
	lineIfAny("regranted", n.Regranted, "grants of tickets that a later ticket had overtaken in an earlier generation")
	lineIfAny("reprieved", n.Reprieved, "overtaken tickets whose end was decided by an earlier generation and lost with it")
	lineIfAny("passed", n.Passed, "tickets that wait behind a later grant: their grant or end is under way, or they are stuck")
	lineIfAny("unclear", n.Unclear, "passed tickets of which the rows do not show whether the queue knew that they had room")
	lineIfAny("undecided", n.Undecided, "grants against the latest recorded change: a change that is not recorded yet may explain them")
	lineIfAny("rate unclear", n.RateUnclear, "starts above a rate that may not have been in force for a whole window")
	lineIfAny("limit unknown", n.LimitUnknown, "grants whose limit, or whose limit of the lane, is not known: not checked against it")
	lineIfAny("policy unknown", n.PolicyUnknown, "grants without a recorded policy, not checked against the limits of actions and lanes")
	return table.Flush()
}

// printTransitions lists the manual changes of the queue.
func printTransitions(w io.Writer, transitions []proof.Transition) error {
	if len(transitions) == 0 {
		return nil
	}
	table := newTable(w)
	_, _ = fmt.Fprintln(table, "  CHANGE\tAT\tBY\tWHAT\tGRANTED\tWHY")
	cancels := 0
	for _, t := range transitions {
		if t.Kind == attune.ChangeCancel {
			if cancels++; cancels > shownCancels {
				continue
			}
		}
		_, _ = fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\t%s\n",
			t.Number, clock(t.At), oneLine(t.Who()), whatChanged(t), grantedSince(t), oneLine(t.Note))
	}
	if cancels > shownCancels {
		_, _ = fmt.Fprintf(table, "  … and %s\n", counted(cancels-shownCancels, "more cancel"))
	}
	return table.Flush()
}

func whatChanged(t proof.Transition) string {
	if t.Kind == attune.ChangeCancel {
		return fmt.Sprintf("enforcement %d: %s → %s", t.Enforcement, t.From, t.To)
	}
	if t.Kind == attune.ChangeLaneLimit {
		return fmt.Sprintf("limit of lane %d: %s → %s", t.Lane, t.From, t.To)
	}
	return fmt.Sprintf("%s: %s → %s", t.Kind, t.From, t.To)
}

// grantedSince returns the number of grants until the next change of the same kind.
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
