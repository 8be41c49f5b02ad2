package rules

import (
	"maps"
	"slices"

	"cel.dev/cel-go/common/cost"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaPrices are the steps of applying one schema to a value, without the steps that inner schemas count themselves. The
// validator checks type, enum and const of an inner schema before the inner schema can count. So the outer schema counts those
// steps: see entrySteps.
type schemaPrices struct {
	base    uint64            // for the schema itself, and for inner schemas that are applied to the same value
	item    uint64            // for each element of a list
	member  uint64            // for each member of an object
	named   map[string]uint64 // for members with these keys
	keys    uint64            // instructions of regular expressions that are applied to each key
	pattern uint64            // instructions of the regular expression that is applied to a text
	unique  bool              // the elements of a list are compared with each other
	names   uint64            // names of required members
	tracked uint64            // for each member and element that the validator tracks as not evaluated
}

// perName is the number of steps for each key that a schema is applied to. The validator starts anew for each key, and keeps several
// errors for a key that the schema refuses.
const perName = 5

// dynamic is the number of steps for a dynamic reference: the validator searches its target in all outer schemas.
const dynamic = 50

// tracks reports whether a schema needs the members or elements that no other schema evaluates.
func tracks(s *jsonschema.Schema) bool {
	return s.UnevaluatedItems != nil || s.UnevaluatedProperties != nil
}

// tracking is the number of steps for each member or element that the validator tracks. The validator has a map of them for
// every schema that is applied, and keeps the maps of all schemas that are applied inside each other.
const tracking = 5

// pricesOf computes the prices of a schema. tracked says that the schema is a part of a schema that tracks.
func pricesOf(s *jsonschema.Schema, tracked bool) schemaPrices {
	p := schemaPrices{base: 1, member: 1, named: make(map[string]uint64), unique: s.UniqueItems, names: requiredNames(s)}
	if tracked {
		p.tracked = tracking
	}
	if s.DynamicRef != nil || s.RecursiveRef != nil {
		p.base += dynamic
	}
	for _, part := range schemasOfValue(s) {
		p.base += entrySteps(part)
	}
	for _, part := range schemasOfElements(s) {
		p.item += entrySteps(part)
	}
	for _, part := range schemasOfMembers(s) {
		p.member += entrySteps(part)
	}
	if s.PropertyNames != nil {
		p.member += perName
	}
	for key, part := range s.Properties {
		p.named[key] = entrySteps(part)
	}
	for pattern, part := range s.PatternProperties {
		p.keys = cost.SafeAdd(p.keys, sizeOf(pattern.String()))
		p.member += entrySteps(part)
	}
	if s.Pattern != nil {
		p.pattern = sizeOf(s.Pattern.String())
	}
	return p
}

// of returns the steps of applying the schema to a value.
func (p schemaPrices) of(value any) uint64 {
	switch v := value.(type) {
	case string:
		return p.base + cost.SafeMultiply(uint64(len(v)), 1+p.pattern)/bytesPerStep
	case []any:
		steps := p.base + uint64(len(v))*(p.item+p.tracked)
		if p.unique {
			m := measure{stop: maxSchemaSteps}
			addAll(&m, v)
			steps += m.steps()
		}
		return steps
	case map[string]any:
		steps := p.base + p.names + uint64(len(v))*(p.member+p.tracked)
		for key := range v {
			steps = cost.SafeAdd(steps, p.named[key], cost.SafeMultiply(uint64(len(key)), p.keys)/bytesPerStep)
		}
		return steps
	default:
		return p.base
	}
}

// entrySteps returns the steps of an inner schema before it counts by itself: for const and enum. Numbers take the most steps,
// because the validator compares them as fractions of any size.
func entrySteps(s *jsonschema.Schema) uint64 {
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

// schemasOfValue returns the inner schemas that are applied to the same value.
func schemasOfValue(s *jsonschema.Schema) []*jsonschema.Schema {
	found := nonNil(s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else)
	found = append(append(append(found, s.AllOf...), s.AnyOf...), s.OneOf...)
	if s.DynamicRef != nil {
		found = append(found, s.DynamicRef.Ref)
	}
	for _, dependent := range s.DependentSchemas {
		found = append(found, dependent)
	}
	for _, dependent := range s.Dependencies {
		found = append(found, schemasIn(dependent)...)
	}
	return found
}

// requiredNames returns the number of names that the validator looks for in an object.
func requiredNames(s *jsonschema.Schema) uint64 {
	names := len(s.Required)
	for _, required := range s.DependentRequired {
		names += 1 + len(required)
	}
	for _, dependent := range s.Dependencies {
		if required, ok := dependent.([]string); ok {
			names += 1 + len(required)
		}
	}
	return uint64(names)
}

// schemasInside returns the inner schemas that are applied to elements, members and keys.
func schemasInside(s *jsonschema.Schema) []*jsonschema.Schema {
	return slices.Concat(schemasOfElements(s), schemasOfMembers(s),
		slices.Collect(maps.Values(s.Properties)), slices.Collect(maps.Values(s.PatternProperties)))
}

// schemasOfElements returns the inner schemas that are applied to the elements of a list.
func schemasOfElements(s *jsonschema.Schema) []*jsonschema.Schema {
	found := nonNil(s.Items2020, s.Contains, s.UnevaluatedItems)
	found = append(append(append(found, schemasIn(s.Items)...), schemasIn(s.AdditionalItems)...), s.PrefixItems...)
	return found
}

// schemasOfMembers returns the inner schemas that are applied to every member of an object.
func schemasOfMembers(s *jsonschema.Schema) []*jsonschema.Schema {
	return append(nonNil(s.PropertyNames, s.UnevaluatedProperties), schemasIn(s.AdditionalProperties)...)
}

// nonNil returns the schemas that are not nil.
func nonNil(schemas ...*jsonschema.Schema) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	for _, s := range schemas {
		if s != nil {
			found = append(found, s)
		}
	}
	return found
}

// schemasIn returns the schemas in the value of a keyword. The value can have another type: then there are none.
func schemasIn(keyword any) []*jsonschema.Schema {
	switch keyword := keyword.(type) {
	case *jsonschema.Schema:
		return nonNil(keyword)
	case []*jsonschema.Schema:
		return keyword
	default:
		return nil
	}
}
