package packs

import (
	"errors"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// owner is what a policy in a pack is about.
type owner struct {
	scope policy.Scope // action, queue or pack
	ref   attune.Ref   // of the action or the queue, or the name of the pack
}

// policyUse is a policy in a pack, with the places of its fields.
type policyUse struct {
	owner
	fields   *fields
	document *attune.Policy
}

// policy reads a policy; nil if it is absent or empty.
func (d *draft) policy(f *fields, of owner) *attune.Policy {
	n := f.typed("policy", kindMapping)
	if n == nil || len(n.members) == 0 {
		return nil
	}
	inner := f.fieldsOf("policy", n)
	document := new(attune.Policy)
	for _, field := range policy.Fields() {
		if field.Name == "queue" {
			d.join(inner, of, document)
			continue
		}
		inner.policyField(field, document)
	}
	d.key(inner, of, document)
	d.gates(inner, of, document)
	inner.done()
	d.policies = append(d.policies, policyUse{owner: of, fields: inner, document: document})
	return document
}

// policyField reads a field of a policy into a document. It reports each mistake at its place inside the value.
func (f *fields) policyField(field policy.Field, document *attune.Policy) {
	value := f.policyValue(field)
	if value == nil {
		return
	}
	text := value.text
	if field.Kind == policy.Structure {
		text = string(value.json())
	}
	err := field.Set(document, text)
	if err == nil {
		return
	}
	found, ok := errors.AsType[*policy.DocumentError](err)
	if !ok {
		f.fault(value.place, "%s", err)
		return
	}
	for _, m := range found.Mistakes {
		f.fault(value.follow(m.Path[1:]).place, "%s", m.Message)
	}
}

// policyValue returns the value of a policy field, or nil if it is absent or has another kind.
func (f *fields) policyValue(field policy.Field) *node {
	switch field.Kind {
	case policy.Number:
		return f.typed(field.Name, kindNumber)
	case policy.Duration:
		return f.durationNode(field.Name)
	case policy.Structure:
		return f.typed(field.Name, kindMapping)
	default:
		return f.typed(field.Name, kindText)
	}
}
