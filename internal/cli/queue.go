package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
)

func newQueue() *cobra.Command {
	cmd := &cobra.Command{
		Use: "queue", Short: "Look at the queues of a running attune, and hold them to their word", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	r := bindRemote(cmd)
	cmd.AddCommand(newQueueList(r), newQueueShow(r), newQueueVerify(r))
	return cmd
}

func newQueueList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the queues that were used", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			queues, err := client.List[attune.QueueStats](cmd.Context(), c, "/queues", nil)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "QUEUE\tWAITING\tACTIVE\tLIMIT\tACCEPTED\tEXECUTED\tDROPPED")
			for _, q := range queues {
				_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", q.Queue,
					q.QueueLength, q.ActiveCount, q.MaxConcurrent, q.TotalEnqueued, q.TotalCompleted, q.TotalDropped)
			}
			return table.Flush()
		},
	}
}

// shownLines is how many of the newest grants and changes are shown.
const shownLines = 10

func newQueueShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show KEY", Short: "Show one queue: its counts, its latest grants, and what people did to it",
		Example: "  attune queue show demo.deploy",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			return showQueue(cmd.Context(), c, queuePath(attune.QueueKey(args[0])), cmd.OutOrStdout())
		},
	}
}

func showQueue(ctx context.Context, c *client.Client, path string, w io.Writer) error {
	var stats attune.QueueStats
	var grants api.List[api.Grant]
	var changes api.List[api.QueueChange]
	few := url.Values{"limit": {fmt.Sprint(shownLines)}}
	for _, read := range []struct {
		path  string
		query url.Values
		into  any
	}{{path, nil, &stats}, {path + "/grants", few, &grants}, {path + "/changes", few, &changes}} {
		if err := c.Get(ctx, read.path, read.query, read.into); err != nil {
			return err
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "queue\t%s\nwaiting\t%d\nactive\t%d of %d\naccepted\t%d\nexecuted\t%d\ndropped\t%d\n",
		stats.Queue, stats.QueueLength, stats.ActiveCount, stats.MaxConcurrent,
		stats.TotalEnqueued, stats.TotalCompleted, stats.TotalDropped)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the counts: %w", err)
	}
	if len(grants.Items) > 0 {
		_, _ = fmt.Fprintln(table, "\nGRANT\tSEQUENCE\tENFORCEMENT\tLIMIT\tREQUESTED\tHELD\tOUTCOME")
		for _, g := range grants.Items {
			_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%s\t%s\t%s\n",
				g.Number, g.Sequence, g.Enforcement, g.Limit, g.RequestedAt.Format(time.DateTime), heldFor(g), g.Outcome)
		}
	}
	if len(changes.Items) > 0 {
		_, _ = fmt.Fprintln(table, "\nCHANGE\tAT\tBY\tWHAT\tFROM\tTO\tWHY")
		for _, change := range changes.Items {
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", change.Number,
				change.At.Format(time.DateTime), change.By, change.Kind, change.From, change.To, change.Note)
		}
	}
	return table.Flush()
}

// heldFor says how long a grant held its slot.
func heldFor(g api.Grant) string {
	if g.ReleasedAt == nil {
		return "still"
	}
	return g.ReleasedAt.Sub(g.RequestedAt).Round(time.Millisecond).String()
}

func queuePath(key attune.QueueKey) string { return "/queues/" + url.PathEscape(string(key)) }
