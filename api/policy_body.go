package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune/policy"
)

// PolicyDocument is a policy document in the body of a request. Package policy decodes it.
type PolicyDocument struct{ json.RawMessage }

// Schema implements [huma.SchemaProvider].
func (PolicyDocument) Schema(registry huma.Registry) *huma.Schema {
	return policyDocument{}.Schema(registry)
}

// PolicyChanges is a merge patch of a policy document.
type PolicyChanges struct{ json.RawMessage }

// IsZero reports whether the patch is absent.
func (c PolicyChanges) IsZero() bool { return c.RawMessage == nil }

// Schema implements [huma.SchemaProvider].
func (PolicyChanges) Schema(registry huma.Registry) *huma.Schema {
	schema := policyDocument{}.Schema(registry)
	for _, property := range schema.Properties {
		property.Nullable = true
	}
	return schema
}

// PatchedTime is a time in a merge patch: absent, null, or a value.
type PatchedTime struct {
	Given bool
	At    *time.Time // nil for null
}

// IsZero reports whether the time is absent.
func (t PatchedTime) IsZero() bool { return !t.Given }

// UnmarshalJSON reads null or a time.
func (t *PatchedTime) UnmarshalJSON(data []byte) error {
	t.Given, t.At = true, nil
	if err := json.Unmarshal(data, &t.At); err != nil {
		return fmt.Errorf("until: %w", err)
	}
	return nil
}

// MarshalJSON writes null or the time.
func (t PatchedTime) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(t.At)
	if err != nil {
		return nil, fmt.Errorf("until: %w", err)
	}
	return data, nil
}

// Schema implements [huma.SchemaProvider].
func (PatchedTime) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true}
}

// Conditions are the headers that let a change depend on the version that its author has read. They are exported because the
// framework reads only exported fields.
type Conditions struct {
	IfMatch     string `header:"If-Match" doc:"Change only this version, the ETag of an earlier response; * for any document of a person"`
	IfNoneMatch string `header:"If-None-Match" doc:"* sets a document only if no person has set one"`
}

// tagList matches a star, or entity tags with commas between them.
var tagList = regexp.MustCompile(`^(\*|(W/)?"[\x21\x23-\x7e]*"([ \t]*,[ \t]*(W/)?"[\x21\x23-\x7e]*")*)$`)

// check returns a 412 when the documents are not those that the caller expects.
func (c Conditions) check(found policy.Documents) error {
	version := etagOf(found)
	for name, tags := range map[string]string{"header.If-Match": c.IfMatch, "header.If-None-Match": c.IfNoneMatch} {
		if tags != "" && !tagList.MatchString(tags) {
			return invalidProblem([]ProblemError{{Location: name, Message: "use * or the ETag of an earlier response, with its quotes"}})
		}
	}
	switch {
	case c.IfMatch != "" && !matches(c.IfMatch, version, found.Person != nil):
		return newProblem(http.StatusPreconditionFailed, CodePreconditionFailed,
			"header.If-Match: the policy has changed: its version is "+version)
	case c.IfNoneMatch != "" && matches(c.IfNoneMatch, version, found.Person != nil):
		return newProblem(http.StatusPreconditionFailed, CodePreconditionFailed,
			"header.If-None-Match: a person has set a policy already: its version is "+version)
	default:
		return nil
	}
}

// matches reports whether a list of entity tags has a version. A star stands for any document of a person.
func matches(tags, version string, exists bool) bool {
	if strings.TrimSpace(tags) == "*" {
		return exists
	}
	return slices.ContainsFunc(strings.Split(tags, ","), func(tag string) bool { return strings.TrimSpace(tag) == version })
}

// etagOf returns the entity tag of the documents of a scope. Ids are part of it: a document that is removed and set again begins with
// the revision 1.
func etagOf(d policy.Documents) string {
	part := func(s *policy.Stored) string {
		if s == nil {
			return "0"
		}
		return fmt.Sprintf("%d.%d", s.ID, s.Revision)
	}
	return fmt.Sprintf("%q", part(d.Person)+"-"+part(d.Pack))
}

// documentProblem returns the 422 for the mistakes in a policy document, or nil for another error.
func documentProblem(err error) *Problem {
	invalid, ok := errors.AsType[*policy.DocumentError](err)
	if !ok {
		return nil
	}
	found := make([]ProblemError, len(invalid.Mistakes))
	for i, m := range invalid.Mistakes {
		found[i] = ProblemError{Location: strings.TrimSuffix("body.policy."+m.Location(), "."), Message: m.Message}
	}
	return invalidProblem(found)
}
