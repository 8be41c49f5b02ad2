package rules

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// stepsOfCycle is the number of steps for each schema around a reference cycle. The validator refuses a value when a schema refers
// to itself without a level of the value in between, and describes the path through all outer schemas.
const stepsOfCycle = 100

// endless finds the parts of a schema that lead to a reference cycle.
type endless struct {
	anchors map[string][]*jsonschema.Schema // targets of dynamic references by their anchor
	known   map[*jsonschema.Schema]bool
}

// recursive is the anchor of targets of "$recursiveRef". It cannot be the name of an anchor.
const recursive = ""

func newEndless(parts []*jsonschema.Schema) *endless {
	e := &endless{anchors: make(map[string][]*jsonschema.Schema), known: make(map[*jsonschema.Schema]bool)}
	for _, part := range parts {
		if part.DynamicAnchor != "" {
			e.anchors[part.DynamicAnchor] = append(e.anchors[part.DynamicAnchor], part)
		}
		if part.RecursiveAnchor {
			e.anchors[recursive] = append(e.anchors[recursive], part)
		}
	}
	return e
}

// has reports whether a part leads to a reference cycle.
func (e *endless) has(part *jsonschema.Schema) bool {
	found, known := e.known[part]
	if !known {
		e.known[part] = true // for a reference back to this part
		found = slices.ContainsFunc(e.next(part), e.has)
		e.known[part] = found
	}
	return found
}

// next returns the schemas that may be applied next to the same value. The target of a dynamic reference depends on the outer
// schemas.
func (e *endless) next(part *jsonschema.Schema) []*jsonschema.Schema {
	next := schemasOfValue(part)
	if part.DynamicRef != nil {
		next = append(next, e.anchors[part.DynamicRef.Anchor]...)
	}
	if part.RecursiveRef != nil {
		next = append(next, e.anchors[recursive]...)
	}
	return next
}
