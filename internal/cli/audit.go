package cli

import (
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
)

func newAudit() *cobra.Command {
	cmd := newGroup("audit", "Read who asked for which change")
	cmd.AddCommand(newAuditList(bindRemote(cmd)))
	return cmd
}

func newAuditList(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the latest requests that asked for a change, newest first",
		Long: `List the latest requests that asked for a change, newest first, also those that were denied.

WHO is the name of a token, or the method with the name of another principal: oidc:ada comes from the issuer, and never from a token
named ada. STATUS is the HTTP status of the response. "?" means that the outcome is not recorded: the change is being made, or a
process stopped while it made the change. "403 (+7)" means that 7 denied requests of the same principal before this one have no
entry. Events and runs have their authors in their own rows, so only denied ones are in this list.`,
		Example: "  attune audit list --principal ci\n  attune audit list --action queue.pause --subject demo.deploy",
		Args:    noArguments,
	}
	flags := cmd.Flags()
	principal := flags.String("principal", "", "only the requests of this principal")
	action := flags.String("action", "", "only requests for this change, such as queue.pause")
	subject := flags.String("subject", "", "only requests about this resource, such as demo.deploy")
	lines := flags.Int("lines", attune.DefaultPageLimit, "requests to list, 1 to "+strconv.Itoa(attune.MaxPageLimit))
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *lines < 1 || *lines > attune.MaxPageLimit {
			return usageError{fmt.Errorf("--lines %d: use 1 to %d", *lines, attune.MaxPageLimit)}
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		query := url.Values{"limit": {strconv.Itoa(*lines)}}
		for name, value := range map[string]string{"principal": *principal, "action": *action, "subject": *subject} {
			if value != "" {
				query.Set(name, value)
			}
		}
		var page api.List[auth.AuditEntry]
		if err := c.Get(cmd.Context(), "/audit", query, &page); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), page.Items)
		}
		return printAudit(cmd.OutOrStdout(), page.Items)
	}
	return cmd
}

func printAudit(w io.Writer, entries []auth.AuditEntry) error {
	table := newTable(w)
	_, _ = fmt.Fprintln(table, "AT\tWHO\tROLE\tTOKEN\tACTION\tSUBJECT\tSTATUS\tFROM\tREQUEST\tWHY")
	for _, e := range entries {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clock(e.At), whoAsked(e), orNone(string(e.Role)),
			orNone(e.Token), e.Action, orNone(oneLine(e.Subject)), statusText(e), e.Remote, e.RequestID, oneLine(e.Note))
	}
	return table.Flush()
}

// whoAsked names the principal of a request, and the person that the principal acted for.
func whoAsked(e auth.AuditEntry) string {
	if e.Principal == nil {
		return "-"
	}
	return oneLine(attune.Author{Principal: *e.Principal, OnBehalfOf: e.OnBehalfOf}.Who())
}

func statusText(e auth.AuditEntry) string {
	switch {
	case e.Status == 0:
		return "?"
	case e.Omitted > 0:
		return fmt.Sprintf("%d (+%d)", e.Status, e.Omitted)
	default:
		return strconv.Itoa(e.Status)
	}
}
