package rules

import (
	"encoding/json"
	"fmt"
)

// CheckKey returns a [CheckError] with line and column for the key of a policy that has a syntax error, an unknown name, or a type
// whose values have no lane.
func CheckKey(key string) error {
	_, mistakes := compileOneKey(key)
	return mistakes.err()
}

// compileOneKey compiles a key outside of an [Engine].
func compileOneKey(key string) (*expression, Mistakes) {
	language, err := newKeyLanguage()
	if err != nil {
		return nil, mistakeAt(nil, "%s", err)
	}
	return language.compileKey(key)
}

// CheckKeyParameters returns a [CheckError] with line and column for a key that reads a secret parameter, by the schema of the
// action. A key may test whether the parameter exists. It does not report other mistakes: see [CheckKey].
func CheckKeyParameters(key string, action json.RawMessage) error {
	return checkSecretKey(key, parameterVariable, "the parameters", action)
}

// CheckKeyPayload returns a [CheckError] with line and column for a key that reads a secret field of the payload, by the schema of the
// trigger. A key may test whether the field exists. It does not report other mistakes: see [CheckKey].
func CheckKeyPayload(key string, trigger json.RawMessage) error {
	return checkSecretKey(key, payloadVariable, "the payload", trigger)
}

// checkSecretKey finds the uses of a variable that read secrets by its schema. document names its value in messages.
func checkSecretKey(key string, of variable, document string, schema json.RawMessage) error {
	marking, mistakes := newMarking(schema)
	if marking == nil || mistakes != nil {
		return nil
	}
	compiled, mistakes := compileOneKey(key)
	if mistakes != nil {
		return nil
	}
	var found Mistakes
	if err := bounded(func() error {
		for _, r := range readsOf(compiled, of) {
			if path, secret := r.secretPath(marking.marks()); secret {
				found = append(found, compiled.mistake(r.expr, "reads "+describePart(path, document)+
					": people see the value of a key, so it can only test whether a secret field exists"))
			}
		}
		return nil
	}); err != nil {
		return mistakeAt(nil, "%s", err).err()
	}
	return found.err()
}

// describePart names a secret part of a document, or a part with one inside.
func describePart(path, document string) string {
	if path == "/" {
		return "the whole of " + document + ", which has secret fields"
	}
	return path + " of " + document + ", which is a secret field or has one inside"
}

// CheckKeyNames returns a [CheckError] with line and column for a key that reads a parameter which the schema of the action never
// accepts: the key would have no value for any enforcement. A key may test whether such a parameter exists. It does not report other
// mistakes: see [CheckKey].
func CheckKeyNames(key string, action json.RawMessage) error {
	accepted, closed := membersOf(action)
	compiled, mistakes := compileOneKey(key)
	if !closed || mistakes != nil {
		return nil
	}
	var found Mistakes
	for _, r := range readsOf(compiled, parameterVariable) {
		if len(r.steps) == 0 || r.steps[0].dynamic || r.steps[0].index >= 0 || r.test && len(r.steps) == 1 {
			continue
		}
		name := r.steps[0].key
		if _, ok := accepted[name]; !ok {
			found = append(found, compiled.mistake(r.expr,
				fmt.Sprintf("reads the parameter %q, which the schema of the action does not accept", name)))
		}
	}
	return found.err()
}

// membersOf returns the members that a schema of an object accepts. closed is false if it may accept more.
func membersOf(schema json.RawMessage) (accepted map[string]json.RawMessage, closed bool) {
	var keywords map[string]json.RawMessage // a struct would ignore the case of letters
	if json.Unmarshal(schema, &keywords) != nil {
		return nil, false
	}
	if string(keywords["additionalProperties"]) != "false" || keywords["patternProperties"] != nil || keywords["$ref"] != nil {
		return nil, false
	}
	if properties := keywords["properties"]; properties != nil && json.Unmarshal(properties, &accepted) != nil {
		return nil, false
	}
	return accepted, true
}
