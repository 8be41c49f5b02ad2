package packs

import (
	"cmp"
	"slices"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// PolicyFile is a policy document from a YAML file, with the places of its values.
type PolicyFile struct {
	Document attune.Policy
	path     string
	root     *node
}

// ReadPolicy reads the document of a YAML file for an unknown scope: see [ReadPolicyFile].
func ReadPolicy(path string) (attune.Policy, error) {
	file, err := ReadPolicyFile(path, "")
	return file.Document, err
}

// ReadPolicyFile reads a policy document from a YAML file: a mapping of fields, alone or as the value of the only key "policy". It checks
// the document like the policy of a pack, as far as that needs no schema. What depends on the scope is checked unless the scope is empty.
// The error is a [LoadError].
func ReadPolicyFile(path string, scope policy.Scope) (PolicyFile, error) {
	var found report
	file := PolicyFile{path: path}
	if s := readSource(path, &found); s.root != nil {
		file.root = s.policyRoot()
		file.Document = s.policyDocument(file.root, scope)
	}
	if found.problems != nil {
		slices.SortStableFunc(found.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return PolicyFile{}, &LoadError{Problems: found.problems}
	}
	return file, nil
}

// Problem returns a mistake in the document at its place in the file. location is the path of the value, such as "rate[0].window"; empty
// is the whole document.
func (f PolicyFile) Problem(location, message string) Problem {
	path := strings.FieldsFunc(location, func(r rune) bool { return strings.ContainsRune(".[]", r) })
	at := f.root.follow(path).place
	return Problem{File: f.path, Line: at.line, Column: at.column, Message: message}
}

func (s *source) policyRoot() *node {
	if len(s.root.members) == 1 && s.root.members[0].key == "policy" {
		return s.root.members[0].value
	}
	return s.root
}

func (s *source) policyDocument(root *node, scope policy.Scope) attune.Policy {
	f := s.fieldsOf("policy", root)
	var document attune.Policy
	for _, field := range policy.Fields() {
		f.policyField(field, &document)
	}
	if key := f.get("key"); key != nil && document.Key != nil {
		document.Key = new(strings.TrimSpace(key.text))
		f.reportMistakes("key", key, rules.CheckKey(key.text))
	}
	new(draft).gates(f, owner{scope: scope}, &document)
	if scope != "" {
		if err := policy.CheckScope(scope, document); err != nil {
			f.fault(f.get("queue").place, "%s", err)
		}
	}
	f.done()
	return document
}

// ParseGates reads a list of rates or quotas, as it stands in YAML or JSON, and checks it like the policy of a pack, as far as that needs
// neither schema nor scope. list is "rate" or "quota". The error has the code [attune.CodeInvalid].
func ParseGates(list, text string) (attune.Policy, error) {
	var found report
	s := &source{report: &found}
	s.parse([]byte(list + ": " + text))
	var document attune.Policy
	if s.root != nil {
		switch {
		case len(s.root.members) > 1:
			s.fault(s.root.place, "%s: want one list", list)
		case s.root.members[0].value.kind == kindNull:
			s.fault(s.root.place, "%s: got nothing, want a list", list)
		}
		document = s.policyDocument(s.root, "")
	}
	messages := make([]string, len(found.problems))
	for i, problem := range found.problems {
		messages[i] = problem.Message
	}
	if len(messages) > 0 {
		return attune.Policy{}, attune.Errorf(attune.CodeInvalid, "%s", strings.Join(messages, "; "))
	}
	return document, nil
}
