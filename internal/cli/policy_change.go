package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/policy"
)

func newPolicySet(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "set SCOPE [REF] [FIELD=VALUE...]", Short: "Set fields of a policy, or a whole document from a file",
		Long: `Set fields of a policy, or a whole document from a file.

What you set wins, field by field, over what the pack says for the same scope. It stays until you change or unset it, also when a new
version of the pack is installed; with --until, it ends by itself. The fields are:

` + fieldList() + `
FIELD=VALUE changes one field and leaves the others as they are. --file replaces the whole document.`,
		Example: "  attune policy set action shop.deploy limit=5 key=parameters.env --note 'two regions' --until 2h\n" +
			"  attune policy set pack shop --file policy.yaml\n  attune policy set global max_attempts=3\n" +
			"  attune policy set action shop.deploy rate='[{name: slow, limit: 2, window: 10s, method: delay}]'",
	}
	file := cmd.Flags().String("file", "", "file in YAML with the whole document")
	until := &timeOrSpan{}
	cmd.Flags().Var(until, "until", "when the document ends: a length of time such as 2h, or a time; default: it does not end")
	attribution, version := bindAttribution(cmd), bindIfMatch(cmd)
	cmd.Args = usage(func(_ *cobra.Command, args []string) error {
		_, rest, err := policyTarget(args)
		if err == nil && len(rest) == 0 && *file == "" {
			err = errors.New("nothing to set: give FIELD=VALUE, or a document with --file")
		}
		if err == nil && len(rest) > 0 && *file != "" {
			err = fmt.Errorf("--file replaces the whole document: leave out %q", rest[0])
		}
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, assignments, err := policyTarget(args)
		if err != nil {
			return err
		}
		if *file != "" {
			read, err := packs.ReadPolicyFile(*file, target.scope)
			if err != nil {
				return err
			}
			change := policyChange{Attribution: *attribution, Policy: read.Document, Until: until}
			return inFile(read, r.changePolicy(cmd, http.MethodPut, target, *version, change))
		}
		document, err := assigned(assignments)
		if err != nil {
			return err
		}
		change := policyChange{Attribution: *attribution, Policy: document, Until: until}
		return r.changePolicy(cmd, http.MethodPatch, target, *version, change)
	}
	return cmd
}

// inFile returns the places in a file of the mistakes that the server has found in its document, or err if there are none.
func inFile(file packs.PolicyFile, err error) error {
	refused, ok := errors.AsType[*client.ProblemError](err)
	if !ok {
		return err
	}
	var found []packs.Problem
	for _, mistake := range refused.Errors {
		location, inDocument := strings.CutPrefix(mistake.Location, "body.policy")
		if !inDocument {
			return err
		}
		found = append(found, file.Problem(location, mistake.Message))
	}
	if found == nil {
		return err
	}
	return &packs.LoadError{Problems: found}
}

// fieldList describes every field in a line.
func fieldList() string {
	var b strings.Builder
	for _, field := range policy.Fields() {
		fmt.Fprintf(&b, "  %-18s %s: %s\n", field.Name, field.Doc, field.Allowed)
	}
	for _, list := range gateLists() {
		fmt.Fprintf(&b, "  %-18s The whole list of the document, in YAML or JSON; [] removes that of the pack\n", list)
	}
	return b.String()
}

// assigned returns the document of FIELD=VALUE arguments. Every mistake is a usage error.
func assigned(assignments []string) (attune.Policy, error) {
	var document attune.Policy
	for _, assignment := range assignments {
		name, value, found := strings.Cut(assignment, "=")
		if !found {
			return document, usageError{fmt.Errorf("%q is no assignment: use FIELD=VALUE", assignment)}
		}
		if err := assign(&document, name, value); err != nil {
			return document, err
		}
	}
	return document, nil
}

// gateLists are the lists of a document whose entries of all scopes apply.
func gateLists() []string { return []string{"rate", "quota"} }

// assign sets a field of a document, or its list of rates or quotas. Every mistake is a usage error.
func assign(document *attune.Policy, name, value string) error {
	if slices.Contains(gateLists(), name) {
		list, err := packs.ParseGates(name, value)
		if err != nil {
			return usageError{err}
		}
		if name == "rate" {
			document.Rate = list.Rate
		} else {
			document.Quota = list.Quota
		}
		return nil
	}
	field, err := fieldNamed(name)
	if err != nil {
		return err
	}
	if err := field.Set(document, value); err != nil {
		return usageError{err}
	}
	return nil
}

// fieldNamed returns a field of a policy. An unknown name is a usage error.
func fieldNamed(name string) (policy.Field, error) {
	fields := policy.Fields()
	i := slices.IndexFunc(fields, func(f policy.Field) bool { return f.Name == name })
	if i < 0 {
		var names []string
		for _, field := range fields {
			names = append(names, field.Name)
		}
		names = append(names, gateLists()...)
		return policy.Field{}, usageError{fmt.Errorf("a policy has no field %q: use %s", name, strings.Join(names, ", "))}
	}
	return fields[i], nil
}

// policyChange is the body of a change.
type policyChange struct {
	api.Attribution
	Policy any         `json:"policy"`
	Until  *timeOrSpan `json:"-"`
}

// MarshalJSON leaves out an end that is not given.
func (c policyChange) MarshalJSON() ([]byte, error) {
	body := map[string]any{"policy": c.Policy}
	for name, text := range map[string]string{"note": c.Note, "on_behalf_of": c.OnBehalfOf} {
		if text != "" {
			body[name] = text
		}
	}
	if c.Until != nil && c.Until.at != nil {
		body["until"] = c.Until.at
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the change: %w", err)
	}
	return data, nil
}

func newPolicyUnset(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unset SCOPE [REF] [FIELD...]", Short: "Remove fields that a person has set, or the whole document with --all",
		Long: `Remove fields that a person has set, or the whole document with --all.

What the pack says for the same scope is in force again, or else what a wider scope says.`,
		Example: "  attune policy unset action shop.deploy limit rate\n  attune policy unset global --all --note 'the sale is over'",
	}
	all := cmd.Flags().Bool("all", false, "remove the whole document")
	attribution, version := bindAttribution(cmd), bindIfMatch(cmd)
	cmd.Args = usage(func(_ *cobra.Command, args []string) error {
		_, fields, err := policyTarget(args)
		if err == nil && (len(fields) > 0) == *all {
			err = errors.New("name the fields to remove, or remove the whole document with --all")
		}
		return err
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		target, fields, err := policyTarget(args)
		if err != nil {
			return err
		}
		if *all {
			return r.changePolicy(cmd, http.MethodDelete, target, *version, *attribution)
		}
		patch := make(map[string]any)
		for _, name := range fields {
			if _, err := fieldNamed(name); err != nil && !slices.Contains(gateLists(), name) {
				return err
			}
			patch[name] = nil
		}
		return r.changePolicy(cmd, http.MethodPatch, target, *version, policyChange{Attribution: *attribution, Policy: patch})
	}
	return cmd
}

// bindIfMatch binds the version that a change depends on.
func bindIfMatch(cmd *cobra.Command) *string {
	return cmd.Flags().String("if-match", "", "change only this version, as get shows it; * for any document that a person has set")
}

// changePolicy sends a change, and says how many queues follow it.
func (r *remote) changePolicy(cmd *cobra.Command, method string, target policyScope, version string, body any) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	var changed api.ChangedPolicy
	header := http.Header{}
	if version != "" {
		header.Set("If-Match", version)
	}
	if err := c.Do(cmd.Context(), method, target.path(), header, data, &changed); err != nil {
		return withAPIAdvice(err)
	}
	what := "is removed"
	if changed.Person != nil {
		what = fmt.Sprintf("has revision %d", changed.Person.Revision)
	}
	reach := "its queues follow in a moment"
	if changed.Reach != nil {
		reach = fmt.Sprintf("%s, %d more in a moment", followed(changed.Told), changed.NotTold)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the policy of %s %s: %s\n", target, what, reach)
	return err
}

func followed(n int64) string {
	if n == 1 {
		return "1 queue follows"
	}
	return fmt.Sprintf("%d queues follow", n)
}
