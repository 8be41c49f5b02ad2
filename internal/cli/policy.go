package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/policy"
)

func newPolicy() *cobra.Command {
	cmd := newGroup("policy", "Read and change the policies of actions, queues, packs and of everything")
	r := bindRemote(cmd)
	cmd.AddCommand(newPolicyList(r), newPolicyGet(r), newPolicySet(r), newPolicyUnset(r), newPolicyExplain(r), newPolicyTry(r))
	return cmd
}

// policyScope is a scope with the reference of what the scope is.
type policyScope struct {
	scope policy.Scope
	ref   string // empty for the global scope
}

// scopeArguments describes the arguments that name a scope, for messages and help.
const scopeArguments = "action REF, queue KEY, pack NAME or global"

// policyTarget reads a scope at the beginning of arguments, and returns the other arguments. Every mistake is a usage error.
func policyTarget(args []string) (target policyScope, rest []string, err error) {
	if len(args) == 0 {
		return target, nil, usageError{errors.New("name a scope: " + scopeArguments)}
	}
	target.scope = policy.Scope(args[0])
	if target.scope == policy.ScopeGlobal {
		return target, args[1:], nil
	}
	if !slices.Contains([]policy.Scope{policy.ScopeAction, policy.ScopeQueue, policy.ScopePack}, target.scope) {
		return target, nil, usageError{fmt.Errorf("%q is no scope: use %s", args[0], scopeArguments)}
	}
	if len(args) == 1 {
		return target, nil, usageError{fmt.Errorf("name the %s: use %s", target.scope, scopeArguments)}
	}
	target.ref = args[1]
	switch target.scope {
	case policy.ScopeAction:
		err = attune.Ref(target.ref).Validate()
	case policy.ScopeQueue:
		err = attune.QueueKey(target.ref).Validate()
	default:
		err = attune.ValidateName("pack", target.ref)
	}
	if err != nil {
		return target, nil, usageError{err}
	}
	return target, args[2:], nil
}

// path returns the path of the policies of a scope below /api/v1.
func (s policyScope) path() string {
	if s.scope == policy.ScopeGlobal {
		return "/policies/global"
	}
	return "/policies/" + string(s.scope) + "/" + url.PathEscape(s.ref)
}

func (s policyScope) String() string { return strings.TrimSpace(string(s.scope) + " " + s.ref) }

func newPolicyList(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the policy documents of packs and people", Args: noArguments,
	}
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		found, err := client.List[policy.Stored](cmd.Context(), c, "/policies", nil)
		if err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), append([]policy.Stored{}, found...))
		}
		slices.SortStableFunc(found, func(a, b policy.Stored) int { return strings.Compare(scopeOf(a).String(), scopeOf(b).String()) })
		table := newTable(cmd.OutOrStdout())
		_, _ = fmt.Fprintln(table, "SCOPE\tSET BY\tREVISION\tAT\tUNTIL\tFIELDS")
		for _, d := range found {
			fields, err := fieldsOf(d.Policy)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", scopeOf(d), setBy(d), d.Revision, clock(d.UpdatedAt), endOf(d),
				strings.Join(fields, " "))
		}
		return table.Flush()
	}
	return cmd
}

func scopeOf(d policy.Stored) policyScope { return policyScope{d.Scope, d.Ref} }

func setBy(d policy.Stored) string {
	if d.Author == nil {
		return "its pack"
	}
	return oneLine(d.Author.Who())
}

func endOf(d policy.Stored) string {
	if d.Until == nil {
		return "-"
	}
	return clock(*d.Until)
}

// fieldsOf returns the fields that a document sets, as arguments of set.
func fieldsOf(document attune.Policy) ([]string, error) {
	members, err := membersOf(document)
	if err != nil {
		return nil, err
	}
	var fields []string
	for _, field := range policy.Fields() {
		if value, ok := members[field.Name]; ok {
			fields = append(fields, field.Name+"="+plainValue(value))
		}
	}
	for _, list := range gateLists() {
		if value, ok := members[list]; ok {
			fields = append(fields, list+"="+plainValue(value))
		}
	}
	return fields, nil
}

func membersOf(document attune.Policy) (map[string]json.RawMessage, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode the policy: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("decode the policy: %w", err)
	}
	return members, nil
}

// plainValue returns a JSON value for people: a text without quotes.
func plainValue(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

func newPolicyGet(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get SCOPE [REF]", Short: "Show the policy documents of one scope",
		Example: "  attune policy get action shop.deploy\n  attune policy get global",
		Args:    usage(policyArguments),
	}
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, _, err := policyTarget(args)
		if err != nil {
			return err
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var found api.PolicyScope
		version, err := c.GetVersion(cmd.Context(), target.path(), &found)
		if err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), versionedPolicy{found, version})
		}
		table := newTable(cmd.OutOrStdout())
		for _, d := range []*policy.Stored{found.Person, found.Pack} {
			if err := printDocument(table, d); err != nil {
				return err
			}
		}
		if found.Person == nil && found.Pack == nil {
			_, _ = fmt.Fprintf(table, "nothing is set for %s\n", target)
		}
		_, _ = fmt.Fprintf(table, "version %s\n", version)
		return table.Flush()
	}
	return cmd
}

// versionedPolicy is the documents of a scope with their version, for --if-match.
type versionedPolicy struct {
	api.PolicyScope
	Version string `json:"version"`
}

// policyArguments accepts a scope without further arguments.
func policyArguments(_ *cobra.Command, args []string) error {
	_, rest, err := policyTarget(args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q is one argument too many: use %s", rest[0], scopeArguments)
	}
	return err
}

func printDocument(table table, d *policy.Stored) error {
	if d == nil {
		return nil
	}
	fields, err := fieldsOf(d.Policy)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(table, "%s, set by %s: revision %d of %s", scopeOf(*d), setBy(*d), d.Revision, clock(d.UpdatedAt))
	if d.Until != nil {
		_, _ = fmt.Fprintf(table, ", until %s", clock(*d.Until))
	}
	_, _ = fmt.Fprintln(table)
	if d.Author != nil && d.Author.Note != "" {
		_, _ = fmt.Fprintf(table, "  # %s\n", oneLine(d.Author.Note))
	}
	for _, field := range fields {
		_, _ = fmt.Fprintf(table, "  %s\n", field)
	}
	return nil
}

// timeOrSpan is the value of a flag with a time, given as such or as a length of time from now.
type timeOrSpan struct{ at *time.Time }

// Set implements [pflag.Value].
func (t *timeOrSpan) Set(text string) error {
	if span, err := time.ParseDuration(text); err == nil && span > 0 {
		t.at = new(time.Now().Add(span).UTC())
		return nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return errors.New("use a length of time such as 90m, or a time such as 2026-01-31T18:00:00Z")
	}
	t.at = &at
	return nil
}

// String implements [pflag.Value].
func (t *timeOrSpan) String() string {
	if t.at == nil {
		return ""
	}
	return t.at.Format(time.RFC3339)
}

// Type implements [pflag.Value].
func (t *timeOrSpan) Type() string { return "time" }
