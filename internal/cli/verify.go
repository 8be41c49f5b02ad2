package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/proof"
)

const (
	readAgain       = 200 * time.Millisecond // between two readings of a queue that moved
	shownViolations = 20                     // of one queue; one cause tends to have many
)

func newQueueVerify(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify [KEY]", Short: "Check from the stored rows that queues kept their promises",
		Long: `Read everything that is stored about one queue, or about all that were used, and check that nothing accepted was lost,
that grants were decided in the order of acceptance, nobody was granted twice, no grant was decided while the limit was reached,
every slot was given back, and the counts are right.

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
		rows, err := readQueue(ctx, c, key, patience)
		if err != nil {
			unread = append(unread, fmt.Errorf("queue %q was not checked: %w", key, err))
			continue
		}
		report := proof.Check(key, rows.stats, rows.enforcements, rows.grants)
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

// queueRows is everything that is stored about a queue.
type queueRows struct {
	stats        attune.QueueStats
	enforcements []attune.Enforcement
	grants       []attune.LoggedGrant
}

// readQueue reads a queue until it has not changed while it was read: whatever changes a row that counts here changes the
// counts too, or the time of their last change.
func readQueue(ctx context.Context, c *client.Client, key attune.QueueKey, patience time.Duration) (queueRows, error) {
	deadline := time.Now().Add(patience)
	for {
		rows, err := readOnce(ctx, c, key)
		if err != nil {
			return rows, err
		}
		var after attune.QueueStats
		if err := c.Get(ctx, queuePath(key), nil, &after); err != nil {
			return rows, err
		}
		if reflect.DeepEqual(rows.stats, after) {
			return rows, nil
		}
		if time.Now().After(deadline) {
			return rows, fmt.Errorf("it changed every time it was read for %s: pause it, or give it more --patience", patience)
		}
		if err := wait(ctx, readAgain); err != nil {
			return rows, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// readOnce reads the counts first: what comes in while the lists are read is then seen as a change.
func readOnce(ctx context.Context, c *client.Client, key attune.QueueKey) (queueRows, error) {
	var rows queueRows
	path := queuePath(key)
	if err := c.Get(ctx, path, nil, &rows.stats); err != nil {
		return rows, err
	}
	enforcements, err := client.List[attune.Enforcement](ctx, c, "/enforcements", url.Values{"queue": {string(key)}})
	if err != nil {
		return rows, err
	}
	grants, err := client.List[api.Grant](ctx, c, path+"/grants", nil)
	if err != nil {
		return rows, err
	}
	rows.enforcements = enforcements
	for _, grant := range grants {
		rows.grants = append(rows.grants, grant.Logged())
	}
	return rows, nil
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
	n := report.Checked
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "  tickets\t%d\twaiting %d, active %d, executed %d, dropped %d\n",
		n.Tickets, n.Waiting, n.Active, n.Executed, n.Dropped)
	_, _ = fmt.Fprintf(table, "  grants\t%d\tslots given back %d\n", n.Grants, n.Released)
	_, _ = fmt.Fprintf(table, "  most active\t%d\tat once\n", n.MostActive)
	if n.Passed > 0 {
		_, _ = fmt.Fprintf(table, "  passed\t%d\twaiting behind a later grant: on its way, or stuck if this does not change\n", n.Passed)
	}
	if n.LimitUnknown > 0 {
		_, _ = fmt.Fprintf(table, "  limit unknown\t%d\tgrants from before the log, not checked against it\n", n.LimitUnknown)
	}
	return table.Flush()
}
