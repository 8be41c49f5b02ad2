package rules

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

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
	compiled, mistakes := compileSchema(schema)
	if mistakes != nil {
		return nil
	}
	value, mistakes := decodeObject(parameters)
	if mistakes != nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](compiled.check(value))
	if !ok {
		return nil
	}
	return ordered(unavoidable(invalid, templated(value, nil))).err()
}

// unavoidable lists the causes that remain for every value of the templates. templates are the paths of strings with templates.
func unavoidable(err *jsonschema.ValidationError, templates [][]string) Mistakes {
	if conditional(err.SchemaURL) {
		return nil
	}
	if len(err.Causes) > 0 {
		var found Mistakes
		for _, cause := range unconditional(err) {
			found = append(found, unavoidable(cause, templates)...)
		}
		return found
	}
	if !aboutKeys(err.ErrorKind) && anyWithin(templates, err.InstanceLocation) {
		return nil
	}
	return Mistakes{{Path: err.InstanceLocation, Message: describe(err)}}
}

// unconditional returns the causes of an error when every cause alone is an error. It returns none when the schema lets the value
// choose between alternatives.
func unconditional(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		return err.Causes
	default:
		return nil
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
