package packs

import (
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
		value := inner.scalar(field)
		if value == nil {
			continue
		}
		if field.Name == "queue" {
			d.join(inner, of, value, document)
			continue
		}
		if err := field.Set(document, value.text); err != nil {
			inner.fault(value.place, "%s", err)
		}
	}
	d.key(inner, of, document)
	d.gates(inner, of, document)
	inner.done()
	d.policies = append(d.policies, policyUse{owner: of, fields: inner, document: document})
	return document
}

// scalar returns the value of a policy field, or nil if it is absent or has another kind.
func (f *fields) scalar(field policy.Field) *node {
	switch field.Kind {
	case policy.Number:
		return f.typed(field.Name, kindNumber)
	case policy.Duration:
		return f.durationNode(field.Name)
	default:
		return f.typed(field.Name, kindText)
	}
}
