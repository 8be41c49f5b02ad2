package cli

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune/api"
)

func newQueueLanes(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "lanes KEY", Short: "List the lanes of a queue with their counts",
		Long: `List the lanes of a queue with their counts, first the lane with the enforcement that waits longest.

A queue has a lane for each value of its policy's key; (none) is the lane of the enforcements whose key has no value. WAITING and
ACTIVE count the enforcements that wait in line and that hold a slot. GRANTED counts the grants of all time, and SINCE is when the
first enforcement in line was admitted.`,
		Example: "  attune queue lanes demo.deploy --lines 100",
		Args:    takes{noun: "queue", least: 1, most: 1}.check,
	}
	lines := bindLines(cmd, "lanes to show")
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, path, err := r.queue(args, *lines)
		if err != nil {
			return err
		}
		var lanes api.List[api.Lane]
		query := url.Values{"limit": {strconv.Itoa(*lines)}}
		if err := c.Get(cmd.Context(), path+"/lanes", query, &lanes); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), lanes.Items)
		}
		table := newTable(cmd.OutOrStdout())
		printLanes(table, lanes)
		return table.Flush()
	}
	return cmd
}

func printLanes(table table, lanes api.List[api.Lane]) {
	_, _ = fmt.Fprintln(table, "LANE\tKEY\tWAITING\tACTIVE\tGRANTED\tSINCE"+limitHeader(lanes.Items))
	for _, lane := range lanes.Items {
		since := "-"
		if lane.OldestAt != nil {
			since = clock(*lane.OldestAt)
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%d\t%d\t%d\t%s%s\n",
			lane.Number, laneKey(&lane.Key), lane.Waiting, lane.Active, lane.Granted, since, manualLimit(lane))
	}
	if lanes.Next != "" {
		_, _ = fmt.Fprintln(table, "… and more")
	}
}

// limitHeader is the column of manual limits, if a shown lane has one.
func limitHeader(lanes []api.Lane) string {
	if slices.ContainsFunc(lanes, func(l api.Lane) bool { return l.Limit != nil }) {
		return "\tMANUAL LIMIT"
	}
	return ""
}

func manualLimit(lane api.Lane) string {
	switch {
	case lane.Limit == nil:
		return ""
	case lane.Until == nil:
		return fmt.Sprintf("\t%d", *lane.Limit)
	default:
		return fmt.Sprintf("\t%d until %s", *lane.Limit, clock(*lane.Until))
	}
}

// laneKey returns the text of a key's value for a cell of a table: "-" without a lane.
func laneKey(text *string) string {
	switch {
	case text == nil:
		return "-"
	case *text == "":
		return `""`
	default:
		return oneLine(*text)
	}
}
