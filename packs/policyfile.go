package packs

import (
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// ReadPolicy reads a policy document from a YAML file: a mapping of fields, alone or as the value of the only key "policy". It checks
// the document like the policy of a pack, as far as that needs no schema. The error is a [LoadError].
func ReadPolicy(path string) (attune.Policy, error) {
	var found report
	var document attune.Policy
	if s := readSource(path, &found); s.root != nil {
		document = s.policyDocument()
	}
	if found.problems != nil {
		return attune.Policy{}, &LoadError{Problems: found.problems}
	}
	return document, nil
}

func (s *source) policyDocument() attune.Policy {
	root := s.root
	if len(root.members) == 1 && root.members[0].key == "policy" {
		root = root.members[0].value
	}
	f := s.fieldsOf("policy", root)
	var document attune.Policy
	for _, field := range policy.Fields() {
		f.policyField(field, &document)
	}
	if key := f.get("key"); key != nil && document.Key != nil {
		document.Key = new(strings.TrimSpace(key.text))
		f.reportMistakes("key", key, rules.CheckKey(key.text))
	}
	f.done()
	return document
}
