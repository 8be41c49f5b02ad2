package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune/api"
)

func newQueueWhy(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "why ENFORCEMENT", Short: "Show what keeps an enforcement waiting, and for how long it probably waits",
		Long: `Show everything that keeps an enforcement waiting: each level of its queue without room, each rate that allows no start,
a pause, and the delay of a retry; with the first holders, and the nearest enforcements that come first.

The estimate is an interval in which nine of ten waits end. It says on how many recorded waits of the queue it was checked.`,
		Example: "  attune queue why 31\n  attune queue why 31 --output json",
		Args:    takes{noun: "enforcement", least: 1, most: 1}.check,
	}
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || id < 1 {
			return usageError{fmt.Errorf("enforcement %q: use its number, from 1", args[0])}
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var e api.Enforcement
		if err := c.Get(cmd.Context(), "/enforcements/"+strconv.FormatInt(id, 10), nil, &e); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), e)
		}
		table := newTable(cmd.OutOrStdout())
		printWhy(table, e)
		return table.Flush()
	}
	return cmd
}

func printWhy(w io.Writer, e api.Enforcement) {
	_, _ = fmt.Fprintf(w, "enforcement\t%d of %s, %s\n", e.ID, e.Action, e.Status)
	if e.Queue != "" {
		_, _ = fmt.Fprintf(w, "queue\t%s\n", e.Queue)
	}
	if e.Why == "" {
		_, _ = fmt.Fprintln(w, "why\tit does not wait")
		return
	}
	_, _ = fmt.Fprintf(w, "why\t%s\n", oneLine(e.Why))
	switch {
	case e.Estimate != nil:
		_, _ = fmt.Fprintf(w, "granted in\t%s\n", estimateText(*e.Estimate))
	case e.NoEstimate != "":
		_, _ = fmt.Fprintf(w, "granted in\tunknown: %s\n", oneLine(e.NoEstimate))
	}
	for _, o := range e.HeldBy {
		printObstacle(w, o)
	}
}

func estimateText(e api.Estimate) string {
	return fmt.Sprintf("about %s (%s to %s in nine of ten cases; checked on %s)",
		e.Likely, e.Low, e.High, counted(e.Waits, "recorded wait"))
}

// printObstacle writes a line for the obstacle and one for each shown holder and enforcement in front.
func printObstacle(w io.Writer, o api.Obstacle) {
	_, _ = fmt.Fprintf(w, "held by\t%s\n", obstacleText(o))
	for _, h := range o.Holders {
		_, _ = fmt.Fprintf(w, "  holds\tenforcement %d of %s%s, since %s, %s on %s\n",
			h.Enforcement, h.Action, ofKey(h.Key), clock(h.HeldSince), orNone(string(h.Status)), orNone(h.Worker))
	}
	if o.Active != nil && len(o.Holders) > 0 {
		printMore(w, *o.Active-int64(len(o.Holders)))
	}
	for _, t := range o.InFront {
		_, _ = fmt.Fprintf(w, "  in front\tenforcement %d of %s%s, since %s\n", t.Enforcement, t.Action, ofKey(t.Key), clock(t.QueuedAt))
	}
	if len(o.InFront) > 0 {
		printMore(w, o.Ahead-int64(len(o.InFront)))
	}
}

func printMore(w io.Writer, more int64) {
	if more > 0 {
		_, _ = fmt.Fprintf(w, "  …\tand %d more\n", more)
	}
}

func obstacleText(o api.Obstacle) string {
	text := o.Level
	if o.Rate != "" {
		text += " " + oneLine(o.Rate)
	}
	if o.Action != "" {
		text += " of " + string(o.Action)
	}
	text += ofKey(o.Key)
	if o.Active != nil && o.Limit != nil {
		text += fmt.Sprintf(": %d of %d", *o.Active, *o.Limit)
	}
	if o.Window != nil {
		text += fmt.Sprintf(" in %s", *o.Window)
	}
	if o.Until != nil {
		text += ", manual limit until " + clock(*o.Until)
	}
	if o.OpensAt != nil {
		text += ", opens at " + clock(*o.OpensAt)
	}
	if o.Ahead > 0 {
		text += fmt.Sprintf(", %d come first", o.Ahead)
	}
	return text
}

func ofKey(key *string) string {
	if key == nil {
		return ""
	}
	return " (key " + laneKey(key) + ")"
}
