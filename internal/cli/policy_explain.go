package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/policy"
)

func newPolicyExplain(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain ACTION", Short: "Show the policy of an action, and what an enforcement would meet now",
		Long: `Show each field of the policy of an action with the document that decides it, and the rates and quotas of all scopes. If the
queue has not been told a new value yet, the value in force follows in parentheses.

With --parameters, also show the lane that an enforcement with these parameters would get, what is used of its rates and quotas, and
whether the queue would accept it now. Nothing is changed.`,
		Example: "  attune policy explain shop.deploy\n  attune policy explain shop.deploy --parameters '{\"environment\": \"prod\"}'",
		Args:    takes{noun: "action", least: 1, most: 1}.check,
	}
	parameters := cmd.Flags().String("parameters", "", "parameters of an enforcement, as a JSON object")
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := attune.Ref(args[0]).Validate(); err != nil {
			return usageError{err}
		}
		body := map[string]json.RawMessage{}
		if cmd.Flags().Changed("parameters") {
			if !json.Valid([]byte(*parameters)) {
				return usageError{errors.New("--parameters is no JSON: use an object such as {\"environment\": \"prod\"}")}
			}
			body["parameters"] = json.RawMessage(*parameters)
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var found api.PolicyExplanation
		if err := c.Post(cmd.Context(), "/actions/"+url.PathEscape(args[0])+"/policy", body, &found); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), found)
		}
		return printExplanation(cmd.OutOrStdout(), found)
	}
	return cmd
}

func printExplanation(w io.Writer, e api.PolicyExplanation) error {
	_, _ = fmt.Fprintf(w, "%s in the queue %s\n\n", e.Action, e.Queue)
	table := newTable(w)
	_, _ = fmt.Fprintln(table, "FIELD\tVALUE\tSCOPE\tSET BY\tREVISION")
	for _, f := range e.Policy.Fields {
		value := policyValue(f.Name, f.Value)
		if f.Next != nil {
			value = fmt.Sprintf("%s (in force: %s)", policyValue(f.Name, f.Next), value)
		}
		var source policy.Source
		if f.Source != nil {
			source = *f.Source
		}
		printSource(table, f.Name, value, source)
	}
	for _, gate := range e.Gates {
		name, value := gateText(gate)
		printSource(table, name, value, gate.Source)
	}
	if err := table.Flush(); err != nil || e.Now == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nAn enforcement with these parameters %s.\n", verdictText(*e.Now))
	if lane := e.Lane; lane != nil {
		limit := "any number"
		if lane.Limit != nil {
			limit = fmt.Sprint(*lane.Limit)
		}
		_, err = fmt.Fprintf(w, "Its lane is %s: %d active of %s, %d waiting.\n", oneLine(lane.Key), lane.Active, limit, lane.Waiting)
	}
	return err
}

func printSource(w io.Writer, name, value string, source policy.Source) {
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, value,
		policyScope{cmp.Or(source.Scope, policy.ScopeDefault), source.Ref}, orNone(string(source.Origin)), revisionOf(source))
}

// gateText returns the name of a rate or a quota, and what it allows, with what is used of it if that is known.
func gateText(gate api.ExplainedGate) (name, value string) {
	if q := gate.Quota; q != nil {
		name, value = "quota "+q.Name, fmt.Sprintf("%d per %s (%s)", q.Limit, q.Period, cmp.Or(q.Timezone, "UTC"))
	} else if r := gate.Rate; r != nil {
		name, value = "rate "+r.Name, fmt.Sprintf("%d in %s, %s", r.Limit, r.Window, cmp.Or(r.Method, attune.RateReject))
	}
	if now := gate.Now; now != nil {
		value += fmt.Sprintf(", %d used", now.Count)
		if now.Key != nil {
			value += " of " + oneLine(*now.Key)
		}
	}
	if starts := gate.Starts; starts != nil {
		value += fmt.Sprintf(", %d used", starts.Count)
		if starts.OpensAt != nil {
			value += ", opens at " + clock(*starts.OpensAt)
		}
	}
	return name, value
}

func verdictText(v api.Verdict) string {
	switch {
	case v.AtOnce:
		return "would start at once"
	case v.Accepted && v.OpensAt != nil:
		return "would be accepted, and wait: its rates allow the next start at " + clock(*v.OpensAt)
	case v.Accepted:
		return "would be accepted, and wait"
	default:
		return fmt.Sprintf("would be rejected with %s: %s", v.Reason, oneLine(v.Detail))
	}
}

func revisionOf(s policy.Source) string {
	if s.Revision == 0 {
		return "-"
	}
	return fmt.Sprint(s.Revision)
}
