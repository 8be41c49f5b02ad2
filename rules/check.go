package rules

import "encoding/json"

// CheckCriteria reports what is wrong with criteria, as a [CheckError] with line and column: a syntax error, an unknown
// name, or a type other than bool. Empty criteria are right.
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

// CheckParameters reports what is wrong with the parameters of a rule, as a [CheckError]: not a JSON object, or strings
// whose templates do not compile, with path, line and column. Empty parameters are right.
func CheckParameters(raw json.RawMessage) error {
	language, err := newLanguage()
	if err != nil {
		return err
	}
	_, mistakes := language.compileTemplate(raw)
	return mistakes.err()
}

// CheckSchema reports what is wrong with a JSON Schema, as a [CheckError] with the path in the schema. An empty one is
// right.
func CheckSchema(raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	_, mistakes := compileSchema(raw)
	return mistakes.err()
}
