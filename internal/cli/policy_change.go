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
			"  attune policy set pack shop --file policy.yaml\n  attune policy set global max_attempts=3",
	}
	file := cmd.Flags().String("file", "", "file in YAML with the whole document")
	until := &timeOrSpan{}
	cmd.Flags().Var(until, "until", "when the document ends: a length of time such as 2h, or a time; default: it does not end")
	attribution := bindAttribution(cmd)
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
			document, err := packs.ReadPolicy(*file)
			if err != nil {
				return err
			}
			return r.changePolicy(cmd, http.MethodPut, target, policyChange{Attribution: *attribution, Policy: document, Until: until})
		}
		document, err := assigned(assignments)
		if err != nil {
			return err
		}
		return r.changePolicy(cmd, http.MethodPatch, target, policyChange{Attribution: *attribution, Policy: document, Until: until})
	}
	return cmd
}

// fieldList describes every field in a line.
func fieldList() string {
	var b strings.Builder
	for _, field := range policy.Fields() {
		fmt.Fprintf(&b, "  %-18s %s: %s\n", field.Name, field.Doc, field.Allowed)
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
		field, err := fieldNamed(name)
		if err != nil {
			return document, err
		}
		if err := field.Set(&document, value); err != nil {
			return document, usageError{err}
		}
	}
	return document, nil
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
		Example: "  attune policy unset action shop.deploy limit\n  attune policy unset global --all --note 'the sale is over'",
	}
	all := cmd.Flags().Bool("all", false, "remove the whole document")
	attribution := bindAttribution(cmd)
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
			return r.changePolicy(cmd, http.MethodDelete, target, *attribution)
		}
		patch := make(map[string]any)
		for _, name := range fields {
			if _, err := fieldNamed(name); err != nil {
				return err
			}
			patch[name] = nil
		}
		return r.changePolicy(cmd, http.MethodPatch, target, policyChange{Attribution: *attribution, Policy: patch})
	}
	return cmd
}

// changePolicy sends a change, and says how many queues follow it.
func (r *remote) changePolicy(cmd *cobra.Command, method string, target policyScope, body any) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	var changed api.ChangedPolicy
	if err := c.Do(cmd.Context(), method, target.path(), http.Header{}, data, &changed); err != nil {
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
