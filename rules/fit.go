package rules

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// CheckFit reports, as a [CheckError] with the path in the parameters, why a rule's parameters can never fit the schema of
// its action, whatever the event: a member that is missing or not allowed, or a constant that the schema refuses. What
// depends on the value of a template, or on a choice between schemas, is left to the event. Parameters and schema that
// are wrong in themselves are not reported here.
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
	return ordered(certain(invalid, templated(value, nil))).err()
}

// certain lists the causes that no value of a template can remove.
func certain(err *jsonschema.ValidationError, open [][]string) Mistakes {
	if conditional(err.SchemaURL) {
		return nil
	}
	if len(err.Causes) > 0 {
		var found Mistakes
		for _, cause := range unconditional(err) {
			found = append(found, certain(cause, open)...)
		}
		return found
	}
	if !aboutKeys(err.ErrorKind) && reaches(open, err.InstanceLocation) {
		return nil
	}
	return Mistakes{{Path: err.InstanceLocation, Message: describe(err)}}
}

// unconditional are the causes of a kind of error that has a cause in every case, not one of several to choose from.
func unconditional(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		return err.Causes
	default:
		return nil
	}
}

// aboutKeys reports whether an error is about which members there are, which no template changes.
func aboutKeys(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.Required, *kind.AdditionalProperties:
		return true
	default:
		return false
	}
}

// conditional reports whether a place in a schema applies only to some values.
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

// templated lists the paths of the strings that hold templates.
func templated(value any, path []string) [][]string {
	var found [][]string
	walk(value, path, func(path []string, s string) {
		if spans, mistake := split(s); mistake != nil || len(spans) > 0 {
			found = append(found, path)
		}
	})
	return found
}

// reaches reports whether a template stands at path or below it.
func reaches(open [][]string, path []string) bool {
	return slices.ContainsFunc(open, func(at []string) bool {
		return len(at) >= len(path) && slices.Equal(at[:len(path)], path)
	})
}
