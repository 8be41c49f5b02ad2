package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/policy"
)

func newPolicyTry(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "try action REF|queue KEY [FIELD=VALUE...]", Short: "Replay what happened in a queue under another policy",
		Long: `Replay what happened in a queue under another policy. Nothing is changed.

The arrivals, runs and manual changes of the period are replayed with the fields that you give, on top of what is set now. Every run
takes as long as it took. The proposed key, rates and quotas judge the recorded events anew. The column RECORDED is the replay under the
policies that were in force: compare it with REALLY to see how far the replay can be trusted.`,
		Example: "  attune policy try action shop.deploy limit=5\n" +
			"  attune policy try queue shop.deploy --file policy.yaml --from 168h --to 24h",
	}
	file := cmd.Flags().String("file", "", "file in YAML with the proposed document")
	from := cmd.Flags().Duration("from", 24*time.Hour, "how long ago the period begins")
	to := cmd.Flags().Duration("to", 0, "how long ago the period ends")
	format := bindOutput(cmd)
	cmd.Args = usage(func(_ *cobra.Command, args []string) error {
		target, _, err := policyTarget(args)
		if err == nil && target.scope != policy.ScopeAction && target.scope != policy.ScopeQueue {
			err = errors.New("a period of one queue is replayed: name an action or a queue")
		}
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, assignments, err := policyTarget(args)
		if err != nil {
			return err
		}
		document, err := assigned(assignments)
		if err == nil && *file != "" {
			document, err = packs.ReadPolicy(*file)
		}
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(document)
		if err != nil {
			return fmt.Errorf("encode the policy: %w", err)
		}
		now := time.Now()
		body := map[string]any{
			string(target.scope): target.ref, "from": now.Add(-*from), "to": now.Add(-*to), "policy": json.RawMessage(encoded),
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var trial api.PolicyTrial
		if err := c.Post(cmd.Context(), "/policies/try", body, &trial); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), trial)
		}
		return printTrial(cmd.OutOrStdout(), trial)
	}
	return cmd
}

// printTrial writes what happened beside what would have happened.
func printTrial(w io.Writer, trial api.PolicyTrial) error {
	arrivals := counted(trial.Arrivals, "arrival")
	if trial.Refused > 0 {
		arrivals += fmt.Sprintf(", and %d that a rate or a quota rejected", trial.Refused)
	}
	_, _ = fmt.Fprintf(w, "%s, %s to %s: %s, %d waiting and %d holding at the start\n", trial.Queue, clock(trial.From), clock(trial.To),
		arrivals, trial.Waiting, trial.Holding)
	_, _ = fmt.Fprintf(w, "recorded order: %s\n\n", orderText(trial.Order))
	table := newTable(w)
	_, _ = fmt.Fprintln(table, "\tREALLY\tRECORDED\tPROPOSED")
	line := func(name string, show func(api.TrialOutcome) any) {
		_, _ = fmt.Fprintf(table, "%s\t%v\t%v\t%v\n", name, show(trial.Really), show(trial.Recorded), show(trial.Proposed))
	}
	line("granted", func(o api.TrialOutcome) any { return o.Granted })
	line("waiting at the end", func(o api.TrialOutcome) any { return o.Waiting })
	for _, reason := range reasonsOf(trial) {
		line(string(reason), func(o api.TrialOutcome) any { return o.Left[reason] })
	}
	line("wait p50", func(o api.TrialOutcome) any { return inSeconds(o.P50) })
	line("wait p95", func(o api.TrialOutcome) any { return inSeconds(o.P95) })
	line("wait p99", func(o api.TrialOutcome) any { return inSeconds(o.P99) })
	line("longest wait", func(o api.TrialOutcome) any { return inSeconds(o.Longest) })
	line("longest line", func(o api.TrialOutcome) any { return o.LongestLine })
	line("most active", func(o api.TrialOutcome) any { return o.MostActive })
	line("busy", func(o api.TrialOutcome) any { return fmt.Sprintf("%.0f %%", 100*o.Busy) })
	line("borrowed runs", func(o api.TrialOutcome) any { return o.Borrowed })
	line("unfinished runs", func(o api.TrialOutcome) any { return o.Unfinished })
	if err := table.Flush(); err != nil {
		return err
	}
	if trial.Uncomputed > 0 {
		_, _ = fmt.Fprintf(w, "\nWithout a computed lane and costs: %s\n", counted(trial.Uncomputed, "enforcement"))
	}
	if len(trial.Ignored) > 0 {
		_, _ = fmt.Fprintf(w, "\nNot considered: %s\n", strings.Join(trial.Ignored, ", "))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", trial.Assumption)
	return err
}

func orderText(order api.OrderAgreement) string {
	if order.Complete {
		return fmt.Sprintf("all %s are decided again in their order", counted(order.Grants, "grant"))
	}
	first := cmp.Or(order.First, &api.OrderDifference{})
	return fmt.Sprintf("%d of %s are decided again in their order; the first other one is grant %d of sequence %d",
		order.Agreed, counted(order.Grants, "grant"), first.Number, first.Sequence)
}

// reasonsOf returns every reason for which a place left the line, in order.
func reasonsOf(trial api.PolicyTrial) []attune.Reason {
	all := map[attune.Reason]int{}
	for _, outcome := range []api.TrialOutcome{trial.Really, trial.Recorded, trial.Proposed} {
		maps.Copy(all, outcome.Left)
	}
	return slices.Sorted(maps.Keys(all))
}
