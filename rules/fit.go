package rules

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxUnavoidable bounds the listed mistakes of a rule's parameters.
const maxUnavoidable = 100

// CheckFit returns a [CheckError] with the path in the parameters when a rule's parameters fit the schema of its action for no
// event: a member is missing or not allowed, or the schema refuses a constant. It ignores problems that depend on the value of a
// template or on a choice between schemas. It does not report invalid parameters and schemas: see [CheckParameters] and
// [CheckSchema].
func CheckFit(parameters, schema json.RawMessage) error {
	if len(schema) == 0 {
		return nil
	}
	if len(parameters) == 0 {
		parameters = json.RawMessage("{}")
	}
	compiled, mistakes := newChecker(schema)
	if mistakes != nil {
		return nil
	}
	value, mistakes := decodeObject(parameters)
	if mistakes != nil {
		return nil
	}
	templates := templated(value, nil)
	wanted := &listing{most: maxUnavoidable, skip: func(err *jsonschema.ValidationError) bool { return avoidable(err, templates) }}
	refused, ok := errors.AsType[*jsonschema.ValidationError](compiled.check(value, wanted))
	if !ok {
		return nil
	}
	return wanted.mistakes(refused).err()
}

// avoidable reports whether an error and its causes depend on the value of a template, or on a choice between schemas. templates
// are the paths of strings with templates.
func avoidable(err *jsonschema.ValidationError, templates [][]string) bool {
	switch {
	case conditional(err.SchemaURL):
		return true
	case len(err.Causes) > 0:
		return !unconditional(err)
	default:
		return !aboutKeys(err.ErrorKind) && anyWithin(templates, err.InstanceLocation)
	}
}

// unconditional reports whether every cause of an error alone is an error. When the schema lets the value choose between
// alternatives, a cause is not.
func unconditional(err *jsonschema.ValidationError) bool {
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		return true
	default:
		return false
	}
}

// aboutKeys reports whether an error is about missing or extra keys. Templates do not change keys.
func aboutKeys(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.Required, *kind.AdditionalProperties:
		return true
	default:
		return false
	}
}

// conditional reports whether a part of a schema applies only to some values.
func conditional(url string) bool {
	return slices.ContainsFunc(fragment(url), func(step string) bool {
		switch step {
		case "if", "then", "else", "anyOf", "oneOf", "not", "contains", "dependentSchemas", "propertyNames",
			"unevaluatedProperties", "unevaluatedItems":
			return true
		default:
			return false
		}
	})
}

// templated lists the paths of strings with templates.
func templated(value any, path []string) [][]string {
	var found [][]string
	walk(value, path, func(path []string, s string) {
		if spans, mistake := split(s); mistake != nil || len(spans) > 0 {
			found = append(found, path)
		}
	})
	return found
}

// anyWithin reports whether one of paths is path or below it.
func anyWithin(paths [][]string, path []string) bool {
	return slices.ContainsFunc(paths, func(other []string) bool {
		return len(other) >= len(path) && slices.Equal(other[:len(path)], path)
	})
}
