package secrets

import (
	"encoding/json"

	"github.com/attune-go/attune"
)

// Values returns the texts and numbers at the places of a document that the JSON pointers name, and inside of them, as a
// program would print them.
func Values(document json.RawMessage, pointers []string) ([]string, error) {
	if len(pointers) == 0 {
		return nil, nil
	}
	wanted := make(map[string]json.RawMessage, len(pointers))
	for _, pointer := range pointers {
		wanted[pointer] = nil
	}
	w := newWalk(document)
	if err := w.find("", wanted); err != nil {
		return nil, err
	}
	var values []string
	for _, f := range w.fields {
		found, err := scalars(f)
		if err != nil {
			return nil, err
		}
		values = append(values, found...)
	}
	return values, nil
}

// scalars returns the values inside of a field.
func scalars(f attune.SecretField) ([]string, error) {
	var values []string
	w := newWalk(f.Value)
	var visit func(pointer, key string, index int) error
	visit = func(pointer, _ string, _ int) error { return w.parts(pointer, visit) }
	w.scalar = func(value json.Token) {
		switch value := value.(type) {
		case string:
			values = append(values, value)
		case json.Number:
			values = append(values, value.String())
		default: // output without every "true" would be of no use
		}
	}
	return values, w.parts("", visit)
}
