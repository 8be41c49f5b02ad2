package rules

import "encoding/json"

// CheckCriteria returns a [CheckError] with line and column for criteria with a syntax error, an unknown name, or a type other
// than bool. Empty criteria are valid.
func CheckCriteria(expr string) error {
	if expr == "" {
		return nil
	}
	language, err := newLanguage()
	if err != nil {
		return err
	}
	_, mistakes := language.compileCriteria(expr)
	return mistakes.err()
}

// CheckParameters returns a [CheckError] with path, line and column for parameters of a rule that are not a JSON object, or that
// have templates that do not compile. Empty parameters are valid.
func CheckParameters(raw json.RawMessage) error {
	language, err := newLanguage()
	if err != nil {
		return err
	}
	_, mistakes := language.compileTemplate(raw)
	return mistakes.err()
}

// CheckSchema returns a [CheckError] with the path in the schema for an invalid JSON Schema. An empty schema is valid.
func CheckSchema(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	if _, mistakes := newChecker(raw); mistakes != nil {
		return mistakes.err()
	}
	marking, mistakes := newMarking(raw)
	if mistakes == nil && secretAt(marking.marks(), nil) {
		mistakes = mistakeAt(nil, "marks the whole document as secret: mark its members with writeOnly: true")
	}
	return mistakes.err()
}
