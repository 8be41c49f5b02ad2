package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
)

// defaultLines is how many lines of each list are shown by default: holders, waiting tickets, grants, changes.
const defaultLines = 10

// shownQueue is the output for one queue.
type shownQueue struct {
	Queue   api.Queue         `json:"queue"`
	Grants  []api.Grant       `json:"grants"`  // the latest, newest first
	Changes []api.QueueChange `json:"changes"` // the latest, newest first
}

func newQueueShow(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show KEY", Short: "Show one queue: limit, policy, holders, waiting tickets, pace, latest grants and changes",
		Example: "  attune queue show demo.deploy\n  attune queue show demo.deploy --output json",
		Args:    takes{noun: "queue", least: 1, most: 1}.check,
	}
	lines := bindLines(cmd, "lines to show of each list")
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, path, err := r.queue(args, *lines)
		if err != nil {
			return err
		}
		shown, err := readQueue(cmd.Context(), c, path, *lines)
		if err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), shown)
		}
		return shown.print(cmd.OutOrStdout(), *lines)
	}
	return cmd
}

// queue connects to the API to show some lines about the queue that the arguments name. path is the path of the queue.
func (r *remote) queue(args []string, lines int) (c *client.Client, path string, err error) {
	if err := checkLines(lines); err != nil {
		return nil, "", err
	}
	keys, err := queueKeys(args)
	if err != nil {
		return nil, "", err
	}
	c, err = r.connect()
	return c, client.QueuePath(keys[0]), err
}

// bindLines adds the flag --lines: checkLines checks its value.
func bindLines(cmd *cobra.Command, usage string) *int {
	return cmd.Flags().Int("lines", defaultLines, usage+", 1 to "+strconv.Itoa(attune.MaxPageLimit))
}

func checkLines(lines int) error {
	if lines < 1 || lines > attune.MaxPageLimit {
		return usageError{fmt.Errorf("--lines %d: use 1 to %d", lines, attune.MaxPageLimit)}
	}
	return nil
}

func readQueue(ctx context.Context, c *client.Client, path string, lines int) (shownQueue, error) {
	var shown shownQueue
	var grants api.List[api.Grant]
	var changes api.List[api.QueueChange]
	limit := strconv.Itoa(lines)
	for _, read := range []struct {
		path  string
		query url.Values
		into  any
	}{
		{path, url.Values{"waiting": {limit}}, &shown.Queue},
		{path + "/grants", url.Values{"limit": {limit}}, &grants},
		{path + "/changes", url.Values{"limit": {limit}}, &changes},
	} {
		if err := c.Get(ctx, read.path, read.query, read.into); err != nil {
			return shown, err
		}
	}
	shown.Grants, shown.Changes = grants.Items, changes.Items
	return shown, nil
}

// print writes one block each for the counts, the policy, the holders, the waiting tickets, the grants and the changes.
func (s shownQueue) print(w io.Writer, lines int) error {
	blocks := []func(io.Writer){s.printCounts, s.printPolicy}
	if len(s.Queue.Actions) > 0 {
		blocks = append(blocks, s.printActions)
	}
	if len(s.Queue.Holders) > 0 {
		blocks = append(blocks, func(w io.Writer) { s.printHolders(w, lines) })
	}
	if len(s.Queue.Waiting) > 0 {
		blocks = append(blocks, s.printWaiting)
	}
	if len(s.Grants) > 0 {
		blocks = append(blocks, s.printGrants)
	}
	if len(s.Changes) > 0 {
		blocks = append(blocks, s.printChanges)
	}
	table := newTable(w)
	for i, block := range blocks {
		if i > 0 {
			_, _ = fmt.Fprintln(table)
		}
		block(table)
		if err := table.Flush(); err != nil {
			return fmt.Errorf("write the queue: %w", err)
		}
	}
	return nil
}

func (s shownQueue) printCounts(w io.Writer) {
	q := s.Queue
	_, _ = fmt.Fprintf(w, "queue\t%s\nmode\t%s\nlimit\t%d, %s\n", queueName(q.QueueStats), q.Mode, q.Limit.InForce, limitFrom(q.Limit))
	_, _ = fmt.Fprintf(w, "active\t%d of %d\nwaiting\t%d", q.ActiveCount, q.MaxConcurrent, q.QueueLength)
	if q.QueueLength > 0 {
		_, _ = fmt.Fprintf(w, ", the first for %s", inSeconds(q.OldestWait))
	}
	if q.Parked > 0 {
		_, _ = fmt.Fprintf(w, "\nparked\t%d, waiting for a person", q.Parked)
	}
	_, _ = fmt.Fprintf(w, "\nadmitted\t%d\nreleased\t%d\ndropped\t%d\n", q.TotalEnqueued, q.TotalCompleted, q.TotalDropped)
	_, _ = fmt.Fprintf(w, "pace\t%.1f a minute in the last minute, %.1f in the last 5, %.1f in the last 60\n",
		q.Throughput.Minute, q.Throughput.Five, q.Throughput.Hour)
	if hold := q.HoldTime; hold != nil {
		_, _ = fmt.Fprintf(w, "hold time\tmedian %s, p95 %s (latest %s, since %s)\n",
			inSeconds(hold.P50), inSeconds(hold.P95), counted(hold.Grants, "slot"), clock(hold.Since))
	}
	if e := q.EmptyIn; e != nil {
		_, _ = fmt.Fprintf(w, "empty in\t%s, without new arrivals\n", estimateText(*e))
	}
}

func limitFrom(limit api.QueueLimit) string {
	switch {
	case limit.Until != nil:
		return "manual override until " + clock(*limit.Until)
	case limit.From == "by hand":
		return "manual override until it is cleared"
	default:
		return "from: " + limit.From
	}
}

func (s shownQueue) printPolicy(w io.Writer) {
	_, _ = fmt.Fprintf(w, "POLICY (revision %d)\tVALUE\tFROM\n", s.Queue.Policy.Revision)
	for _, field := range s.Queue.Policy.Fields {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s", field.Name, policyValue(field.Name, field.Value), field.From)
		if field.Next != nil {
			_, _ = fmt.Fprintf(w, ": %s from the next admitted enforcement on", policyValue(field.Name, field.Next))
		}
		_, _ = fmt.Fprintln(w)
	}
}

// policyValue returns a JSON number or text without quotes, and "none" for a queue timeout of 0, which lets tickets wait for ever.
func policyValue(field string, value json.RawMessage) string {
	text := strings.Trim(string(value), `"`)
	if field == "queue_timeout" && text == "0s" {
		return "none"
	}
	return text
}

// printActions writes the actions of a shared queue.
func (s shownQueue) printActions(w io.Writer) {
	_, _ = fmt.Fprintln(w, "ACTION\tWAITING\tACTIVE\tLIMIT\tLIMIT PER KEY\tSINCE")
	for _, a := range s.Queue.Actions {
		name, since := string(a.Ref), "-"
		if !a.Joined {
			name += " (has left)"
		}
		if a.OldestAt != nil {
			since = clock(*a.OldestAt)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", name, a.Waiting, a.Active, orDash(a.Limit), orDash(a.LimitPerKey), since)
	}
}

func orDash(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

func (s shownQueue) printHolders(w io.Writer, lines int) {
	_, _ = fmt.Fprintln(w, "HOLDS\tSEQUENCE\tENFORCEMENT"+s.actionHeader()+s.keyHeader()+
		"\tEXECUTION\tATTEMPT\tSTATUS\tWORKER\tFOR\tLEASE\tNEXT")
	for i, h := range s.Queue.Holders {
		if i == lines {
			_, _ = fmt.Fprintf(w, "… and %d more\n", s.Queue.ActiveCount-int64(i))
			break
		}
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", h.GrantNumber, h.Sequence, h.Enforcement,
			s.actionCell(h.Action)+s.keyCell(h.Key), h.Execution, h.Attempt, orNone(string(h.Status)), orNone(h.Worker), inSeconds(h.Age),
			leaseOf(h, s.Queue.At), h.Expect)
	}
}

// hasLanes reports whether a shown enforcement is in a lane. Otherwise the tables have no column for the key.
func (s shownQueue) hasLanes() bool {
	return slices.ContainsFunc(s.Queue.Holders, func(h api.QueueHolder) bool { return h.Key != nil }) ||
		slices.ContainsFunc(s.Queue.Waiting, func(w api.QueueWaiter) bool { return w.Key != nil })
}

// actionHeader is the column of the action in the tables of a shared queue.
func (s shownQueue) actionHeader() string {
	if s.Queue.Shared {
		return "\tACTION"
	}
	return ""
}

func (s shownQueue) actionCell(action attune.Ref) string {
	if s.Queue.Shared {
		return "\t" + string(action)
	}
	return ""
}

func (s shownQueue) keyHeader() string {
	if s.hasLanes() {
		return "\tKEY"
	}
	return ""
}

func (s shownQueue) keyCell(key *string) string {
	if s.hasLanes() {
		return "\t" + laneKey(key)
	}
	return ""
}

// leaseOf returns the time left of a holder's lease, or "-".
func leaseOf(h api.QueueHolder, at time.Time) string {
	if h.LeaseUntil == nil {
		return "-"
	}
	return h.LeaseUntil.Sub(at).Round(time.Second).String()
}

func (s shownQueue) printWaiting(w io.Writer) {
	_, _ = fmt.Fprintln(w, "WAITS\tSEQUENCE\tENFORCEMENT"+s.actionHeader()+s.keyHeader()+"\tATTEMPT\tSINCE\tFOR")
	for _, waiting := range s.Queue.Waiting {
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d%s\t%d\t%s\t%s\n", waiting.Position, waiting.Sequence, waiting.Enforcement,
			s.actionCell(waiting.Action)+s.keyCell(waiting.Key), waiting.Attempt, clock(waiting.QueuedAt), inSeconds(waiting.Wait))
	}
	if more := s.Queue.QueueLength - int64(len(s.Queue.Waiting)); more > 0 {
		_, _ = fmt.Fprintf(w, "… and %d more\n", more)
	}
}

func (s shownQueue) printGrants(w io.Writer) {
	_, _ = fmt.Fprintln(w, "GRANT\tSEQUENCE\tENFORCEMENT\tATTEMPT\tLIMIT\tREQUESTED\tHELD\tOUTCOME")
	for _, g := range s.Grants {
		_, _ = fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n",
			g.Number, g.Sequence, g.Enforcement, g.Attempt, g.Limit, clock(g.RequestedAt), heldFor(g), g.Outcome)
	}
}

func (s shownQueue) printChanges(w io.Writer) {
	_, _ = fmt.Fprintln(w, "CHANGE\tAT\tBY\tWHAT\tFROM\tTO\tWHY")
	for _, change := range s.Changes {
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", change.Number,
			clock(change.At), oneLine(change.Who()), change.Kind, change.From, change.To, oneLine(change.Note))
	}
}

// heldFor returns how long a grant held its slot, or "still".
func heldFor(g api.Grant) string {
	if g.ReleasedAt == nil {
		return "still"
	}
	return g.ReleasedAt.Sub(g.RequestedAt).Round(time.Millisecond).String()
}

func clock(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

func inSeconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
