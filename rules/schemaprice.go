package rules

import (
	"cel.dev/cel-go/common/cost"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaPrices is what one schema takes for a value, beside what the schemas inside of it take by themselves. A schema
// that refuses the type of a value, or an enum that does not hold it, takes its steps from the schema around it: the
// validator has no place to count them earlier.
type schemaPrices struct {
	same    uint64            // for the schemas that look at the same value
	item    uint64            // for each element of a list
	member  uint64            // for each member of an object
	named   map[string]uint64 // for the members with these keys
	names   uint64            // instructions that look at each key
	pattern uint64            // instructions that look at a text
	unique  bool              // the elements of a list are compared with each other
}

// dynamic is for a dynamic reference: its target depends on all the schemas around it.
const dynamic = 50

// pricesOf reads the prices off a schema.
func pricesOf(s *jsonschema.Schema) schemaPrices {
	p := schemaPrices{same: 1, member: 1, named: make(map[string]uint64), unique: s.UniqueItems}
	if s.DynamicRef != nil || s.RecursiveRef != nil {
		p.same += dynamic
	}
	for _, part := range sameValue(s) {
		p.same += entry(part)
	}
	for _, part := range elements(s) {
		p.item += entry(part)
	}
	for _, part := range members(s) {
		p.member += entry(part)
	}
	for key, part := range s.Properties {
		p.named[key] = entry(part)
	}
	for pattern, part := range s.PatternProperties {
		p.names = cost.SafeAdd(p.names, sizeOf(pattern.String()))
		p.member += entry(part)
	}
	if s.Pattern != nil {
		p.pattern = sizeOf(s.Pattern.String())
	}
	return p
}

// of is the price of looking at a value.
func (p schemaPrices) of(value any) uint64 {
	switch v := value.(type) {
	case string:
		return p.same + cost.SafeMultiply(uint64(len(v)), 1+p.pattern)/bytesPerStep
	case []any:
		steps := p.same + uint64(len(v))*p.item
		if p.unique {
			m := measure{stop: maxSchemaSteps}
			addAll(&m, v)
			steps += m.steps()
		}
		return steps
	case map[string]any:
		steps := p.same + uint64(len(v))*p.member
		for key := range v {
			steps = cost.SafeAdd(steps, p.named[key], cost.SafeMultiply(uint64(len(key)), p.names)/bytesPerStep)
		}
		return steps
	default:
		return p.same
	}
}

// entry is what a schema takes before it counts by itself. Comparing numbers takes longest: as fractions of any size.
func entry(s *jsonschema.Schema) uint64 {
	const number = 10
	m := measure{stop: maxSchemaSteps}
	m.add(nil)
	if s.Const != nil {
		m.add(*s.Const)
	}
	if s.Enum != nil {
		addAll(&m, s.Enum.Values)
	}
	return m.steps() + m.numbers*number
}

// sameValue are the schemas that look at the same value.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	found := present(s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else)
	found = append(append(append(found, s.AllOf...), s.AnyOf...), s.OneOf...)
	if s.DynamicRef != nil {
		found = append(found, s.DynamicRef.Ref)
	}
	for _, dependent := range s.DependentSchemas {
		found = append(found, dependent)
	}
	for _, dependent := range s.Dependencies {
		found = append(found, maybe(dependent)...)
	}
	return found
}

// elements are the schemas that look at the elements of a list.
func elements(s *jsonschema.Schema) []*jsonschema.Schema {
	found := present(s.Items2020, s.Contains, s.UnevaluatedItems)
	found = append(append(append(found, maybe(s.Items)...), maybe(s.AdditionalItems)...), s.PrefixItems...)
	return found
}

// members are the schemas that look at every member of an object, whatever its key.
func members(s *jsonschema.Schema) []*jsonschema.Schema {
	return append(present(s.PropertyNames, s.UnevaluatedProperties), maybe(s.AdditionalProperties)...)
}

// present leaves out what is not there.
func present(schemas ...*jsonschema.Schema) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	for _, s := range schemas {
		if s != nil {
			found = append(found, s)
		}
	}
	return found
}

// maybe are the schemas of a keyword that can be something else.
func maybe(keyword any) []*jsonschema.Schema {
	switch keyword := keyword.(type) {
	case *jsonschema.Schema:
		return present(keyword)
	case []*jsonschema.Schema:
		return keyword
	default:
		return nil
	}
}
